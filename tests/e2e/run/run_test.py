#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `cicd-sensor run` promises of the command it runs: exit codes, signals, the terminal, users,
what is left running, runs side by side and inside each other."""
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import tempfile
import time

from live_run import LiveRun, is_alive, own_cgroup, rows_of, wait_for
from sensor import SENSOR, Run, run_tests

NOBODY = 65534
RULE = """rule_sets:
  - ruleset_id: test
    rules:
      - rule_id: reads_shadow
        rule_name: reads shadow
        event_type: file_open
        condition: path == "/etc/shadow"
        action: %s
"""


def start_marked(script, flags=(), **popen):
    """A run whose command writes "up" to FOLDER/marks when it is ready."""
    run = LiveRun(["sh", "-c", script, "FOLDER/marks"], flags, **popen)
    wait_for(lambda: marks_of(run), 10, f"the start of the command: {run.stderr()}")
    run.look()
    return run


def marks_of(run):
    path = run.folder / "marks"
    return path.read_text().split() if path.exists() else []


def summary_of(run):
    return json.loads((run.output / "summary.json").read_text())


def test_exit_code_is_the_commands():
    for script, code in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137),
                         ("kill -15 $$", 143)]:
        with Run(["sh", "-c", script]) as run:
            assert run.exit_code == code, f"{script}: {run.exit_code} {run.stderr}"
            assert run.summary["exit_code"] == code, run.summary
            assert run.files == ["detections.jsonl", "events.jsonl", "report.html",
                                 "summary.json"], run.files


def test_command_not_found_is_127_and_leaves_nothing():
    for command in ["no-such-command-here", "/no/such/command", "./none", ""]:
        with Run([command]) as run:
            assert run.exit_code == 127, (command, run.exit_code)
            assert "not found" in run.stderr and "hint:" in run.stderr, run.stderr
            assert not (run.folder / "out").exists(), "output of a run that never was"


def test_command_not_executable_is_126_and_leaves_nothing():
    for command in ["/etc/fstab", "/etc", "/dev/null"]:
        with Run([command]) as run:
            assert run.exit_code == 126, (command, run.exit_code)
            assert command in run.stderr and "hint:" in run.stderr, run.stderr
            assert not (run.folder / "out").exists(), "output of a run that never was"


def test_what_execve_refuses_is_said_and_undone():
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder, "script")
        script.write_text("#!/no/such/interpreter\n")
        script.chmod(0o755)
        with Run([script]) as run:
            assert run.exit_code == 127, run.exit_code
            assert "No such file" in run.stderr and "hint:" in run.stderr, run.stderr
            assert not (run.folder / "out").exists(), run.files
        script.write_text("echo plain text; exit 5\n")  # no interpreter named: /bin/sh, as in a shell
        with Run([script]) as run:
            assert run.exit_code == 5 and run.stdout == "plain text\n", run.stderr


def test_fail_on():
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder, "rules.yaml")
        for action, fail_on, code in [("detect", "detect", 90), ("terminate", "detect", 90),
                                      ("terminate", "terminate", 90), ("detect", "terminate", 3),
                                      ("detect", "never", 3), ("collect", "detect", 3)]:
            rules.write_text(RULE % action)
            flags = ["--baseline", "off", "--rules", str(rules), "--fail-on", fail_on]
            with Run(["sh", "-c", "cat /etc/shadow > /dev/null; exit 3"], flags) as run:
                assert run.exit_code == code, (action, fail_on, run.exit_code, run.stderr)
                if action != "terminate":  # which may come before the end of the command
                    assert run.summary["exit_code"] == 3, "the command's own code is lost"


def test_standard_streams_pass_through():
    with LiveRun(["sh", "-c", "cat; echo err >&2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        out, _ = run.front.communicate(b"in\0put", timeout=10)
        assert out == b"in\0put", out
        assert run.stderr() == "err\n", run.stderr()


def test_quiet_says_nothing_and_a_pipe_gets_no_progress():
    with Run(["sleep", "0.8"], ["--quiet"]) as run:
        assert run.stderr == "", run.stderr
    with Run(["sleep", "0.8"]) as run:
        assert "\r" not in run.stderr and "\x1b" not in run.stderr, run.stderr
        assert "summary.json" in run.stderr, run.stderr


def test_coverage_is_said_at_the_start():
    with Run(["sh", "-c", "echo started >&2"]) as run:
        said = run.stderr.splitlines()
        said = said[:said.index("started")]
        assert said and all(line.startswith("cicd-sensor: watching ") for line in said), run.stderr
        for what, how in (("process_exec", "(tp_btf)"), ("network_connect", "(cgroup)"),
                          ("file_open", "(syscall tracepoint)")):
            assert any(what in line and line.endswith(how) for line in said), (what, said)


def test_signals_sent_to_the_front_reach_the_command():
    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
                   signal.SIGUSR2]:
        name = number.name[3:]
        script = f"""trap 'echo got >> "$0"; exit 9' {name}; echo up > "$0"
                     while :; do sleep 0.02; done"""
        with start_marked(script) as run:
            os.kill(run.front.pid, number)
            assert run.front.wait(10) == 9, (name, run.stderr())
            assert marks_of(run) == ["up", "got"], (name, marks_of(run))
            run.expect_nothing_left()
            reason = "interrupted" if "USR" not in name else "command_exit"
            assert summary_of(run)["finalize_reason"] == reason, (name, summary_of(run))


def test_ignored_signals_stay_ignored_and_defaults_default():
    command = ["sh", "-c", "grep -E '^Sig(Ign|Blk)' /proc/self/status"]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        unwatched = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
        with LiveRun(command, stdout=subprocess.PIPE, restore_signals=True) as run:
            watched = run.front.communicate(timeout=10)[0].decode()
    finally:
        signal.signal(signal.SIGHUP, before)
    ignored = int(watched.split("SigIgn:")[1].split()[0], 16)
    assert ignored & 1 << (signal.SIGHUP - 1), watched
    assert watched == unwatched, f"{watched} instead of {unwatched}"


class Terminal:
    """A run in the foreground of a terminal of its own."""

    def __init__(self, run_folder, command, shell):
        self.output = run_folder / "out"
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            words = [*shell, str(SENSOR), "run", "--output", str(self.output), "--", *command]
            os.execv(words[0], words)
        self.text = ""

    def read_until(self, wanted, timeout_s=10):
        end = time.monotonic() + timeout_s
        while wanted not in self.text:
            assert time.monotonic() < end, f"no {wanted!r} in {self.text!r}"
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                self.text += os.read(self.fd, 4096).decode(errors="replace")
            except OSError:  # the other side is closed
                break
        assert wanted in self.text, f"no {wanted!r} in {self.text!r}"

    def type(self, keys):
        os.write(self.fd, keys)

    def wait(self):
        self.read_until("summary.json")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def in_terminal(command, body, shell=()):
    with LiveRun(["true"]) as folder:
        folder.front.wait(10)
        terminal = Terminal(folder.folder, command, shell)
        try:
            body(terminal)
        finally:
            os.close(terminal.fd)


def test_ctrl_c_ends_the_job_and_writes_every_output():
    def body(terminal):
        terminal.read_until("up\r\n")
        terminal.type(b"\x03")
        assert terminal.wait() == 130, terminal.text
        files = sorted(path.name for path in terminal.output.iterdir())
        assert files == ["detections.jsonl", "events.jsonl", "report.html",
                         "summary.json"], files
        summary = json.loads((terminal.output / "summary.json").read_text())
        assert summary["finalize_reason"] == "interrupted", summary
    in_terminal(["sh", "-c", "echo up; exec sleep 30"], body)


def test_ctrl_c_reaches_the_command_once():
    script = "import signal,time\nn=[]\nsignal.signal(2, lambda *a: n.append(1))\nprint('up', " \
             "flush=True)\nend=time.time()+0.8\nwhile time.time()<end: time.sleep(0.05)\n" \
             "raise SystemExit(len(n))"

    def body(terminal):
        terminal.read_until("up\r\n")
        terminal.type(b"\x03")
        assert terminal.wait() == 1, terminal.text
    in_terminal(["/usr/bin/python3", "-c", script], body)


def test_second_ctrl_c_does_not_wait_for_what_is_left():
    def body(terminal):
        terminal.read_until("up\r\n")
        terminal.type(b"\x03")
        time.sleep(0.3)
        started = time.monotonic()
        terminal.type(b"\x03")
        assert terminal.wait() == 130, terminal.text
        assert time.monotonic() - started < 1.0, "it waited for its grace time"
    in_terminal(["sh", "-c", "setsid sleep 3 & echo up; exec sleep 30"], body)


# A shell with job control, as far as Ctrl-Z needs one: the job is a process group of its own, and
# there is somebody to see it stop.
JOB_CONTROL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
status = os.waitpid(job, os.WUNTRACED)[1]
print("stopped" if os.WIFSTOPPED(status) else f"not stopped: {status}", flush=True)
os.killpg(job, signal.SIGCONT)
print("ended", os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]), flush=True)
"""


