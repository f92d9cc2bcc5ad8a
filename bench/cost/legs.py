# SPDX-License-Identifier: Apache-2.0
"""One leg of a measurement: a command, in a mode, and what it and the sensor took.

Modes: `baseline` without a sensor; `tracked`, the command as the sensor's job; `untracked`, the
command beside a sensor whose job does nothing; `idle`, beside a sensor without a job (idle_source).

The command waits in step.py until the sensor has started, so a leg holds the steady cost only. The
sensor's part is its CPU time from there until it has nothing left to do.
"""
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import bpf

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("CICD_BUILD_DIR", HERE.parents[1] / "build"))
SENSOR = BUILD / "cicd-sensor"
IDLE_SOURCE = BUILD / "bench" / "idle_source"
STEP = [sys.executable, str(HERE / "step.py")]
MODES = ("tracked", "untracked", "idle")

GONE_PATIENCE_S = 20
START_PATIENCE_S = 60
QUIET_S = 0.06          # a sensor that takes less than QUIET_CPU_S in that time has caught up
QUIET_CPU_S = 0.001
CATCH_UP_PATIENCE_S = 60


class LegError(Exception):
    """A leg that measured nothing."""


@dataclasses.dataclass
class Leg:
    mode: str
    cpu_s: float = 0.0         # of the command and all it waited for
    sensor_cpu_s: float = 0.0
    wall_s: float = 0.0
    rss_kib: dict = dataclasses.field(default_factory=dict)  # tracked: without rings, by process
    disturbed: bool = False    # another sensor was there as well
    counts: dict = dataclasses.field(default_factory=dict)   # tracked: of summary.json

    @property
    def total_s(self):
        return self.cpu_s + self.sensor_cpu_s


def process_cpu_s(pid):
    """All threads, also those that have ended; CPUCLOCK_SCHED of the process (timer ABI)."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError:
        return 0.0


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(parent):
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent:
            yield int(entry)


def rss_without_rings_kib(pid):
    """Rss of a process less what it maps of BPF rings and maps."""
    total, is_ring = 0, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                is_ring = "bpf-map" in line
            elif line.startswith("Rss:") and not is_ring:
                total += int(line.split()[1])
    return total


class Started:
    """A process that says `ready` on its output and goes on at a line of input."""

    def __init__(self, argv):
        self.process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def wait_until_ready(self):
        line = self.process.stdout.readline()
        if line != "ready\n":
            raise LegError(f"{self.process.args[0]} did not start: {line!r}")

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(START_PATIENCE_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()


class Sensor:
    """The processes of a running sensor, from the outside."""

    def __init__(self, pid):
        engines = [child for child in children_of(pid) if name_of(child) == "cicd-engine"]
        self.pids = [pid, *engines]
        self.programs = bpf.programs_of(self.pids)

    def cpu_s(self):
        return sum(map(process_cpu_s, self.pids))

    def cpu_when_quiet_s(self):
        end = time.monotonic() + CATCH_UP_PATIENCE_S
        before = self.cpu_s()
        while time.monotonic() < end:
            time.sleep(QUIET_S)
            now = self.cpu_s()
            if now - before < QUIET_CPU_S:
                return now
            before = now
        raise LegError("the sensor does not come to rest")

    def rss_kib(self):
        return {name_of(pid): rss_without_rings_kib(pid) for pid in self.pids}


def wait_until_gone(programs):
    """The kernel lets go of tracepoints in the background; the next leg must not pay for it."""
    end = time.monotonic() + GONE_PATIENCE_S
    while set(bpf.program_ids()) & programs:
        if time.monotonic() > end:
            raise LegError("kernel programs of the last leg are still there")
        time.sleep(0.02)


def _go(step, leg, sensor):
    """The measurement itself: the command runs now."""
    before = sensor.cpu_s() if sensor else 0.0
    step.go()
    line = step.process.stdout.readline()
    if not line.startswith("{"):
        raise LegError(f"the command gave no result: {line!r}")
    result = json.loads(line)
    if result["status"] != 0:
        raise LegError(f"the command failed with {result['status']}")
    leg.cpu_s, leg.wall_s = result["cpu_s"], result["wall_s"]
    if sensor:
        leg.sensor_cpu_s = sensor.cpu_when_quiet_s() - before
        leg.rss_kib = sensor.rss_kib()


def _read_counts(leg, output):
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    leg.counts = {"events": int(summary.get("events_total", 0)),
                  "dropped": int(summary.get("events_dropped", 0))}


def _measure(leg, watched, step, output):
    """`watched`: the process that holds the sensor, or None."""
    sensor = None
    try:
        if watched is not step and watched:
            watched.wait_until_ready()
        step.wait_until_ready()
        sensor = Sensor(watched.process.pid) if watched else None
        own = sensor.programs if sensor else set()
        leg.disturbed = bpf.sensors_besides(own) > 0
        _go(step, leg, sensor)
        leg.disturbed = leg.disturbed or bpf.sensors_besides(own) > 0
    finally:
        step.end()
        if watched and watched is not step:
            watched.end()
    if leg.mode == "tracked":
        _read_counts(leg, output)
    if sensor:
        wait_until_gone(sensor.programs)


def run_leg(mode, folder, command, flags=()):
    leg = Leg(mode)
    step_argv = [*STEP, str(folder), *command]
    output = pathlib.Path(tempfile.mkdtemp(prefix="cicd-cost-"))
    run = [SENSOR, "run", "--quiet", "--output", output, "--report", "json", *flags, "--"]
    try:
        if mode == "baseline":
            _measure(leg, None, Started(step_argv), output)
        elif mode == "tracked":
            step = Started([*run, *step_argv])
            _measure(leg, step, step, output)
        elif mode == "untracked":
            watched = Started([*run, "/bin/sh", "-c", "echo ready; read line; :"])
            _measure(leg, watched, Started(step_argv), output)
        elif mode == "idle":
            _measure(leg, Started([IDLE_SOURCE]), Started(step_argv), output)
        else:
            raise LegError(f"there is no mode {mode}")
    finally:
        shutil.rmtree(output, ignore_errors=True)
    return leg


def run_start_stop():
    """CPU and wall time of a run that does nothing, and of nothing without it."""
    output = tempfile.mkdtemp(prefix="cicd-cost-")
    try:
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([SENSOR, "run", "--quiet", "--output", output, "--", "/bin/true"],
                       check=True, stdin=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"cpu_s": cpu, "wall_s": time.monotonic() - start}
    finally:
        shutil.rmtree(output, ignore_errors=True)
