#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rules with the action `terminate`: every process of the job dies, however it resists and wherever
it went, and none else. The times from the act to the death are printed for information."""
import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from live_run import LiveRun, is_alive, own_cgroup, rows_of, wait_for
from sensor import SENSOR, Run, run_tests

VICTIMS = pathlib.Path(__file__).resolve().parent / "victims.py"
RULE = """rule_sets:
  - ruleset_id: test
    rules:
      - {rule_id: shadow_read, event_type: file_open, condition: 'path == "/etc/shadow"', action: %s}
"""
# What sends past every hook of a job's network is ended at the door.
PAST_EGRESS = """rule_sets:
  - ruleset_id: test
    rules:
      - rule_id: packet_socket
        event_type: socket_create
        condition: 'family == "AF_PACKET" || family == "AF_XDP" || family == "AF_VSOCK"'
        action: terminate
      - {rule_id: tun, event_type: file_open, condition: 'path == "/dev/net/tun"', action: terminate}
"""
TERMINATED = 91
PTRACE_ATTACH = 16


@contextlib.contextmanager
def foreign_cgroup():
    """A cgroup beside the job's, with a process in it that has nothing to do with it."""
    folder = own_cgroup() / f"cicd-terminate-test-{os.getpid()}-{random.randrange(1 << 30)}"
    folder.mkdir()
    with subprocess.Popen(["sleep", "300"]) as foreigner:
        try:
            (folder / "cgroup.procs").write_text(str(foreigner.pid))
            yield folder, foreigner
        finally:
            (folder / "cgroup.kill").write_text("1")
            foreigner.wait()
            wait_for(lambda: "populated 0" in (folder / "cgroup.events").read_text(), 10, "its end")
            folder.rmdir()


@contextlib.contextmanager
def victims(*names, flags=(), outside=None, **popen):
    """A run whose job consists of these, all up; it waits for pull_trigger()."""
    def prepare(folder):
        (folder / "rules.yaml").write_text(RULE % "terminate")
        if outside:
            (folder / "outside").symlink_to(outside)
    command = [sys.executable, VICTIMS, "FOLDER", *names]
    with LiveRun(command, ["--baseline", "off", "--rules", "FOLDER/rules.yaml", *flags],
                 prepare=prepare, **popen) as run:
        try:
            wait_for((run.folder / "up").exists, 20, "the job to be up")
            wait_for(run.look, 5, "the run")
            yield run
        finally:
            if run.cgroup and run.cgroup.exists():  # a sensor that failed: nothing may be left
                with contextlib.suppress(OSError):
                    (run.cgroup / "cgroup.kill").write_text("1")


def pull_trigger(run, exit_code=TERMINATED, within_s=15):
    (run.folder / "go").touch()
    code = run.front.wait(within_s)
    assert code == exit_code, f"exit code {code}: {run.stderr()}"


def pids_of(run):
    """{name: [pid, ...]} of what the job noted."""
    found = {}
    for line in (run.folder / "pids").read_text().splitlines():
        name, pid = line.split()
        found.setdefault(name, []).append(int(pid))
    return found


def summary_of(run):
    return json.loads((run.output / "summary.json").read_text())


def seconds_of(text):
    """Of a timestamp with up to nine digits behind the point."""
    whole, _, digits = text.rstrip("Z").partition(".")
    base = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(
        tzinfo=datetime.timezone.utc).timestamp()
    return base + float("0." + (digits or "0"))


def print_times(run, name):
    """From the act that the rule saw to the last death that was seen. Information only."""
    act = seconds_of(next(rows_of(run.output / "detections.jsonl"))["timestamp"])
    deaths = [seconds_of(row["timestamp"]) for row in rows_of(run.output / "events.jsonl")
              if row["event"]["type"] == "process_exit"]
    termination = summary_of(run)["termination"]
    decided = seconds_of(termination["time"])
    print(f"# {name}: act to decision {(decided - act) * 1000:.1f} ms, decision to the last death "
          f"{int(termination['duration_us']) / 1000:.1f} ms, act to the last death seen "
          f"{(max(deaths) - act) * 1000:.1f} ms, {len(deaths)} exits seen", flush=True)


def expect_ended(run, name):
    """Everything of the job is dead, it did not get on, and every output says what happened."""
    alive = [f"{who} {pid}" for who, pids in pids_of(run).items() for pid in pids if is_alive(pid)]
    assert not alive, f"alive: {alive}"
    assert not (run.folder / "survived").exists()
    summary = summary_of(run)
    assert summary["result"] == "terminated", summary["result"]
    assert summary["finalize_reason"] == "terminate", summary["finalize_reason"]
    assert int(summary["processes"].get("left_running", 0)) == 0, summary["processes"]
    termination = summary["termination"]
    assert (termination["ruleset_id"], termination["rule_id"]) == ("test", "shadow_read")
    rows = list(rows_of(run.output / "detections.jsonl"))
    assert rows and rows[0]["action"] == "terminate", rows
    assert "the rule shadow_read of test fired: ending the job" in run.stderr(), run.stderr()
    print_times(run, name)
    run.expect_nothing_left()
    return summary


