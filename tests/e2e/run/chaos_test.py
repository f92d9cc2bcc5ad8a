#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the front, of the engine and of both, at random moments: the command goes on and keeps
its exit code, and soon after its end nothing of the sensor is left.
CHAOS_ROUNDS: how often each. CHAOS_SEED: the moments of an earlier run again."""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

from live_run import LiveRun, children_of, is_alive, name_of, rows_of, wait_for
from sensor import SENSOR, run_tests

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "6"))
STEPS = 25
EXIT_CODE = 42
# Notes its start and end, so that a command that was hurt is told from one that was not; the outer
# shell notes the exit code of the inner one.
COMMAND = f"""echo started > "$0"
sh -c 'for i in $(seq {STEPS}); do /bin/cat /etc/hostname > /dev/null; sleep 0.01; done
exit {EXIT_CODE}'
code=$?
echo "ended $code" >> "$0"
exit $code"""
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 1 << 30)
RANDOM = random.Random(SEED)


def marks_of(run):
    path = run.folder / "marks"
    return path.read_text().splitlines() if path.exists() else []


def start(steps=STEPS, **popen):
    script = COMMAND.replace(f"seq {STEPS}", f"seq {steps}")
    return LiveRun(["sh", "-c", script, "FOLDER/marks"], **popen)


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for_command(run):
    """Until the command, if it was started at all, has ended; what it noted."""
    wait_for(lambda: not run.job_processes(), 20, "the end of the command")
    marks = marks_of(run)
    if marks:
        assert marks == ["started", f"ended {EXIT_CODE}"], f"the command was hurt: {marks}"
    return marks


def wait_a_while(run, longest_s, until_started=False):
    """A random while, in which the processes of the run are noted; from the start of the command
    or, so that the sensor's own start is hit as well, from that of the sensor."""
    if until_started:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
    end = time.monotonic() + RANDOM.uniform(0, longest_s)
    while time.monotonic() < end:
        run.look()
        time.sleep(0.002)
    run.look()


def test_front_killed():
    ended = 0
    for round_ in range(ROUNDS):
        with start() as run:
            wait_a_while(run, 0.6, until_started=round_ % 2 == 0)
            kill(run.front.pid)
            run.front.wait()
            ended += len(wait_for_command(run)) == 2
            run.expect_nothing_left()
            summary = run.output / "summary.json"
            if marks_of(run) and summary.exists():
                data = json.loads(summary.read_text())
                assert data["finalize_reason"] in ("sensor_front_lost", "command_exit"), data
    assert ended > 0, f"no round got as far as the command (seed {SEED})"


def test_front_killed_in_the_middle_still_gives_every_output():
    with start() as run:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
        assert run.look(), "the test does not see what it is to miss later"
        kill(run.front.pid)
        run.front.wait()
        wait_for_command(run)
        run.expect_nothing_left()
        expect_all_seen(run, "sensor_front_lost", restarts=0)


def test_whole_process_group_killed_still_gives_every_output():
    with start(start_new_session=True) as run:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
        run.look()
        os.killpg(run.front.pid, signal.SIGKILL)  # as runners do: front and command at once
        run.front.wait()
        run.expect_nothing_left()
        summary = json.loads((run.output / "summary.json").read_text())
        assert summary["finalize_reason"] == "sensor_front_lost", summary
        assert summary["exit_code"] == 137, "the command's end was not seen"


def test_front_killed_and_something_left_running():
    with LiveRun(["sh", "-c", 'sleep 4 & echo $! > "$0"; sleep 0.3', "FOLDER/marks"]) as run:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
        run.look()
        kill(run.front.pid)
        run.front.wait()
        time.sleep(0.3)
        run.expect_nothing_left()
        sleeper = int(marks_of(run)[0])
        assert is_alive(sleeper), "what the command left running was ended"
        summary = json.loads((run.output / "summary.json").read_text())
        assert summary["processes"]["left_running"] == 1, summary
        kill(sleeper)


def test_engine_killed():
    for _ in range(ROUNDS):
        with start() as run:
            wait_for(lambda: run.look() or run.front.poll() is not None, 10, "an engine")
            wait_a_while(run, 0.5)
            kill(max(run.engines, key=is_alive))
            assert run.front.wait(20) == EXIT_CODE, run.stderr()
            assert marks_of(run) == ["started", f"ended {EXIT_CODE}"], marks_of(run)
            run.expect_nothing_left()
            restarts = json.loads((run.output / "summary.json").read_text()).get("sensor_restarts", 0)
            expect_all_seen(run, "command_exit", restarts=int(restarts))


