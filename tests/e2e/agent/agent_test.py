#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent as a service: many jobs at once, who may start and end one, and how jobs end."""
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from live_agent import SENSOR, Agent, wait_until  # noqa: E402
from sensor import run_tests  # noqa: E402

RULES = """
rule_sets:
- ruleset_id: test
  rules:
  - rule_id: no_way
    event_type: file_open
    action: terminate
    condition: path.endsWith("/forbidden")
"""


def opens(rows):
    return [row["event"]["file_open"]["path"] for row in rows if row["event"]["type"] == "file_open"]


def numbered(folder, name, rows):
    found = re.compile(re.escape(f"{folder}/{name}-") + r"(\d+)")
    return [int(match.group(1)) for path in opens(rows) if (match := found.fullmatch(path))]


def test_jobs_at_once_see_their_own():
    script = """
        $S host start $F || exit 1
        for i in $(seq 100); do echo x >file-{name}-$i; done
        for i in $(seq 3); do /bin/true; sleep 0.1; done
        $S job health $F && $S host end $F"""
    with Agent() as agent:
        names = [str(1000 + i) for i in range(5)]
        jobs = [agent.github_job(name, script.replace("{name}", name), wait=False) for name in names]
        for job in jobs:
            assert job.wait().process.returncode == 0, job.output() + agent.log()
        for name in names:
            rows = agent.events(name)
            assert sorted(numbered(agent.folder, f"file-{name}", rows)) == list(range(1, 101)), name
            others = [path for path in opens(rows) for other in names
                      if other != name and f"/file-{other}-" in path]
            assert not others, f"{name} has events of another job: {others[:3]}"
            assert {row["job"]["github_run_id"] for row in rows} == {name}
            assert {row["scope"] for row in rows} == {"host"}
            summary = agent.summary(name)
            assert summary["finalize_reason"] == "host_end" and summary["result"] == "passed"
            assert "events_dropped" not in summary or int(summary["events_dropped"]) == 0
            assert int(summary["events_total"]) == len(rows)
        assert agent.status()["jobs"] == []
    assert not agent.cgroups_left()


def test_what_runs_already_and_what_is_left_running():
    with Agent() as agent:
        job = agent.github_job("1", """
            (while [ ! -e go ]; do sleep 0.05; done; echo x >early) &
            $S host start $F || exit 1
            touch go
            setsid bash -c 'sleep 0.3; echo x >late; sleep 600' </dev/null >/dev/null 2>&1 &
            echo $! >left
            sleep 1; $S host end $F; cat /proc/self/cgroup""")
        assert job.process.returncode == 0, job.output()
        paths = opens(agent.events("1"))
        assert f"{agent.folder}/early" in paths, "a process from before the start is watched"
        assert f"{agent.folder}/late" in paths, "one in a session of its own too"
        left = int((agent.folder / "left").read_text())
        for text in (job.output(), pathlib.Path(f"/proc/{left}/cgroup").read_text()):
            assert "cicd-sensor-job" not in text, "processes go back to where they were"
        os.kill(left, signal.SIGKILL)
    assert not agent.cgroups_left()


def test_ended_is_ended():
    with Agent() as agent:
        job = agent.github_job("1", """
            $S host start $F; echo "start $?"
            $S host start $F; echo "again $?"
            $S host end $F; echo "end $?"
            $S job health $F; echo "health $?"
            $S host end $F; echo "twice $?" """)
        out = job.output()
        assert "start 0" in out and "end 0" in out, out
        assert "already registered" in out and "again 1" in out, out
        assert out.count("job not found") == 2 and "health 1" in out and "twice 1" in out, out


def test_the_same_job_again():
    with Agent() as agent:
        for count in (3, 7):
            agent.github_job("1", f"""$S host start $F
                for i in $(seq {count}); do echo x >file-1-$i; done; $S host end $F""")
            rows = agent.events("1")
            assert len(numbered(agent.folder, "file-1", rows)) == count
            assert int(agent.summary("1")["events_total"]) == len(rows)


