# SPDX-License-Identifier: Apache-2.0
"""System calls that Python has no function for. A call that the kernel refuses was still tried."""
import ctypes
import mmap
import os
import platform
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
IS_X86 = platform.machine() == "x86_64"
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND = 4096
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_POKEDATA = 0x4206, 0x4207, 5
NUMBERS = {"process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
           "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "mount": (165, 40),
           "unshare": (272, 97), "setns": (308, 268), "init_module": (175, 105), "bpf": (321, 280),
           "capset": (126, 91), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426)}


def call(name, *arguments):
    """The result, or -1; the error does not matter here."""
    return LIBC.syscall(ctypes.c_long(NUMBERS[name][0 if IS_X86 else 1]), *[
        ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])


def mount(source, target, kind=None, flags=0):
    if call("mount", source.encode(), str(target).encode(), kind and kind.encode(), flags, None):
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


def vm_call(name, pid):
    """Of a byte at an address that nobody has."""
    here = ctypes.create_string_buffer(1)
    local = struct.pack("QQ", ctypes.addressof(here), 1)
    remote = struct.pack("QQ", 4096, 1)
    call(name, pid, local, 1, remote, 1, 0)


def bpf(command):
    call("bpf", command, ctypes.create_string_buffer(128), 128)


def regain_capabilities():
    """Becomes nobody, keeps what it may have, and takes it back by capset."""
    LIBC.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setresuid(65534, 65534, 65534)
    status = open("/proc/self/status", encoding="ascii").read()
    permitted = int(status.split("CapPrm:")[1].split()[0], 16)
    low, high = permitted & 0xffffffff, permitted >> 32
    header = struct.pack("II", 0x20080522, 0)
    call("capset", header, struct.pack("6I", low, low, 0, high, high, 0))


class Ring:
    """An io_uring for one request."""

    def __init__(self):
        params = ctypes.create_string_buffer(120)
        self.fd = call("io_uring_setup", 4, params)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        entries = struct.unpack_from("I", params.raw, 0)[0]
        offsets = struct.unpack_from("7I", params.raw, 40)
        self.tail, self.array = offsets[1], offsets[6]
        self.ring = mmap.mmap(self.fd, self.array + entries * 4, offset=0)
        self.requests = mmap.mmap(self.fd, entries * 64, offset=0x10000000)

    def do(self, operation, fd, address, length, offset=0):
        request = struct.pack("BBHiQQII", operation, 0, 0, fd, offset, address, length, 0)
        self.requests[:len(request)] = request
        struct.pack_into("I", self.ring, self.array, 0)
        struct.pack_into("I", self.ring, self.tail, 1)
        call("io_uring_enter", self.fd, 1, 1, 1, None, 0)

    def open(self, path):
        text = ctypes.create_string_buffer(str(path).encode())
        self.do(18, -100, ctypes.addressof(text), 0)

    def connect(self, fd, port):
        address = struct.pack("=H", 2) + struct.pack(">H4s8x", port, b"\x7f\0\0\1")
        text = ctypes.create_string_buffer(address)
        self.do(16, fd, ctypes.addressof(text), 0, len(address))
