# SPDX-License-Identifier: MIT
"""A guest under User Mode Linux: a kernel that is a process of the host."""

import os
import re

from node import Failure, Node

RCU_REPORT = re.compile(r"WARNING: suspicious RCU usage")
STACK = re.compile(r"Call Trace:|\[<[0-9a-f]+>\]")


def rcu_report_end(lines, start):
    """Where the report ends that starts there: after its last stack."""
    number = start
    while number < len(lines) and "Call Trace:" not in lines[number]:
        number += 1
    while number < len(lines) and STACK.search(lines[number]):
        number += 1
    return number


def without_tlb_reports(lines):
    """User Mode Linux walks a process's mappings in flush_tlb_mm() without
    holding what protects them, which lockdep reports. With one processor there
    is no harm, and it concerns no driver."""
    kept, number = [], 0
    while number < len(lines):
        end = number + 1
        if RCU_REPORT.search(lines[number]):
            end = rcu_report_end(lines, number)
            report = "\n".join(lines[number:end])
            if "lib/maple_tree.c" in report and "flush_tlb_mm" in report:
                number = end
                continue
        kept += lines[number:end]
        number = end
    return kept


class UmlNode(Node):
    runner = "User Mode Linux"

    def start(self, initramfs):
        args, passed = self.args, []
        if args.nodes > 1:
            raise Failure("User Mode Linux: one node only")
        command = [self.kernel + "/linux", f"mem={args.memory}",
                   f"initrd={initramfs}", f"tandem.share={self.share}",
                   f"uml_dir={self.dir}", "con=null", "con0=null,fd:2",
                   "log_buf_len=4M", "panic=0", "kunit.enable=1"]
        for number, name in enumerate(("stdout", "stderr", "kmsg"), 1):
            command.append(f"con{number}=null,fd:{self.stream(name, passed)}")
        command += args.append.split()
        self.launch(command, passed)

    def concerning(self, lines):
        return without_tlb_reports(lines)

    def launch(self, command, passed):
        # The kernel's own console is its standard error.
        super().launch(command, passed)
        os.symlink("errors", self.console)
