#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that is killed while jobs run: the next one goes on with them, and nothing is missing and
nothing is there twice, because the kernel side goes on meanwhile."""
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from live_agent import Agent, wait_until  # noqa: E402
from sensor import rows_of, run_tests  # noqa: E402

# Before 5.15 tracepoints of system calls cannot be pinned: what happens in between is missed, and
# the job says so.
PINS_ALL = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (5, 15)

# Opens numbered files in order, and says how far it is.
COUNTING = """$S host start $F || exit 3
mkdir -p {folder}
i=0; while [ $i -lt {count} ]; do i=$((i+1)); /bin/cat {folder}/$i 2>/dev/null; echo $i > {folder}/at
sleep 0.01; done
$S host end $F"""


def counted(rows, folder):
    """How often each number was opened by cat, and how many cats were started."""
    opened = collections.Counter()
    started = 0
    for row in rows:
        event = row["event"]
        if event["type"] == "process_exec" and event["process"]["exec_path"].endswith("/cat"):
            started += 1
        if event["type"] == "file_open":
            path = pathlib.Path(event["file_open"]["path"])
            if path.parent == pathlib.Path(folder) and path.name.isdigit():
                opened[int(path.name)] += 1
    return opened, started


def reached(folder, number):
    at = pathlib.Path(folder) / "at"
    return at.is_file() and int(at.read_text() or "0") >= number


def kill(agent):
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait(10)


def expect_whole(agent, run_id, folder, count):
    opened, started = counted(agent.events(run_id), folder)
    twice = {number for number, times in opened.items() if times != 1}
    missing = set(range(1, count + 1)) - set(opened)
    assert not twice, f"more than once: {sorted(twice)[:10]}"
    assert not missing, f"missing: {sorted(missing)[:10]} of {count}, {len(missing)} in all"
    assert started == count, f"{started} programs of {count}"


def gaps(rows):
    return [row["event"]["monitoring_gap"] for row in rows
            if row["event"]["type"] == "monitoring_gap"]


def test_nothing_is_missing_and_nothing_is_there_twice():
    count = 600
    with Agent() as agent:
        folder = agent.folder / "counted"
        job = agent.github_job(1, COUNTING.format(folder=folder, count=count), wait=False)
        for part in (150, 300, 450):
            wait_until(lambda: reached(folder, part), f"the job reaches {part}", 60)  # noqa: B023
            kill(agent)
            time.sleep(0.2)  # it goes on meanwhile
            agent.start()
        job.wait()
        assert job.process.returncode == 0, job.output() + agent.log()
        summary = agent.summary(1)
        assert summary["finalize_reason"] == "host_end", summary
        assert summary["sensor_restarts"] == 3, summary
        if PINS_ALL:
            expect_whole(agent, 1, folder, count)
            assert not gaps(agent.events(1)) and "monitoring_problems" not in summary, summary
            assert int(summary["events_dropped"]) == 0, summary
        else:
            assert len(gaps(agent.events(1))) == 3, "a gap that nobody told of"
        assert not list(agent.folder.glob("state/jobs/*/journal*")), "the journal is left"


def test_two_jobs_and_a_project():
    rules = """rule_sets:
- ruleset_id: mine
  rules:
  - {{rule_id: late, event_type: file_open, condition: 'path == "{folder}/late"', action: detect}}
"""
    script = """$S host start $F || exit 3