def test_a_slow_end_delays_no_other_job():
    connect = "(exec 3<>/dev/tcp/127.0.0.2/9) 2>/dev/null;"
    with Agent(flags=["--mode", "learn"]) as agent:
        first = agent.github_job("1", f"$S host start $F; {connect} $S host end $F")
        assert first.process.returncode == 0, first.output()
        # The end of a job writes here, and waits for others up to five seconds.
        learned = sqlite3.connect(agent.folder / "state/egress.db", isolation_level=None)
        learned.execute("BEGIN EXCLUSIVE")
        slow = agent.github_job("2", f"$S host start $F; {connect} touch on; $S host end $F",
                                wait=False)
        wait_until((agent.folder / "on").exists, "the slow job is watched")
        wait_until(lambda: not agent.status()["jobs"], "its end has begun")
        again = agent.github_job("2", "$S host start $F; echo start $?; $S host end $F", wait=False)
        time.sleep(0.3)
        begun = time.monotonic()
        other = agent.github_job("3", "$S host start $F && $S job health $F")
        took_s = time.monotonic() - begun
        assert other.process.returncode == 0, other.output()
        assert slow.process.poll() is None, "its end is over; this has shown nothing"
        assert took_s < 1.5, f"a job waited {took_s:.1f} s for the end of another"
        assert again.output() == "", "the next job of that name waits: their files are the same"
        learned.execute("ROLLBACK")
        learned.close()
        assert slow.wait().process.returncode == 0 and again.wait().process.returncode == 0
        assert "start 0" in again.output(), again.output() + agent.log()
        assert agent.log().count('"job_ended"') == 3, agent.log()
    assert not agent.cgroups_left()


def test_others_may_not_end_it():
    with Agent() as agent:
        job = agent.github_job("1", "$S host start $F; touch on; sleep 600", wait=False)
        wait_until((agent.folder / "on").exists, "the job is watched")
        other = agent.github_job("2", """
            export GITHUB_RUN_ID=1 RUNNER_TRACKING_ID=github_1
            $S host end $F; echo "end $?" """)
        assert "peer not in job tracking set" in other.output() and "end 1" in other.output()
        assert len(agent.status()["jobs"]) == 1
        # Who the agent runs below cannot be a job: it would be part of it.
        here = agent.command("host", "start", env={
            "GITHUB_RUN_ID": "3", "GITHUB_REPOSITORY": "octo/app", "GITHUB_JOB": "b",
            "GITHUB_RUN_ATTEMPT": "1", "RUNNER_TRACKING_ID": "t"})
        assert here.returncode == 1 and "Runner.Worker" in here.stderr, here.stderr
        job.kill()


def test_what_is_not_ones_own_is_no_job():
    with Agent("generic") as agent:
        start = f"{SENSOR} job start --socket {agent.socket} --project-path p --job-key"
        # A shell of root that lets somebody else ask, as cron does.
        done = subprocess.run(
            ["bash", "-c", f"setpriv --reuid 65534 --clear-groups {start} k; echo $?; :"],
            capture_output=True, text=True, check=False, timeout=60, start_new_session=True)
        assert "belongs to another user" in done.stderr and done.stdout.strip() == "1", done
        # A job around one that is there already.
        done = subprocess.run(
            ["bash", "-c", f"bash -c '{start} inner; echo inner $?; sleep 0.2; :'; "
                           f"bash -c '{start} third; echo third $?; sleep 3; :' & sleep 1; "
                           f"{start} outer; echo outer $?; wait"],
            capture_output=True, text=True, check=False, timeout=60, start_new_session=True)
        assert "inner 0" in done.stdout and "third 0" in done.stdout, done
        assert "outer 1" in done.stdout and "already belongs to another job" in done.stderr, done
        names = {job["job_key"] for job in agent.status()["jobs"]}
        assert "outer" not in names and "third" in names, names