def test_a_job_that_is_ended_says_so_everywhere():
    with foreign_cgroup() as (_, foreigner), victims("daemon") as run:
        pull_trigger(run)
        summary = expect_ended(run, "plain")
        assert summary["exit_code"] == 137, "the command's own end is lost"
        assert summary["termination"]["method"] == "cgroup.kill", summary["termination"]
        assert is_alive(foreigner.pid)


def test_the_report_says_it():
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder, "rules.yaml")
        rules.write_text(RULE % "terminate")
        with Run(["sh", "-c", "cat /etc/shadow > /dev/null; sleep 5"],
                 ["--baseline", "off", "--rules", rules]) as run:
            assert run.exit_code == TERMINATED, run.stderr
            for text in ("TERMINATED", "the job was ended by the rule shadow_read", "exit code 137"):
                assert text in run.stderr, run.stderr


def test_sockets_past_the_hooks_of_the_network():
    ways = {"packet": ("packet_socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)"),
            "xdp": ("packet_socket", "socket.socket(44, socket.SOCK_RAW, 0)"),
            "vsock": ("packet_socket", "socket.socket(40, socket.SOCK_STREAM, 0)"),
            "tun": ("tun", "open('/dev/net/tun', 'r+b', buffering=0)")}
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder, "rules.yaml")
        rules.write_text(PAST_EGRESS)
        for name, (rule, way) in ways.items():
            program = (f"import contextlib, socket, time\nwith contextlib.suppress(OSError):\n"
                       f"    kept = {way}\ntime.sleep(20)\nopen('{folder}/survived', 'w')")
            with Run([sys.executable, "-c", program], ["--baseline", "off", "--rules", rules]) as run:
                assert run.exit_code == TERMINATED, (name, run.exit_code, run.stderr)
                assert f"the rule {rule} of test fired: ending the job" in run.stderr, run.stderr
        assert not pathlib.Path(folder, "survived").exists()


def test_who_resists_dies():
    names = ["ignorer", "stopped", "daemon", "traced", "nested"]
    with victims(*names) as run:
        found = pids_of(run)
        assert set(found) == {"command", *names}, found
        pull_trigger(run)
        expect_ended(run, "resisting")


def test_who_is_traced_from_outside_dies():
    libc = ctypes.CDLL(None, use_errno=True)
    with victims("moved") as run:
        pid = pids_of(run)["moved"][0]
        assert libc.ptrace(PTRACE_ATTACH, pid, None, None) == 0, os.strerror(ctypes.get_errno())
        os.waitpid(pid, 0x40000000)  # __WALL
        pull_trigger(run)
        expect_ended(run, "traced from outside")
        os.waitpid(pid, 0x40000000)


def test_a_fork_bomb_dies():
    with victims("bomb") as run:
        wait_for(lambda: len(run.job_processes()) > 100, 20, "an explosion")
        pull_trigger(run, within_s=40)
        expect_ended(run, "fork bomb")


def test_who_left_the_cgroup_dies_and_its_neighbours_do_not():
    with foreign_cgroup() as (folder, foreigner), victims("cloned", "moved", outside=folder) as run:
        moved = pids_of(run)["moved"][0]
        (folder / "cgroup.procs").write_text(str(moved))
        inside = (folder / "cgroup.procs").read_text().split()
        assert len(inside) == 3, inside
        pull_trigger(run)
        summary = expect_ended(run, "escaped")
        assert int(summary["termination"]["escaped_processes"]) == 2, summary["termination"]
        assert (folder / "cgroup.procs").read_text().split() == [str(foreigner.pid)]
        assert foreigner.poll() is None


def test_a_fork_bomb_that_left_the_cgroup_dies():
    with foreign_cgroup() as (folder, foreigner), victims("escaped_bomb", outside=folder) as run:
        wait_for(lambda: len((folder / "cgroup.procs").read_text().split()) > 100, 20, "it")
        pull_trigger(run, within_s=40)
        summary = expect_ended(run, "escaped fork bomb")
        assert int(summary["termination"]["escaped_processes"]) > 100, summary["termination"]
        assert (folder / "cgroup.procs").read_text().split() == [str(foreigner.pid)]
        assert foreigner.poll() is None


def test_a_threaded_cgroup_does_not_help():
    with victims("threaded") as run:
        pull_trigger(run)
        expect_ended(run, "threaded cgroup")


