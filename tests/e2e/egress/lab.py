# SPDX-License-Identifier: Apache-2.0
"""A job's network for tests of egress control: this process moves to a network namespace of its own
that is joined to the world (world.py) by a veth pair; names come from the world's name server. All of
it is gone when this process is. Lab().contacts() is what has reached the world."""
import atexit
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import Skip  # noqa: E402

CLONE_NEWNS, CLONE_NEWNET, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x40000000, 4096, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)
HERE = pathlib.Path(__file__).resolve().parent


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Lab:
    def __init__(self):
        for program in ("ip", "unbound", "nft"):
            if not any(pathlib.Path(folder, program).exists()
                       for folder in (*os.get_exec_path(), "/usr/sbin", "/sbin")):
                raise Skip(f"{program} is missing; run: make deps")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-lab-"))
        self.owner, self.world = os.getpid(), None
        atexit.register(self.close)
        self.log = self.folder / "contacts"
        check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
        check(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
        self.world = subprocess.Popen(
            [sys.executable, str(HERE / "world.py"), str(self.log), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: LIBC.prctl(1, signal.SIGTERM))
        assert self.world.stdout.readline() == "ready\n"
        ip("link", "set", "lo", "up")
        ip("link", "add", "job0", "type", "veth", "peer", "name", "world0", "netns",
           str(self.world.pid))
        ip("addr", "add", "198.18.0.2/24", "dev", "job0")
        ip("-6", "addr", "add", "2001:db8:1::2/64", "dev", "job0", "nodad")
        ip("link", "set", "job0", "up")
        self.world.stdin.write("go\n")
        self.world.stdin.flush()
        assert self.world.stdout.readline() == "up\n"
        ip("route", "add", "default", "via", "198.18.0.1")
        ip("-6", "route", "add", "default", "via", "2001:db8:1::1")
        self.names_from("198.18.0.1")
        self.wait_for_names()

    def names_from(self, server):
        for path, text in (("/etc/resolv.conf", f"nameserver {server}\noptions timeout:2 attempts:2\n"),
                           ("/etc/nsswitch.conf", "hosts: files dns\n")):
            ours = self.folder / pathlib.Path(path).name
            ours.write_text(text)
            check(LIBC.mount(str(ours).encode(), os.path.realpath(path).encode(), None, MS_BIND,
                             None), path)

    @staticmethod
    def wait_for_names():
        query = b"\0\1\1\0\0\1\0\0\0\0\0\0\x07allowed\x04test\0\0\1\0\1"
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(0.3)
                try:
                    asking.sendto(query, ("198.18.0.1", 53))
                    if asking.recv(512)[3] & 15 == 0:
                        return
                except OSError:
                    time.sleep(0.05)
        raise AssertionError("the name server of the world does not answer")

    def contacts(self, **wanted):
        """What has reached the world, with these members."""
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [each for each in lines if all(each[k] == v for k, v in wanted.items())]

    def reached(self, **wanted):
        """The same, of what is on its way: a connection stands before the world has written it down."""
        deadline = time.monotonic() + 5
        while not self.contacts(**wanted) and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.contacts(**wanted)

    def questions(self):
        """The names that the world's name server was asked for."""
        text = (self.folder / "questions").read_text()
        return {line.split()[-3].rstrip(".").lower() for line in text.splitlines() if line.endswith(" IN")}

    def forget(self):
        self.log.write_text("")
        os.truncate(self.folder / "questions", 0)

    def close(self):
        """At the latest when the test ends; not when a child of it does."""
        if self.owner != os.getpid() or not self.folder.exists():
            return
        if self.world:
            self.world.stdin.close()
            self.world.wait(10)
        for path in sorted(self.folder.iterdir()):
            path.unlink()
        self.folder.rmdir()
