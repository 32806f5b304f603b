# SPDX-License-Identifier: MIT
"""A guest under User Mode Linux: a kernel that is a process of the host."""

import os

from node import Failure, Node


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

    def launch(self, command, passed):
        # The kernel's own console is its standard error.
        super().launch(command, passed)
        os.symlink("errors", self.console)
