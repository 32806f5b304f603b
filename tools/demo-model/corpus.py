# SPDX-License-Identifier: MIT
"""The training text: the World English Bible as Debian packages it.

The package sword-text-web holds the text in SWORD's zText format.  For each
of `ot` and `nt` there are three files, all little-endian:

  .bzz  zlib streams, one a book
  .bzs  per stream: offset in .bzz, compressed size, plain size  (3 x u32)
  .bzv  per verse:  stream number, offset in the plain stream, size
        (u32, u32, u16); verse 0 of a chapter holds headings

The plain streams are OSIS XML fragments.  They are turned into chapters of
plain ASCII prose: paragraphs are lines, and verse numbers, footnotes, titles
and all markup are gone.
"""

import hashlib
import os
import re
import struct
import subprocess
import tempfile
import zlib
from html import unescape

PACKAGE = "sword-text-web"
MODULE = "usr/share/sword/modules/texts/ztext/engWEB2015eb"

# Greek versions of books that are there in full already: as near-copies they
# would leak held-out chapters into the training part.
SKIPPED_BOOKS = {"EsthGr", "AddEsth", "DanGr", "AddDan", "PrAzar", "Sus", "Bel"}

PUNCTUATION = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
    "\u2013": "-", "\u2014": " - ", "\u2026": "...", "\u00a0": " ",
    "\u202f": " ", "\u2009": " ", "\u200a": "", "\u00b6": "",
})


def read_package(deb):
    """Return the list of (name, text) of all chapters in a .deb file."""
    with tempfile.TemporaryDirectory(prefix="demo-model-") as target:
        subprocess.run(["dpkg-deb", "-x", deb, target], check=True)
        return read_chapters(target)


def read_verses(root):
    """Yield the OSIS fragment of every entry, in the order of the canon."""
    for testament in ("ot", "nt"):
        base = os.path.join(root, MODULE, testament)
        with open(base + ".bzz", "rb") as file:
            packed = file.read()
        with open(base + ".bzs", "rb") as file:
            index = file.read()
        with open(base + ".bzv", "rb") as file:
            verses = file.read()
        streams = []
        for offset, size, plain_size in struct.iter_unpack("<III", index):
            plain = zlib.decompress(packed[offset:offset + size]) if size else b""
            if len(plain) != plain_size:
                raise ValueError(f"{base}.bzz: a stream has {len(plain)} bytes, "
                                 f"its index says {plain_size}")
            streams.append(plain)
        for number, offset, size in struct.iter_unpack("<IIH", verses):
            if size:
                yield streams[number][offset:offset + size].decode("utf-8")


def clean(osis):
    """Turn the OSIS markup of one chapter into lines of plain ASCII."""
    text = re.sub(r"<note\b[^>]*/>", "", osis)
    text = re.sub(r"<note\b.*?</note>", " ", text, flags=re.S)
    text = re.sub(r"<title\b.*?</title>", "\n", text, flags=re.S)
    text = re.sub(r'<div [^>]*type="x-p[^>]*>|<lb [^>]*type="x-p"[^>]*>', "\n", text)
    text = re.sub(r"<l\b[^>]*>|<lb\b[^>]*>|<item\b[^>]*>", " ", text)
    text = unescape(re.sub(r"<[^>]*>", "", text))
    text = text.translate(PUNCTUATION)
    text = text.encode("ascii", "ignore").decode("ascii")
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.split("\n"))
    lines = (re.sub(r" ([,.;:?!])", r"\1", line) for line in lines)
    return "\n".join(line for line in lines if re.search(r"[A-Za-z]", line))


def read_chapters(root="/"):
    """Return the list of (name, text) of all chapters used."""
    chapters = []
    name = None
    parts = []

    def finish():
        if name and name.split(".")[0] not in SKIPPED_BOOKS:
            text = clean("".join(parts))
            if text:
                chapters.append((name, text))

    for verse in read_verses(root):
        start = re.search(r'<chapter [^>]*osisID="([^"]+)"', verse)
        if re.search(r'<div [^>]*type="book"', verse):
            finish()
            name, parts = None, []
        if start:
            finish()
            name, parts = start.group(1), []
            verse = verse[start.start():]
        if name:
            parts.append(verse)
    finish()
    return chapters


def split_chapters(chapters, every=40):
    """Hold out every 40th chapter, whole: (training part, held-out part)."""
    held_out = chapters[every // 2::every]
    names = {name for name, _ in held_out}
    return [c for c in chapters if c[0] not in names], held_out


def checksum(chapters):
    """SHA-256 of the cleaned text, to recognise the same corpus again."""
    return hashlib.sha256("\n\n".join(text for _, text in chapters)
                          .encode()).hexdigest()
