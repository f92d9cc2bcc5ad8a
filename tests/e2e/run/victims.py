# SPDX-License-Identifier: Apache-2.0
"""The job of terminate_test.py: starts processes that are hard to end, writes their pids to
FOLDER/pids (one "name pid" a line), waits for FOLDER/go, and pulls the trigger.
Usage: victims.py FOLDER NAME..."""
import ctypes
import os
import pathlib
import resource
import signal
import struct
import sys
import time

FOLDER = pathlib.Path(sys.argv[1])
LIBC = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
SYS_CLONE3 = 435
CLONE_INTO_CGROUP = 0x200000000
DEADLINE = time.monotonic() + 60  # nothing of this outlives a sensor that fails


def note(name, pid=None):
    with open(FOLDER / "pids", "a", encoding="ascii") as pids:
        pids.write(f"{name} {pid or os.getpid()}\n")


def sleep_on():
    while time.monotonic() < DEADLINE:
        time.sleep(0.2)
    os._exit(0)


def fork(body):
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(1)
    return pid


def own_cgroup():
    mount = next(line.split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8")
                 if " - cgroup2 " in line)
    own = next(line[3:].strip() for line in open("/proc/self/cgroup", encoding="utf-8")
               if line.startswith("0::"))
    return pathlib.Path(mount + own)


def ignorer():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    note("ignorer")
    sleep_on()


def stopped():
    note("stopped")
    os.kill(os.getpid(), signal.SIGSTOP)
    sleep_on()


def daemon():
    def second():
        os.setsid()
        fork(lambda: (note("daemon"), sleep_on()))
        os._exit(0)
    os.waitpid(fork(second), 0)


def traced():
    def body():
        LIBC.ptrace(0, 0, None, None)  # TRACEME
        note("traced")
        os.kill(os.getpid(), signal.SIGUSR1)  # stops for the tracer, which never lets it go on
        sleep_on()
    os.waitpid(fork(body), os.WUNTRACED)


def nested():
    inner = own_cgroup() / "inner" / "most"
    inner.mkdir(parents=True)

    def body():
        (inner / "cgroup.procs").write_text(str(os.getpid()))
        note("nested")
        sleep_on()
    fork(body)


def moved():
    """The test moves it out of the job's cgroup."""
    fork(lambda: (note("moved"), sleep_on()))


def cloned():
    """Leaves the job's cgroup at its birth: the folder FOLDER/outside is a link to another."""
    fd = os.open(FOLDER / "outside", os.O_RDONLY | os.O_DIRECTORY)
    args = struct.pack("=11Q", CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, fd)
    pid = LIBC.syscall(SYS_CLONE3, args, len(args))
    if pid == 0:
        note("cloned")
        sleep_on()
    assert pid > 0, os.strerror(ctypes.get_errno())


def explode():
    resource.setrlimit(resource.RLIMIT_NPROC, (1000, 1000))  # should the sensor fail
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    note("bomb")
    while time.monotonic() < DEADLINE:
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)
    os._exit(0)


def bomb():
    fork(explode)


def escaped_bomb():
    def body():
        (FOLDER / "outside" / "cgroup.procs").write_text(str(os.getpid()))
        explode()
    fork(body)


def threaded():
    """A threaded cgroup has no list of processes and cannot be killed by itself."""
    inner = own_cgroup() / "threads"
    inner.mkdir()
    (inner / "cgroup.type").write_text("threaded")

    def body():
        (inner / "cgroup.threads").write_text(str(os.getpid()))
        note("threaded")
        sleep_on()
    fork(body)


def kidnap():
    """Moves the sensor itself into the job's cgroup."""
    front = os.getppid()
    children = pathlib.Path(f"/proc/{front}/task/{front}/children").read_text().split()
    for pid in [str(front), *(child for child in children if int(child) != os.getpid())]:
        (own_cgroup() / "cgroup.procs").write_text(pid)
    note("kidnap")


def main():
    (FOLDER / "pids").touch(mode=0o666)
    (FOLDER / "pids").chmod(0o666)
    note("command")
    for name in sys.argv[2:]:
        child = globals()[name]
        if name in ("ignorer", "stopped"):
            fork(child)
        else:
            child()
    while any(f"{name.rpartition('_')[2]} " not in (FOLDER / "pids").read_text()
              for name in sys.argv[2:]):
        time.sleep(0.005)
    (FOLDER / "up").touch()
    while not (FOLDER / "go").exists() and time.monotonic() < DEADLINE:
        time.sleep(0.005)
    open("/etc/shadow", "rb").close()
    time.sleep(5)
    (FOLDER / "survived").touch()


main()