def test_engine_killed_again_and_again():
    with start() as run:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
        for _ in range(3):
            kill(run.engine())
            time.sleep(0.05)
        assert run.front.wait(20) == EXIT_CODE, run.stderr()
        run.expect_nothing_left()
        expect_all_seen(run, "command_exit", restarts=3)


def test_engine_killed_when_everything_belongs_to_another_user():
    nobody = {"SUDO_UID": "65534", "SUDO_GID": "65534"}
    with start(env={**os.environ, **nobody}) as run:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
        journal = next(run.output.glob(".cicd-sensor-*"))
        assert journal.stat().st_uid == 65534 and journal.stat().st_mode & 0o777 == 0o600
        kill(run.engine())
        assert run.front.wait(20) == EXIT_CODE, run.stderr()
        run.expect_nothing_left()
        expect_all_seen(run, "command_exit", restarts=1)
        assert {path.stat().st_uid for path in run.output.iterdir()} == {65534}


def test_engine_killed_too_often_gives_up_but_not_the_command():
    with start() as run:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
        for _ in range(4):
            kill(run.engine())
            time.sleep(0.02)
        assert run.front.wait(20) == EXIT_CODE, run.stderr()
        assert "not watched" in run.stderr(), run.stderr()
        assert marks_of(run)[-1] == f"ended {EXIT_CODE}"
        run.expect_nothing_left()


def test_engine_killed_after_the_disk_was_full():
    """The journal is gone then: the next engine says from when on it cannot know, and goes on."""
    with tempfile.TemporaryDirectory(prefix="cicd-full-") as name:
        folder = pathlib.Path(name)
        (folder / "small").mkdir()
        # Fills the disk, frees it again, waits for the kill, and does what must be seen.
        job = f"""exec 2>/dev/null
            for i in $(seq 200); do cat /etc/hostname > /dev/null; done
            cat /dev/zero > {folder}/small/zero; cat /etc/hostname > /dev/null; sleep 0.1
            rm {folder}/small/zero; echo up > {folder}/up
            while ! [ -e {folder}/go ]; do sleep 0.02; done; cat /etc/passwd > /dev/null; exit 8"""
        script = f"""mount -t tmpfs -o size=700k none {folder}/small
            code=0; "$@" || code=$?; cp -r {folder}/small/out {folder}/copy; exit $code"""
        with open(folder / "stderr", "wb") as err:
            outer = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", SENSOR,
                 "run", "--output", folder / "small/out", "--", "sh", "-c", job],
                stdout=subprocess.DEVNULL, stderr=err)
        wait_for((folder / "up").exists, 20, "the full disk")
        front = next(pid for pid in children_of(outer.pid) if name_of(pid) == "cicd-sensor")
        kill(next(pid for pid in children_of(front) if name_of(pid) == "cicd-engine"))
        (folder / "go").touch()
        assert outer.wait(20) == 8, (folder / "stderr").read_text()
        events = [row["event"] for row in rows_of(folder / "copy/events.jsonl")]
        gaps = {e["monitoring_gap"]["reason"] for e in events if e["type"] == "monitoring_gap"}
        assert gaps == {"sensor_restarted", "journal_incomplete"}, gaps
        assert any(e["type"] == "file_open" and e["file_open"]["path"] == "/etc/passwd"
                   for e in events), "what came after the restart was not seen"


def test_both_killed_and_the_next_run_cleans_up():
    for round_ in range(ROUNDS):
        with start() as run:
            wait_a_while(run, 0.6, until_started=round_ % 2 == 0)
            kill(run.front.pid)
            for engine in run.engines:
                kill(engine)
            run.front.wait()
            run.look()
            for engine in run.engines:  # one that was forked in between
                kill(engine)
            wait_for_command(run)
            # The kernel's part goes by itself, with nobody to help.
            run.expect_nothing_left(with_cgroup=False)
            subprocess.run([SENSOR, "run", "--quiet", "--output", run.folder / "next", "--", "true"],
                           check=True, timeout=20)
            run.expect_nothing_left()


def kill_both(run):
    run.look()
    for pid in [run.front.pid, *run.engines]:
        kill(pid)
    run.front.wait()


def execs_of(run):
    return sum(row["event"]["type"] == "process_exec" for row in rows_of(run.output / "events.jsonl"))