cat {folder}/early
$S project start $F --rules-file {folder}/rules.yaml || exit 4
touch {folder}/ready-{id}
while ! [ -e {folder}/go ]; do sleep 0.02; done
cat {folder}/late
$S job health $F || exit 5
$S host end $F"""
    with Agent() as agent:
        folder = agent.folder / "two"
        folder.mkdir()
        (folder / "rules.yaml").write_text(rules.format(folder=folder))
        for name in ("early", "late"):
            (folder / name).write_text("x")
        jobs = [agent.github_job(i, script.format(folder=folder, id=i), wait=False) for i in (1, 2)]
        for i in (1, 2):
            wait_until((folder / f"ready-{i}").exists, f"job {i} is ready; {agent.log()}")
        kill(agent)
        agent.start()
        scopes = [job["scopes"] for job in agent.status()["jobs"]]
        assert scopes == [["host", "project"]] * 2, f"{scopes} {agent.log()}"
        (folder / "go").touch()
        for job in jobs:
            job.wait()
            assert job.process.returncode == 0, job.output() + agent.log()
        for run_id in (1, 2):
            paths = [row["event"]["file_open"]["path"] for row in agent.events(run_id)
                     if row["event"]["type"] == "file_open"]
            assert paths.count(f"{folder}/early") == 1 and paths.count(f"{folder}/late") == 1, paths
            project = agent.folder_of(run_id).parent / "project"
            found = [row["rule_id"] for row in rows_of(project / "detections.jsonl")]
            assert found == ["late"], found
            assert not any(row["event"]["type"] == "file_open" and
                           row["event"]["file_open"]["path"] == f"{folder}/early"
                           for row in rows_of(project / "events.jsonl")), "before the project began"
            others = {row["job"]["github_run_id"] for row in rows_of(project / "events.jsonl")}
            assert others == {str(run_id)}, others


def test_a_job_that_ended_meanwhile_gets_its_summary():
    with Agent() as agent:
        folder = agent.folder / "short"
        folder.mkdir()
        script = f"""$S host start $F || exit 3
touch {folder}/ready; while ! [ -e {folder}/go ]; do sleep 0.02; done; cat {folder}/late"""
        job = agent.github_job(1, script, wait=False)
        wait_until((folder / "ready").exists, "the job is ready")
        kill(agent)
        (folder / "go").touch()
        job.wait()
        agent.start()
        wait_until(lambda: agent.summary(1), f"the summary; {agent.log()}", 25)
        assert agent.summary(1)["finalize_reason"] == "cgroup_rmdir", agent.summary(1)
        if PINS_ALL:
            assert any(row["event"]["type"] == "file_open" and
                       row["event"]["file_open"]["path"] == f"{folder}/late"
                       for row in agent.events(1)), "what happened while no agent was there"


def test_without_the_pins_the_gap_is_told():
    with Agent() as agent:
        folder = agent.folder / "gap"
        folder.mkdir()
        script = f"""$S host start $F || exit 3
cat {folder}/before 2>/dev/null
touch {folder}/ready; while ! [ -e {folder}/go ]; do sleep 0.02; done
cat {folder}/after 2>/dev/null
$S host end $F"""
        job = agent.github_job(1, script, wait=False)
        wait_until((folder / "ready").exists, "the job is ready")
        kill(agent)
        (agent.pins() / "state").unlink()
        agent.start()
        (folder / "go").touch()
        job.wait()
        assert job.process.returncode == 0, job.output() + agent.log()
        rows = agent.events(1)
        opened = [row["event"]["file_open"]["path"] for row in rows
                  if row["event"]["type"] == "file_open"]
        assert f"{folder}/before" in opened and f"{folder}/after" in opened, opened
        assert [gap["reason"] for gap in gaps(rows)] == ["sensor_restarted"], gaps(rows)
        summary = agent.summary(1)
        assert summary["monitoring_problems"], summary


def test_a_second_agent_with_the_same_state_goes_away():
    with Agent() as agent:
        done = subprocess.run(agent.command_line(), capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0 and "agent_already_running" in done.stderr, done
        assert agent.status()["jobs"] == []


def test_what_is_left_is_taken_away_at_the_end():
    with Agent() as agent:
        pins = agent.pins()
        assert (pins / "state").exists(), agent.log()
        assert agent.stop() == 0, agent.log()
        assert not pins.exists(), "pins are left"


def test_a_flood_while_no_agent_is_there_is_counted():
    """More than the rings hold: what is not reported is in the losses, and nothing is twice."""
    count = 200_000
    with Agent(flags=["--no-dedup"]) as agent:
        folder = agent.folder / "flood"
        folder.mkdir()
        (folder / "f").write_text("x")
        flood = f"import os\nfor i in range({count}): os.close(os.open('{folder}/f', 0))"
        script = f"""$S host start $F || exit 3
