# SPDX-License-Identifier: MIT
"""Writing and reading GGUF version 3, as far as small `llama` models need it.

Layout: header (magic, version, tensor count, metadata count), metadata
key-value pairs, tensor descriptions (name, dimensions with the fastest
varying one first, type, offset), padding, tensor data.  All little-endian;
every tensor starts at a multiple of the alignment.
"""

import struct

import numpy as np

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", UINT32: "<I", INT32: "<i",
           FLOAT32: "<f", BOOL: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TENSOR_TYPES = {0: np.dtype("<f4"), 1: np.dtype("<f2")}


def _string(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    return _string(value) if kind == STRING else struct.pack(SCALARS[kind], value)


def _pad(size):
    return -size % ALIGNMENT


def write(path, metadata, tensors):
    """Write a file.

    metadata: list of (key, type, value); for an array the type is the tuple
    (ARRAY, element type) and the value a list.
    tensors: list of (name, array); float32 and float16 arrays are taken.
    """
    head = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata))
    for key, kind, value in metadata:
        head += _string(key)
        if isinstance(kind, tuple):
            head += struct.pack("<IIQ", ARRAY, kind[1], len(value))
            head += b"".join(_value(kind[1], item) for item in value)
        else:
            head += struct.pack("<I", kind) + _value(kind, value)

    offset = 0
    for name, array in tensors:
        kind = {"float32": 0, "float16": 1}[array.dtype.name]
        head += _string(name) + struct.pack("<I", array.ndim)
        head += struct.pack(f"<{array.ndim}Q", *reversed(array.shape))
        head += struct.pack("<IQ", kind, offset)
        offset += array.nbytes + _pad(array.nbytes)

    with open(path, "wb") as file:
        file.write(head + bytes(_pad(len(head))))
        for _, array in tensors:
            data = np.ascontiguousarray(array).tobytes()
            file.write(data + bytes(_pad(len(data))))


class _Cursor:
    def __init__(self, data):
        self.data = data
        self.position = 0

    def take(self, layout):
        values = struct.unpack_from(layout, self.data, self.position)
        self.position += struct.calcsize(layout)
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("<Q")
        raw = self.data[self.position:self.position + size]
        if len(raw) != size:
            raise ValueError("file ends inside a string")
        self.position += size
        return raw.decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            element, count = self.take("<IQ")
            return [self.value(element) for _ in range(count)]
        return self.take(SCALARS[kind])


def read(path):
    """Read a file; return (metadata as a dict, tensors as a dict of arrays)."""
    with open(path, "rb") as file:
        data = file.read()
    cursor = _Cursor(data)
    if data[:4] != MAGIC:
        raise ValueError(f"{path}: not a GGUF file")
    cursor.position = 4
    version, tensor_count, metadata_count = cursor.take("<IQQ")
    if version != VERSION:
        raise ValueError(f"{path}: GGUF version {version}, expected {VERSION}")

    metadata = {}
    for _ in range(metadata_count):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.take("<I"))

    descriptions = []
    for _ in range(tensor_count):
        name = cursor.string()
        dimensions = [cursor.take("<Q") for _ in range(cursor.take("<I"))]
        kind, offset = cursor.take("<IQ")
        descriptions.append((name, dimensions[::-1], kind, offset))

    alignment = metadata.get("general.alignment", ALIGNMENT)
    base = -(-cursor.position // alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in descriptions:
        count = int(np.prod(shape))
        array = np.frombuffer(data, TENSOR_TYPES[kind], count, base + offset)
        tensors[name] = array.reshape(shape)
    return metadata, tensors
