# SPDX-License-Identifier: MIT
"""A guest under QEMU."""

import os
import re

from node import Node

OVERLAPS = re.compile(r"DMA-API: exceeded \d+ overlapping mappings")
REPORT_BEGINS = re.compile(r"\[ cut here \]")
REPORT_ENDS = re.compile(r"\[ end trace ")


def without_overlap_reports(lines):
    """The DMA API's debugging counts how often a page is mapped only up to
    seven, and says so when there are more, since that may be a leak. Each importer
    of a dma-buf maps it, so it need not be one; leaks are looked for when a device
    goes, and at the end."""
    kept, report = [], None
    for line in lines:
        if REPORT_BEGINS.search(line):
            kept += report or []
            report = []
        if report is None:
            kept.append(line)
            continue
        report.append(line)
        if REPORT_ENDS.search(line):
            if not any(map(OVERLAPS.search, report)):
                kept += report
            report = None
    return kept + (report or [])


class QemuNode(Node):
    runner = "QEMU"

    # rdma_rxe also wants a crc32, which it does not declare.
    boot_modules = ["virtio_net", "9pnet_virtio", "9p", "overlay",
                    "crc32_generic", "rdma_rxe", "ib_uverbs", "rdma_ucm"]

    def concerning(self, lines):
        return without_overlap_reports(lines)

    def network(self):
        """Two ports on a hub. Node 0's hub joins those of the others."""
        options = []
        for port in range(2):
            options += [
                "-netdev", f"hubport,id=port{port},hubid=0",
                "-device", f"virtio-net-pci,netdev=port{port},romfile=,"
                f"mac=52:54:00:77:{self.index:02x}:{port:02x}"]
        peers = (range(1, self.args.nodes) if self.index == 0
                 else [self.index])
        server = "on" if self.index == 0 else "off"
        for peer in peers:
            path = f"{os.path.dirname(self.dir)}/link{peer}"
            options += [
                "-netdev", f"stream,id=link{peer},server={server},"
                f"addr.type=unix,addr.path={path}",
                "-netdev", f"hubport,id=joint{peer},hubid=0,"
                f"netdev=link{peer}"]
        return options

    def port(self, number, name, passed):
        """QEMU's options for a virtio port of the guest."""
        writer = self.stream(name, passed)
        return ["-chardev", f"file,id={name},path=/dev/fd/{writer}",
                "-device", f"virtserialport,chardev={name},nr={number},"
                f"name=tandem.{name}"]

    def start(self, initramfs):
        args, passed = self.args, []
        # On a busy machine ticks of the emulated timer come so late that the
        # kernel's check of it fails, and the kernel panics: no_timer_check.
        append = ("console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable "
                  "no_timer_check "
                  "random.trust_cpu=on log_buf_len=4M "
                  "kfence.sample_interval=100 "
                  # QEMU 7.2 may run a stale translation of code that another
                  # processor has just patched (fixed in 8.1), and the kernel
                  # patches itself as it boots: that is better done alone.
                  "maxcpus=1 "
                  # On a busy host a guest stands still for long.
                  "rcupdate.rcu_cpu_stall_timeout=120 "
                  "sysctl.kernel.watchdog_thresh=60 " + args.append)
        # Emulation carries out "rep movsb" byte by byte, and memcpy() takes that
        # where the processor says that it is fast.
        cpu = "max,-erms,-fsrm"
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", cpu,
            "-smp", str(args.cpus), "-m", args.memory,
            "-display", "none", "-monitor", "none", "-no-reboot",
            "-kernel", self.kernel + "/vmlinux", "-initrd", initramfs,
            "-append", append, "-serial", "file:" + self.console,
            "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,"
            "multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
            "-fsdev", f"local,id=share,path={self.share},"
            "security_model=none",
            "-device", "virtio-9p-pci,fsdev=share,mount_tag=share",
            "-device", "virtio-serial-pci"]
        for number, name in enumerate(("stdout", "stderr", "kmsg"), 1):
            command += self.port(number, name, passed)
        command += self.network() + args.qemu
        self.launch(command, passed)