def test_both_killed_and_the_next_run_finishes_the_outputs():
    # Of a job that the next run knows nothing of.
    platform = {"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_REPOSITORY": "octo/app", "GITHUB_RUN_ID": "7", "GITHUB_JOB": "build",
                "GITHUB_RUN_ATTEMPT": "1", "RUNNER_TRACKING_ID": "github_7"}
    with start(steps=100, env={**os.environ, **platform}) as run:
        wait_for(lambda: run.output.exists() and execs_of(run) > 10, 10, "some rows")
        kill_both(run)
        before = execs_of(run)
        wait_for_command(run)
        done = subprocess.run([SENSOR, "run", "--report", "json", "--output", run.folder / "next", "--",
                               "true"], check=True, timeout=20, capture_output=True, text=True)
        assert "wrote its outputs from its journal" in done.stderr, done.stderr
        summary = json.loads((run.output / "summary.json").read_text())
        assert summary["finalize_reason"] == "sensor_killed", summary
        assert "killed" in summary["monitoring_problems"][0], summary
        assert summary["command"][0] == "sh" and "exit_code" not in summary, summary
        job = summary["job"]
        assert job["project_path"] == "octo/app" and job["github_run_id"] == "7", job
        assert job["job_link"] == "https://github.com/octo/app/actions/runs/7", job
        page = (run.output / "report.html").read_text()
        assert '"reason":"sensor_killed"' in page, "the page of the dead run is missing or another's"
        after = execs_of(run)
        assert before - 5 <= after <= 105, f"{before} programs before, {after} after"
        events = [row["event"] for row in rows_of(run.output / "events.jsonl")]
        assert events[-1]["type"] == "monitoring_gap", events[-1]
        assert int(summary["events_total"]) == len(events)
        assert all(path.stat().st_uid == os.getuid() for path in run.output.iterdir())
        run.expect_nothing_left()


def test_both_killed_and_outputs_of_others_are_left_alone():
    with start(steps=150) as run:
        wait_for(lambda: run.output.exists() and execs_of(run) > 10, 10, "some rows")
        kill_both(run)
        # Another run writes to the same folder while the command of the first one goes on.
        again = [SENSOR, "run", "--quiet", "--output"]
        subprocess.run([*again, run.output, "--", "true"], check=True, timeout=20)
        theirs = {path.name: path.read_bytes() for path in run.output.iterdir()}
        wait_for_command(run)
        subprocess.run([*again, run.folder / "next", "--", "true"], check=True, timeout=20)
        run.expect_nothing_left()
        assert {name: data for name, data in theirs.items() if "journal" not in name} == \
            {path.name: path.read_bytes() for path in run.output.iterdir()}


def test_next_run_leaves_a_running_command_alone():
    # It runs until it is told to end: how long another run takes, nobody knows.
    script = f"""echo started > "$0"; while ! [ -e "$1" ]; do sleep 0.01; done
        echo "ended {EXIT_CODE}" >> "$0"; exit {EXIT_CODE}"""
    with LiveRun(["sh", "-c", script, "FOLDER/marks", "FOLDER/go"]) as run:
        wait_for(lambda: marks_of(run), 10, "the start of the command")
        run.look()
        kill(run.front.pid)
        for engine in run.engines:
            kill(engine)
        run.front.wait()
        clean = [SENSOR, "run", "--quiet", "--output", run.folder / "next", "--", "true"]
        subprocess.run(clean, check=True, timeout=20)
        assert run.job_processes(), "the command was hurt"
        assert run.cgroup.exists(), "the cgroup of a running command was touched"
        (run.folder / "go").touch()
        wait_for_command(run)
        subprocess.run(clean, check=True, timeout=20)
        run.expect_nothing_left()


def expect_all_seen(run, reason, restarts):
    """Outputs that are whole: every program of the command, the end of it, nothing lost."""
    summary = json.loads((run.output / "summary.json").read_text())
    assert summary["finalize_reason"] == reason, summary["finalize_reason"]
    assert int(summary.get("sensor_restarts", 0)) == restarts, summary
    assert int(summary.get("events_dropped", 0)) == 0, summary
    events = [row["event"] for row in rows_of(run.output / "events.jsonl")]
    cats = sum(e["type"] == "process_exec" and e["process"]["exec_path"].endswith("/cat")
               for e in events)
    assert cats == STEPS, f"{cats} of {STEPS} programs seen (seed {SEED})"
    opens = sum(e["type"] == "file_open" and e["file_open"]["path"] == "/etc/hostname"
                for e in events)
    assert opens == STEPS, f"{opens} of {STEPS} opens seen (seed {SEED})"
    gaps = sum(e["type"] == "monitoring_gap" for e in events)
    assert gaps == restarts, f"{gaps} gaps, {restarts} restarts"


if __name__ == "__main__":
    run_tests(globals())