touch {folder}/ready; while ! [ -e {folder}/go ]; do sleep 0.02; done
/usr/bin/python3 -c "{flood}"; touch {folder}/done
$S host end $F"""
        job = agent.github_job(1, script, wait=False)
        wait_until((folder / "ready").exists, f"the job is ready; {agent.log()}")
        kill(agent)
        (folder / "go").touch()
        # Until most of it is done, or until the rings are full and the job has slowed down.
        end = time.monotonic() + 15
        while time.monotonic() < end and not (folder / "done").exists():
            time.sleep(0.1)
        agent.start()
        job.wait(120)
        assert job.process.returncode == 0, job.output() + agent.log()
        reported = sum(row["event"]["type"] == "file_open" and
                       row["event"]["file_open"]["path"] == f"{folder}/f" for row in agent.events(1))
        summary = agent.summary(1)
        lost = sum(int(loss["count"]) for loss in summary["losses"] if loss["what"] == "file_open")
        assert reported <= count <= reported + lost, f"{reported} reported, {lost} lost, of {count}"
        # A library may not be looked into yet when a slow machine ends the job.
        others = [loss for loss in summary["losses"] if loss["what"] not in ("file_open", "library")]
        assert not others, others


def test_a_journal_that_is_damaged():
    rules = """rule_sets:
- ruleset_id: mine
  rules:
  - {{rule_id: late, event_type: file_open, condition: 'path == "{folder}/late"', action: detect}}
"""
    script = """$S host start $F || exit 3
$S project start $F --rules-file {folder}/rules.yaml || exit 4
cat {folder}/early
touch {folder}/ready; while ! [ -e {folder}/go ]; do sleep 0.02; done
cat {folder}/late
$S host end $F"""
    for damage in ("cut", "gone", "nonsense"):
        with Agent() as agent:
            folder = agent.folder / "damaged"
            folder.mkdir()
            for name in ("early", "late"):
                (folder / name).write_text("x")
            (folder / "rules.yaml").write_text(rules.format(folder=folder))
            job = agent.github_job(1, script.format(folder=folder), wait=False)
            wait_until((folder / "ready").exists, f"the job is ready; {agent.log()}")
            time.sleep(0.3)
            kill(agent)
            journal = next(agent.folder.glob("state/jobs/*/journal"))
            if damage == "cut":
                os.truncate(journal, journal.stat().st_size - 7)
            elif damage == "gone":
                journal.unlink()
            else:
                journal.write_bytes(b"nonsense" * 100)
            agent.start()
            (folder / "go").touch()
            job.wait()
            assert job.process.returncode == 0, job.output() + agent.log()
            rows = agent.events(1)
            assert [gap["reason"] for gap in gaps(rows)] == ["journal_incomplete"], (damage, gaps(rows))
            assert agent.summary(1)["monitoring_problems"], damage
            found = [row["rule_id"] for row in
                     rows_of(agent.folder_of(1).parent / "project/detections.jsonl")]
            assert found == ["late"], (damage, found)


def test_a_stored_job_that_is_no_job():
    with Agent() as agent:
        agent.stop()
        for name, text in (("a", "{"), ("b", "{}"), ("c", "[1]"),
                           ("d", json.dumps({"format": 1, "slot": 4}))):
            folder = agent.folder / "state/jobs" / name
            folder.mkdir()
            (folder / "job.json").write_text(text)
        agent.start()
        assert agent.log().count("job_not_restored") == 4, agent.log()
        assert agent.status()["jobs"] == []


if __name__ == "__main__":
    run_tests(globals())