def test_ctrl_z_stops_and_fg_goes_on():
    def body(terminal):
        terminal.read_until("up\r\n")
        terminal.type(b"\x1a")
        terminal.read_until("stopped")
        terminal.read_until("ended 4")
        terminal.wait()
    script = "echo up; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done; exit 4"
    in_terminal(["sh", "-c", script], body, ["/usr/bin/python3", "-c", JOB_CONTROL])


def test_progress_line_on_a_terminal():
    def body(terminal):
        terminal.read_until("events, 0 detections, 0 lost")
        assert terminal.wait() == 0
        assert "\r\x1b[K" in terminal.text.rpartition("0 lost")[2], "the line is not taken away"
    in_terminal(["sh", "-c", "sleep 1.5"], body)


def test_what_is_left_running_is_waited_for():
    with LiveRun(["sh", "-c", "(sleep 0.5; cat /etc/hostname) > /dev/null & exit 6"]) as run:
        assert run.front.wait(10) == 6
        opened = [row["event"]["file_open"]["path"] for row in rows_of(run.output / "events.jsonl")
                  if row["event"]["type"] == "file_open"]
        assert "/etc/hostname" in opened, "what came after the command's end was not seen"
        assert summary_of(run)["processes"]["left_running"] == 0


def test_after_the_grace_time_it_is_left_alone():
    with start_marked('sleep 5 & echo $! > "$0"; exit 6', ["--grace", "200ms"]) as run:
        assert run.front.wait(3) == 6, "it waited longer than the grace time"
        sleeper = int(marks_of(run)[0])
        assert is_alive(sleeper), "what the command left running was ended"
        assert summary_of(run)["processes"]["left_running"] == 1, summary_of(run)
        own = pathlib.Path(f"/proc/{sleeper}/cgroup").read_text().splitlines()
        assert not any("cicd-sensor-run" in line for line in own), own
        run.expect_nothing_left()
        os.kill(sleeper, signal.SIGKILL)


