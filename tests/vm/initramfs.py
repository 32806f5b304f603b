# SPDX-License-Identifier: MIT
"""The initramfs from which guests boot."""

import glob
import lzma
import os
import subprocess

from node import VM_DIR, Failure, find_busybox

OWN_MODULES = ("tandem_emu", "tandem")


def query(command):
    """What a tool of kmod prints."""
    env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env,
                              check=False)
    except FileNotFoundError:
        raise Failure(f"needs {command[0]}: run 'make deps' first")
    if done.returncode:
        raise Failure(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def module_file(kernel, name):
    return glob.glob(f"{kernel}/lib/modules/*/kernel/**/{name}.ko*",
                     recursive=True)


def boot_modules(kernel, args, names):
    """Paths of the kernel's modules to load, in order: those NAMES, what
    Tandem's own modules need, and all that these depend on."""
    release = os.listdir(kernel + "/lib/modules")[0]
    names, paths = list(names), []
    if not args.bare:
        for name in OWN_MODULES:
            depends = query(["modinfo", "-F", "depends",
                             f"{args.modules_dir}/{name}.ko"])
            names += [other for other in depends.strip().split(",")
                      if other and other not in OWN_MODULES]
    for name in names:
        # Part of the kernel's library in newer ones.
        if name == "crc32_generic" and not module_file(kernel, name):
            continue
        for line in query(["modprobe", "-d", kernel, "-S", release,
                           "--show-depends", name]).splitlines():
            word = line.split()
            if word[0] == "insmod" and word[1] not in paths:
                paths.append(word[1])
    return paths


def read_module(path):
    if path.endswith(".xz"):
        with lzma.open(path) as file:
            return file.read()
    with open(path, "rb") as file:
        return file.read()


def cpio(entries):
    """An initramfs ("newc") of (name, mode, content) entries."""
    out = bytearray()
    for number, (name, mode, content) in enumerate(
            entries + [("TRAILER!!!", 0, b"")], 1):
        path = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0,
                  len(path), 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def write_initramfs(path, kernel, args, names):
    def read(name):
        with open(name, "rb") as file:
            return file.read()

    directory, executable, plain = 0o040755, 0o100755, 0o100644
    modules = {os.path.basename(path).removesuffix(".xz"): read_module(path)
               for path in boot_modules(kernel, args, names)}
    order = "".join(name + "\n" for name in modules)
    entries = [("bin", directory, b""), ("modules", directory, b""),
               ("bin/busybox", executable, read(find_busybox())),
               ("init", executable, read(VM_DIR + "/init")),
               ("modules/order", plain, order.encode())]
    entries += [("modules/" + name, plain, content)
                for name, content in modules.items()]
    with open(path, "wb") as file:
        file.write(cpio(entries))
