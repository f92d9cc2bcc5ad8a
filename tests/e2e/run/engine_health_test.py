#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that hangs is replaced as one that was killed is, and a sensor that does not see what it
should says so."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from live_run import LiveRun, is_alive, rows_of, wait_for
from sensor import SENSOR, run_tests

CATS = 40
COMMAND = f"""echo started > "$0"
for i in $(seq {CATS}); do /bin/cat /etc/hostname > /dev/null; sleep 0.01; done; exit 42"""
# Longer than the front waits (heartbeat.h), with room for a loaded machine.
HANG_S = 40


def stop(pid):
    os.kill(pid, signal.SIGSTOP)


def test_an_engine_that_hangs_is_replaced():
    with LiveRun(["sh", "-c", COMMAND, "FOLDER/marks"]) as run:
        wait_for((run.folder / "marks").exists, 10, "the start of the command")
        hung = run.engine()
        begin = time.monotonic()
        stop(hung)
        assert run.front.wait(HANG_S) == 42, run.stderr()
        waited = time.monotonic() - begin
        print(f"# replaced and done after {waited:.1f} s", flush=True)
        assert not is_alive(hung)
        assert "the engine hangs and is ended" in run.stderr(), run.stderr()
        run.expect_nothing_left()
        summary = json.loads((run.output / "summary.json").read_text())
        assert int(summary["sensor_restarts"]) == 1 and summary["exit_code"] == 42, summary
        events = [row["event"] for row in rows_of(run.output / "events.jsonl")]
        cats = sum(e["type"] == "process_exec" and e["process"]["exec_path"].endswith("/cat")
                   for e in events)
        assert cats == CATS, f"{cats} of {CATS} programs seen"
        gaps = [e["monitoring_gap"]["reason"] for e in events if e["type"] == "monitoring_gap"]
        assert gaps == ["sensor_hung"], gaps


def test_the_command_goes_on_while_its_engine_hangs_and_its_end_is_not_hurt():
    with LiveRun(["sh", "-c", "echo > $0; sleep 14; exit 7", "FOLDER/marks"]) as run:
        wait_for((run.folder / "marks").exists, 10, "the start of the command")
        stop(run.engine())
        wait_for(lambda: "takes over" in run.stderr(), HANG_S, "another engine")
        assert run.front.poll() is None, "the command was hurt"
        assert run.front.wait(HANG_S) == 7, run.stderr()
        run.expect_nothing_left()


def test_a_stopped_sensor_that_goes_on_is_no_hang():
    """As Ctrl-Z, or a machine that sleeps: both stand still, and longer than a hang may last."""
    with LiveRun(["sh", "-c", "echo > $0; sleep 14; exit 9", "FOLDER/marks"]) as run:
        wait_for((run.folder / "marks").exists, 10, "the start of the command")
        both = [run.front.pid, run.engine()]
        for pid in both:
            stop(pid)
        time.sleep(12)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        assert run.front.wait(HANG_S) == 9, run.stderr()
        assert "hangs" not in run.stderr(), run.stderr()
        run.expect_nothing_left()


def test_a_self_check_that_fails_is_said_and_stops_nothing():
    """The programs that the self-check starts cannot be run: it does not see an exec."""
    with tempfile.TemporaryDirectory(prefix="cicd-blind-") as name:
        folder = pathlib.Path(name)
        (folder / "no-program").touch(mode=0o644)
        script = """for program in /bin/true /bin/sh /usr/bin/true /bin/busybox; do
              if [ -e $program ]; then mount --bind "$0/no-program" "$(readlink -f $program)"; fi
            done; exec "$@" """
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-ec", script, folder, SENSOR,
             "run", "--output", folder / "out", "--", "cat", "/etc/hostname"],
            capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        problem = "self-check: these did not come through: exec"
        assert f"cicd-sensor: monitoring problem: {problem}" in done.stderr, done.stderr
        assert "MONITORING PROBLEMS" in done.stderr, done.stderr
        summary = json.loads((folder / "out/summary.json").read_text())
        assert summary["monitoring_problems"] == [problem], summary.get("monitoring_problems")


def test_a_self_check_that_passes_says_nothing_and_leaves_no_event():
    with LiveRun(["sh", "-c", "exit 5"]) as run:
        assert run.front.wait(20) == 5 and "problem" not in run.stderr(), run.stderr()
        summary = json.loads((run.output / "summary.json").read_text())
        assert "monitoring_problems" not in summary, summary
        assert summary["losses"] == [], summary["losses"]
        programs = {use["exec_path"] for use in summary["programs"]}
        assert len(programs) == 1 and "true" not in programs.pop(), "the self-check's own is in it"
        assert int(summary["processes"]["total"]) == 1, summary["processes"]


if __name__ == "__main__":
    run_tests(globals())
