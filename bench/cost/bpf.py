# SPDX-License-Identifier: Apache-2.0
"""bpf(2), as far as a benchmark needs it: which programs are loaded and how long they ran."""
import ctypes
import dataclasses
import errno
import os
import platform
import struct

BPF_PROG_GET_NEXT_ID = 11
BPF_PROG_GET_FD_BY_ID = 13
BPF_OBJ_GET_INFO_BY_FD = 15
BPF_ENABLE_STATS = 32

_NUMBER = {"x86_64": 321, "aarch64": 280}
_libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(frozen=True)
class ProgramInfo:
    """Of struct bpf_prog_info; the name is cut by the kernel to 15 characters."""
    number: int
    name: str
    run_time_ns: int
    run_count: int
    missed: int


def _bpf(command, attributes):
    number = _NUMBER.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, "bpf(2): the number of the call is not known here")
    memory = ctypes.create_string_buffer(attributes, max(len(attributes), 128))
    result = _libc.syscall(number, command, memory, len(memory))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result, memory.raw


def enable_stats():
    """From now on programs count; until the descriptor that is returned is closed."""
    return _bpf(BPF_ENABLE_STATS, struct.pack("I", 0))[0]


def program_ids():
    ids, last = [], 0
    while True:
        try:
            _, out = _bpf(BPF_PROG_GET_NEXT_ID, struct.pack("II", last, 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return ids
            raise
        last = struct.unpack_from("I", out, 4)[0]
        ids.append(last)


def program_info(number):
    """None when the program is gone."""
    try:
        fd, _ = _bpf(BPF_PROG_GET_FD_BY_ID, struct.pack("I", number))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    try:
        info = ctypes.create_string_buffer(256)
        _bpf(BPF_OBJ_GET_INFO_BY_FD,
             struct.pack("IIQ", fd, len(info), ctypes.addressof(info)))
    finally:
        os.close(fd)
    name = info.raw[64:80].split(b"\0")[0].decode("ascii", "replace")
    time_ns, count, missed = struct.unpack_from("QQQ", info.raw, 192)
    return ProgramInfo(number, name, time_ns, count, missed)


def programs_of(pids):
    """Ids of the programs that these processes hold open."""
    found = set()
    for pid in pids:
        folder = f"/proc/{pid}/fdinfo"
        for fd in os.listdir(folder):
            try:
                with open(f"{folder}/{fd}", encoding="ascii", errors="replace") as lines:
                    for line in lines:
                        if line.startswith("prog_id:"):
                            found.add(int(line.split()[1]))
            except FileNotFoundError:
                continue
    return found


def sensors_besides(own):
    """How many sensors of others are there: each has a program for exec."""
    names = [info.name for info in map(program_info, set(program_ids()) - set(own)) if info]
    return names.count("process_exec")
