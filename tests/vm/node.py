# SPDX-License-Identifier: MIT
"""One guest: what is common to QEMU and User Mode Linux."""

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys

VM_DIR = os.path.dirname(os.path.realpath(__file__))

EXIT_GUEST = 125


class Failure(Exception):
    """The run cannot go on: message for the user and exit status."""

    def __init__(self, message, status=EXIT_GUEST):
        super().__init__(message)
        self.status = status


def die_with_parent():
    """Before exec: the guest dies with this process, however that dies."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def find_busybox():
    busybox = shutil.which("busybox")
    if not busybox:
        raise Failure("needs busybox-static: run 'make deps' first")
    return busybox


def kmsg_text(raw):
    """The records of /dev/kmsg in the form that dmesg prints."""
    lines = []
    for line in raw.decode(errors="replace").splitlines():
        head, separator, text = line.partition(";")
        fields = head.split(",")
        if separator and len(fields) >= 4 and fields[2].isdigit():
            microseconds = int(fields[2])
            lines.append("[%5d.%06d] %s" % (microseconds // 1000000,
                                            microseconds % 1000000, text))
    return lines


def read_text(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class Stream:
    """One output stream of a guest, on its way to a descriptor of ours."""

    def __init__(self, fd, target, prefix):
        self.fd, self.target, self.prefix = fd, target, prefix
        self.partial = b""

    def put(self, data):
        if self.prefix:
            lines = (self.partial + data).split(b"\n")
            self.partial = lines.pop()
            data = b"".join(self.prefix + line + b"\n" for line in lines)
        self.write(data)

    def end(self):
        if self.partial:
            self.write(self.prefix + self.partial + b"\n")
            self.partial = b""

    def write(self, data):
        while data:
            data = data[os.write(self.target, data):]


class Log(Stream):
    """The kernel's log: kept, and shown as well when asked for."""

    def __init__(self, fd, prefix, show):
        super().__init__(fd, 2, prefix)
        self.raw, self.show = b"", show

    def put(self, data):
        self.raw += data
        if self.show:
            super().put(data)

    def end(self):
        if self.show:
            super().end()


class Node:
    """A guest; start() of a subclass boots it."""

    # What runs the guest, for messages.
    runner = ""
    # What it needs of the kernel's modules before it can mount the host's root.
    boot_modules = []

    def __init__(self, index, args, kernel, work):
        self.index, self.args, self.kernel = index, args, kernel
        self.dir = f"{work}/node{index}"
        self.share = self.dir + "/share"
        self.console = self.dir + "/console"
        self.name = f"node{index}: " if args.nodes > 1 else ""
        self.process = None
        self.streams = []
        os.makedirs(self.share + "/results")
        self.write_job()
        self.write_command()

    def write_job(self):
        args = self.args
        variables = {
            "TANDEM_NODE": self.index,
            "TANDEM_NODES": args.nodes,
            "TANDEM_VM_BUSYBOX": find_busybox(),
            "TANDEM_VM_GUEST": VM_DIR + "/guest",
            "TANDEM_VM_KERNEL": self.kernel,
            "TANDEM_VM_BARE": int(args.bare),
            "TANDEM_VM_DEVICES": " ".join(args.device),
            "TANDEM_VM_LEAK_CHECK": int(not args.no_leak_check),
            "TANDEM_BUILD": args.build_dir,
            "TANDEM_MODULES": args.modules_dir,
        }
        with open(self.share + "/job", "w") as file:
            for name, value in variables.items():
                file.write(f"{name}={shlex.quote(str(value))}\n")

    def write_command(self):
        args = self.args
        addresses = ",".join(f"10.77.0.{n + 1}" for n in range(args.nodes))
        passed = ("HOME", "LANG", "LC_ALL", "TERM", "USER", "COLUMNS")
        env = {name: value for name, value in os.environ.items()
               if name in passed or name.startswith("TANDEM_")}
        env.update(TANDEM_NODE=self.index, TANDEM_NODES=args.nodes,
                   TANDEM_NODE_ADDRS=addresses, TANDEM_BUILD=args.build_dir,
                   TANDEM_MODULES=args.modules_dir,
                   TANDEM_RESULTS="/run/tandem-vm/results",
                   PATH=f"{args.build_dir}/bin:/usr/local/sbin:/usr/local/bin"
                   ":/usr/sbin:/usr/bin:/sbin:/bin")
        with open(self.share + "/command", "w") as file:
            for name, value in env.items():
                file.write(f"export {name}={shlex.quote(str(value))}\n")
            file.write(f"cd {shlex.quote(os.getcwd())} 2>/dev/null || cd /\n")
            file.write(f"exec -- {shlex.join(args.command)}\n")

    def stream(self, name, passed):
        """The descriptor into which the guest shall write its stream NAME."""
        reader, writer = os.pipe()
        passed.append(writer)
        prefix = self.name.encode()
        if name == "kmsg":
            self.log = Log(reader, prefix, self.args.verbose)
            self.streams.append(self.log)
        else:
            target = 1 if name == "stdout" else 2
            self.streams.append(Stream(reader, target, prefix))
        return writer

    def launch(self, command, passed):
        """Run what runs the guest, which gets the descriptors PASSED."""
        self.errors = open(self.dir + "/errors", "w+")
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self.errors,
                stderr=self.errors, pass_fds=passed, start_new_session=True,
                preexec_fn=die_with_parent)
        except FileNotFoundError:
            raise Failure(f"needs {command[0]}: run 'make deps' first")
        finally:
            for fd in passed:
                os.close(fd)

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def reached(self, mark):
        return os.path.exists(f"{self.share}/{mark}")

    def started(self):
        return self.reached("up")

    def dmesg(self):
        """The log, as whole as it can be had from a guest that may be dead."""
        lines = read_text(self.share + "/dmesg").splitlines()
        if not lines:
            lines = kmsg_text(self.log.raw)
            lines += read_text(self.console).splitlines()
        return lines

    def concerning(self, lines):
        """What of the log is looked at for warnings."""
        return lines

    def status(self):
        """COMMAND's exit status; Failure when the guest did not get there."""
        status = read_text(self.share + "/status").strip()
        if status:
            return int(status)
        error = read_text(self.share + "/error").strip()
        if error:
            raise Failure(f"{self.name}the guest could not be set up: {error}")
        console = read_text(self.console)
        if "Kernel panic" in console:
            self.tail(console)
            line = next(line for line in console.splitlines()
                        if "Kernel panic" in line)
            raise Failure(f"{self.name}the guest's kernel panicked: {line}")
        self.tail(console)
        self.tail(read_text(self.dir + "/errors"))
        what = "ended before COMMAND did" if self.started() else \
            "did not boot"
        raise Failure(f"{self.name}the guest {what} "
                      f"({self.runner}'s exit status {self.process.returncode})")

    def tail(self, text):
        for line in text.splitlines()[-40:]:
            sys.stderr.write(f"{self.name}{line.rstrip()}\n")
