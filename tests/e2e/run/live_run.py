# SPDX-License-Identifier: Apache-2.0
"""A `cicd-sensor run` under way, for tests that do things to it: its two processes, the traces it may
leave in the system, and waiting for those to be gone."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import SENSOR, rows_of  # noqa: E402,F401

STATE = pathlib.Path("/run/cicd-sensor/runs")
BPFTOOL = shutil.which("bpftool", path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def own_cgroup():
    mount = next(line.split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8")
                 if " - cgroup2 " in line)
    own = next(line[3:].strip() for line in open("/proc/self/cgroup", encoding="utf-8")
               if line.startswith("0::"))
    return pathlib.Path(mount + own)


def wait_for(condition, timeout_s, what):
    """Waits until `condition` gives something true and returns that."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.005)


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def children_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class LiveRun:
    """"FOLDER" in the command and the flags stands for a folder of this run's own; `prepare` is
    called with it before the run starts."""

    def __init__(self, command, flags=(), prepare=None, **popen):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-run-"))
        self.folder.chmod(0o777)  # some commands run as another user
        self.output = self.folder / "out"
        self.programs = set()
        self.engines = set()
        if prepare:
            prepare(self.folder)
        with open(self.folder / "stderr", "wb") as err:
            self.front = subprocess.Popen(
                [str(word).replace("FOLDER", str(self.folder))
                 for word in (SENSOR, "run", "--quiet", "--output", self.output, *flags, "--",
                              *command)],
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": err, **popen})
        self.cgroup = None

    def look(self):
        """Notes what the run has: cgroup, engine, kernel programs. True once it has all."""
        pid = self.front.pid
        found = list(own_cgroup().glob(f"cicd-sensor-run-{pid}-*"))
        self.cgroup = self.cgroup or (found[0] if found else None)
        self.engines.update(c for c in children_of(pid) if name_of(c) == "cicd-engine")
        for info in pathlib.Path(f"/proc/{pid}/fdinfo").glob("*"):
            try:
                for line in info.read_text(encoding="ascii", errors="replace").splitlines():
                    if line.startswith("prog_id:"):
                        self.programs.add(line.split()[1])
            except OSError:
                continue
        return bool(self.cgroup and self.engines and self.programs)

    def job_processes(self):
        """Processes in the job's cgroup; it may not be known yet, or not any more."""
        self.look()
        try:
            return (self.cgroup / "cgroup.procs").read_text().split() if self.cgroup else []
        except OSError:
            return []

    def engine(self):
        """The engine that lives now."""
        def living():
            self.look()
            return next((pid for pid in self.engines if is_alive(pid)), None)
        return wait_for(living, 5, "an engine")

    def leftovers(self, with_cgroup=True):
        """Everything of this run that is still there."""
        pid = self.front.pid
        left = [f"process {p} ({name_of(p)})" for p in self.engines | {pid} if is_alive(p)]
        left += [f"state {path.name}" for path in STATE.glob(f"{pid}-*")] if with_cgroup else []
        if with_cgroup:
            left += [f"cgroup {path.name}" for path in own_cgroup().glob(f"cicd-sensor-run-{pid}-*")]
            left += [f"file {path.name}" for path in self.output.glob(".cicd-sensor-*")]
        # A link holds its program; a program that is gone has no link.
        for program in sorted(self.programs):
            shown = subprocess.run([BPFTOOL, "prog", "show", "id", program], capture_output=True,
                                   check=False)
            if shown.returncode == 0:
                left.append(f"kernel program {program}")
                break
        return left

    def expect_nothing_left(self, within_s=2.0, with_cgroup=True):
        end = time.monotonic() + within_s
        while left := self.leftovers(with_cgroup):
            if time.monotonic() > end:
                raise AssertionError(f"left {within_s} s after the end: {'; '.join(left)}\n" +
                                     self.stderr())
            time.sleep(0.02)

    def stderr(self):
        return (self.folder / "stderr").read_text(errors="replace")

    def close(self):
        if self.front.poll() is None:
            self.front.kill()
            self.front.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