def test_the_command_runs_as_the_user_behind_sudo():
    env = {**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY), "HOME": "/root"}
    script = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; grep -E 'Cap(Eff|Prm|Inh)' " \
             "/proc/self/status; grep NoNewPrivs /proc/self/status"
    with LiveRun(["true"]) as folder:
        folder.front.wait(10)
        folder.folder.chmod(0o777)
        output = folder.folder / "theirs"
        done = subprocess.run([SENSOR, "run", "--quiet", "--output", output, "--record",
                               folder.folder / "rec", "--", "sh", "-c", script],
                              env=env, capture_output=True, text=True, timeout=20, check=True)
        lines = done.stdout.split("\n")
        assert lines[:4] == ["65534", "65534", "65534", "/nonexistent nobody nobody"], lines
        assert all(int(line.split()[1], 16) == 0 for line in lines[4:7]), lines
        owners = {path.name: path.stat().st_uid for path in [output, *output.iterdir(),
                                                             folder.folder / "rec"]}
        assert set(owners.values()) == {NOBODY}, owners


def test_user_flag():
    with Run(["id", "-u"], ["--user", "nobody"]) as run:
        assert run.stdout == "65534\n", run.stdout
    with Run(["id", "-u"], ["--user", "no-such-user"]) as run:
        assert run.exit_code == 2 and "no-such-user" in run.stderr, run.stderr


def test_limits_and_environment_are_the_callers():
    script = "ulimit -l; ulimit -n; env | sort"
    env = {"PATH": os.environ["PATH"], "A": "1"}
    alone = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=True)
    with LiveRun(["sh", "-c", script], env=env, stdout=subprocess.PIPE) as run:
        watched = run.front.communicate(timeout=10)[0].decode()
    assert watched == alone.stdout, (watched, alone.stdout)


def test_nothing_of_ours_is_open_in_the_command():
    with LiveRun(["ls", "/proc/self/fd"], stdout=subprocess.PIPE) as run:
        assert run.front.communicate(timeout=10)[0].split() == [b"0", b"1", b"2", b"3"]


def test_two_at_once_see_their_own():
    with LiveRun(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do cat /etc/hostname; sleep 0.05; done"]) as a, \
         LiveRun(["sh", "-c", "for i in 1 2 3 4 5; do cat /etc/passwd; sleep 0.05; done"]) as b:
        assert a.front.wait(20) == 0 and b.front.wait(20) == 0
        for run, own, count, other in [(a, "/etc/hostname", 9, "/etc/passwd"),
                                       (b, "/etc/passwd", 5, "/etc/hostname")]:
            paths = [row["event"]["file_open"]["path"] for row in rows_of(run.output / "events.jsonl")
                     if row["event"]["type"] == "file_open"]
            by_cat = [path for path in paths if path in (own, other)]
            assert by_cat.count(own) >= count and other not in by_cat, by_cat
            run.expect_nothing_left()


def test_run_inside_a_run():
    inner = [SENSOR, "run", "--quiet", "--output", "FOLDER/inner", "--", "cat", "/etc/hostname"]
    with LiveRun(inner) as run:
        assert run.front.wait(20) == 0, run.stderr()
        for output in [run.output, run.folder / "inner"]:
            rows = list(rows_of(output / "events.jsonl"))
            cats = [row for row in rows if row["event"]["type"] == "process_exec"
                    and row["event"]["process"]["exec_path"].endswith("/cat")]
            assert len(cats) == 1, f"{output.name}: {len(cats)}"
            escapes = [row for row in rows if row["event"]["type"] == "cgroup_escape"]
            assert not escapes, escapes
        run.expect_nothing_left()


def test_record_keeps_the_recording_and_nothing_hidden():
    with tempfile.TemporaryDirectory() as folder:
        record = pathlib.Path(folder, "job.rec")
        with Run(["true"], ["--record", str(record)]) as run:
            assert run.exit_code == 0 and record.stat().st_size > 0
            assert not [name for name in run.files if name.startswith(".")], run.files


if __name__ == "__main__":
    assert own_cgroup().is_dir()
    run_tests(globals())