def test_the_sensor_moved_into_the_job_lives():
    with victims("kidnap") as run:
        assert str(run.front.pid) in run.job_processes(), "the front is not in the job"
        pull_trigger(run)
        expect_ended(run, "kidnapped sensor")


def test_who_was_moved_into_the_job_belongs_to_it():
    with subprocess.Popen(["sleep", "300"]) as guest, victims("daemon") as run:
        (run.cgroup / "cgroup.procs").write_text(str(guest.pid))
        pull_trigger(run)
        expect_ended(run, "guest")
        assert guest.wait(1) == -signal.SIGKILL


def test_in_a_pid_namespace_who_left_the_cgroup_is_said_to_live_on():
    with foreign_cgroup() as (outside, foreigner), \
            tempfile.TemporaryDirectory(prefix="cicd-pid-ns-") as name:
        folder = pathlib.Path(name)
        (folder / "rules.yaml").write_text(RULE % "terminate")
        (folder / "outside").symlink_to(outside)
        (folder / "go").touch()
        done = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", SENSOR, "run", "--baseline", "off", "--rules",
             folder / "rules.yaml", "--output", folder / "out", "--", sys.executable, VICTIMS, folder,
             "daemon", "cloned"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == TERMINATED, done.stderr
        summary = json.loads((folder / "out/summary.json").read_text())
        assert summary["result"] == "terminated" and not (folder / "survived").exists()
        assert "may live on" in summary["monitoring_problems"][0], summary["monitoring_problems"]
        assert "MONITORING PROBLEMS" in done.stderr, done.stderr
        assert foreigner.poll() is None


def test_fail_on_wins():
    with victims("daemon", flags=["--fail-on", "terminate"]) as run:
        pull_trigger(run, exit_code=90)
        expect_ended(run, "--fail-on")


def test_monitor_mode_ends_nothing():
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder, "rules.yaml")
        rules.write_text(RULE % "terminate")
        with Run(["sh", "-c", "cat /etc/shadow > /dev/null; exit 3"],
                 ["--baseline", "off", "--rules", rules, "--monitor-mode"]) as run:
            assert run.exit_code == 3, run.stderr
            assert run.summary["result"] == "detected" and "termination" not in run.summary
            assert [row["action"] for row in run.detections] == ["detect"], run.detections


def test_what_the_command_left_running_is_ended():
    script = "(sleep 0.5; cat /etc/shadow > /dev/null; touch $0/survived; sleep 60) & exit 4"
    with LiveRun(["sh", "-c", script, "FOLDER"],
                 ["--baseline", "off", "--rules", "FOLDER/rules.yaml", "--grace", "5s"],
                 prepare=lambda folder: (folder / "rules.yaml").write_text(RULE % "terminate")) as run:
        assert run.front.wait(20) == TERMINATED, run.stderr()
        summary = summary_of(run)
        assert summary["exit_code"] == 4 and summary["result"] == "terminated", summary
        assert int(summary["processes"].get("left_running", 0)) == 0
        run.expect_nothing_left()


def test_without_the_front():
    with victims("daemon", "ignorer") as run:
        run.front.kill()
        run.front.wait()
        (run.folder / "go").touch()
        wait_for((run.output / "summary.json").exists, 10, "the summary")
        expect_ended(run, "without the front")


def test_an_engine_that_dies_while_it_ends_the_job_is_no_way_out():
    engines_lost = 0
    for round_ in range(8):
        with victims("daemon", "ignorer") as run:
            engine = run.engine()
            (run.folder / "go").touch()
            if round_ % 2:
                time.sleep(random.uniform(0, 0.01))
            else:
                frozen = run.cgroup / "cgroup.freeze"
                with contextlib.suppress(OSError):
                    wait_for(lambda: frozen.read_text() == "1\n" or run.front.poll() is not None, 5,
                             "the job to be frozen")
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine, signal.SIGKILL)
            assert run.front.wait(20) == TERMINATED, run.stderr()
            summary = expect_ended(run, "engine killed")
            engines_lost += int(summary.get("sensor_restarts", 0))
    print(f"# {engines_lost} engines were killed before they were done", flush=True)


def test_a_job_left_frozen_is_ended_by_the_next_run():
    with victims("daemon") as run:
        run.look()
        for pid in [run.front.pid, *run.engines]:
            os.kill(pid, signal.SIGKILL)
        run.front.wait()
        (run.cgroup / "cgroup.freeze").write_text("1")  # as one that was about to end it leaves it
        subprocess.run([SENSOR, "run", "--quiet", "--output", run.folder / "next", "--", "true"],
                       check=True, timeout=20)
        alive = [pid for pids in pids_of(run).values() for pid in pids if is_alive(pid)]
        assert not alive, alive
        run.expect_nothing_left()


if __name__ == "__main__":
    run_tests(globals())