def test_whoever_holds_the_agent_is_no_job():
    with Agent("generic") as agent:
        here = agent.command("job", "start", "--project-path", "p", "--job-key", "k")
        assert here.returncode == 1 and "agent itself" in here.stderr, here.stderr
        assert agent.status()["jobs"] == []
    assert not agent.cgroups_left()


def test_terminate_ends_one_job_only():
    with Agent() as first:
        rules = first.folder / "rules.yaml"
        rules.write_text(RULES)
        with Agent(flags=["--rules-file", str(rules)]) as agent:
            calm = agent.github_job("1", "$S host start $F; touch calm; sleep 4; echo fine", wait=False)
            wait_until((agent.folder / "calm").exists, "the calm job is watched")
            bad = agent.github_job("2", """
                $S host start $F; sleep 600 & setsid sleep 600 &
                echo x >forbidden; sleep 5; echo "it went on" """)
            assert bad.process.returncode != 0 and "it went on" not in bad.output()
            wait_until(lambda: agent.summary("2"), "the summary of the job that was ended")
            summary = agent.summary("2")
            assert summary["result"] == "terminated", summary
            assert summary["finalize_reason"] == "terminate"
            assert summary["termination"]["rule_id"] == "no_way", summary["termination"]
            calm.wait()
            assert calm.process.returncode == 0 and "fine" in calm.output()
            assert agent.process.poll() is None
            assert "\"msg\":\"job_terminating\"" in agent.log()
    assert not agent.cgroups_left()


def test_a_job_whose_last_process_is_gone_ends():
    with Agent() as agent:
        agent.github_job("1", "$S host start $F")
        wait_until(lambda: agent.summary("1"), "the job has ended by itself", 30)
        assert agent.summary("1")["finalize_reason"] == "cgroup_rmdir"
        assert agent.status()["jobs"] == []
    assert not agent.cgroups_left()


def test_shutdown_writes_what_was_seen():
    with Agent() as agent:
        job = agent.github_job("1", """
            $S host start $F; echo x >seen; touch on; sleep 2; echo "went on" """, wait=False)
        wait_until((agent.folder / "on").exists, "the job is watched")
        assert agent.stop() == 0, agent.log()
        assert agent.summary("1")["finalize_reason"] == "shutdown"
        assert f"{agent.folder}/seen" in opens(agent.events("1"))
        assert not agent.cgroups_left(), "the job is where it was"
        assert job.wait().process.returncode == 0 and "went on" in job.output()
        gone = agent.command("status")
        assert gone.returncode == 1 and "no agent listens" in gone.stderr, gone.stderr


def test_one_agent_a_socket():
    with Agent() as agent:
        done = subprocess.run(
            [SENSOR, "agent", "start", "--provider", "github", "--runner", "machine", "--socket",
             agent.socket, "--state-dir", agent.folder / "other"],
            capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 and "agent_already_running" in done.stderr, done.stderr
        # What a killed one left is no hindrance.
        agent.stop(signal.SIGKILL)
        agent.log_path.unlink()
        agent.start()
        job = agent.github_job("1", "$S host start $F && $S host end $F")
        assert job.process.returncode == 0, job.output()


def test_what_cannot_be_is_said():
    for words, code, text in (
            (["agent", "start"], 2, "--provider is required"),
            (["agent", "start", "--provider", "github", "--runner", "pet"], 2, "is not accepted"),
            (["agent"], 2, "there are: agent start"),
            (["agent", "stop"], 2, "unknown command agent stop"),
            (["host", "start", "--provider", "jenkins", "--project-path", "p", "--job-key", "k"], 2,
             "is for GitHub's jobs"),
            (["job", "start"], 2, "project_path is required"),
            (["status", "--socket", "/nowhere/agent.sock"], 1, "no agent listens")):
        env = {"PATH": "/usr/bin:/bin"}
        done = subprocess.run([SENSOR, *words], capture_output=True, text=True, check=False,
                              timeout=60, env=env)
        assert done.returncode == code and text in done.stderr, f"{words}: {done}"


run_tests(globals())
