#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs that only their project has started, on hosted runners."""
import json
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from live_agent import SENSOR, Agent, identity_flags, rules, wait_until  # noqa: E402
from sensor import rows_of, run_tests  # noqa: E402


def hosted(flags=()):
    agent = Agent(runner="hosted", host_rules=rules("hosts", "seen"), flags=flags)
    (agent.folder / "p.yaml").write_text(rules("projects", "seen"))
    return agent


def scopes(agent, run_id):
    """Names of the scopes that left files."""
    return {path.name for path in agent.folder_of(run_id, "project").parent.iterdir()}


def test_a_project_starts_a_job_of_its_own():
    with hosted() as agent:
        job = agent.github_job("1", f"""
            $S project start $F --rules-file p.yaml || exit 1
            $S job health $F || exit 2
            $S host start $F; echo "host $?"
            $S host end $F; echo "end $?"
            $S project start $F; echo "again $?"
            echo x >seen; /bin/true
            $S project result $F {identity_flags(1)} >result.json || exit 3
            $S job health $F >/dev/null || exit 4""")
        out = job.output()
        assert job.process.returncode == 0, out + agent.log()
        health = json.loads(next(line for line in out.splitlines() if line.startswith('{"host"')))
        assert health["host"]["status"] == "missing" and health["project"]["status"] == "active", health
        assert "host start must happen before project start" in out and "host 1" in out, out
        assert "job has no host scope" in out and "end 1" in out, out
        assert "project scope already set" in out and "again 1" in out, out
        document = json.loads((agent.folder / "result.json").read_text())
        assert document["runner_type"] == "hosted" and document["metadata"] == {
            "ref_name": "main", "job_link": "https://github.com/octo/app/actions/runs/1"}, document
        assert [hit["ruleset_id"] for hit in document["hits"]] == ["projects"]
        # The worker has gone, and with it the last process.
        wait_until(lambda: agent.summary("1", "project"), "the job has ended by itself", 25)
        summary = agent.summary("1", "project")
        assert summary["finalize_reason"] == "cgroup_rmdir" and summary["scope"] == "project"
        assert summary["result"] == "detected" and int(summary.get("events_dropped", 0)) == 0
        assert scopes(agent, "1") == {"project"}, "the host saw nothing"
        rows = list(rows_of(agent.folder_of("1", "project") / "events.jsonl"))
        assert {row["scope"] for row in rows} == {"project"} and len(rows) == int(summary["events_total"])
        assert agent.status()["jobs"] == []
    assert not agent.cgroups_left()


def test_other_ends_of_it():
    for reason, flags in (("shutdown", []), ("ttl", ["--job-ttl", "2s"])):
        with hosted(flags) as agent:
            job = agent.github_job("1", "$S project start $F --rules-file p.yaml && touch on; sleep 600",
                                   wait=False)
            wait_until((agent.folder / "on").exists, "the job is watched")
            if reason == "shutdown":
                assert agent.stop() == 0, agent.log()
            wait_until(lambda: agent.summary("1", "project"), reason)
            assert agent.summary("1", "project")["finalize_reason"] == reason
            assert job.process.poll() is None, "the job goes on"
            job.kill()
    assert not agent.cgroups_left()


def test_a_rule_of_the_project_ends_it():
    with hosted() as agent:
        (agent.folder / "p.yaml").write_text(rules("projects", "seen", "terminate"))
        job = agent.github_job("1", """$S project start $F --rules-file p.yaml || exit 1
            echo x >seen; sleep 5; echo "it went on" """)
        assert job.process.returncode != 0 and "it went on" not in job.output()
        wait_until(lambda: agent.summary("1", "project"), "the summary")
        assert agent.summary("1", "project")["result"] == "terminated"
    assert not agent.cgroups_left()


def test_what_is_refused_leaves_nothing():
    with hosted() as agent:
        (agent.folder / "bad.yaml").write_text(rules("projects", "x").replace("endsWith", "endWith"))
        job = agent.github_job("1", """
            $S project start $F --rules-file bad.yaml; echo "bad $?"
            $S job health $F; echo "health $?"
            grep . /proc/self/cgroup""")
        out = job.output()
        assert "endWith" in out and "bad 1" in out and "job not found" in out and "health 1" in out, out
        assert "cicd-sensor-job" not in out, out
        assert agent.status()["jobs"] == [] and not list((agent.folder / "state/jobs").iterdir())
        job = agent.github_job("2", """
            $S project start $F --rules-file p.yaml || exit 1
            GITHUB_RUN_ID=3 $S project start $F; echo "other $?"
            touch on; sleep 600""", wait=False)
        wait_until((agent.folder / "on").exists, "the job is watched")
        assert "already belongs to another job" in job.output() and "other 1" in job.output()
        stranger = agent.github_job("4", "GITHUB_RUN_ID=2 RUNNER_TRACKING_ID=github_2 $S project start $F")
        assert "peer not in job tracking set" in stranger.output(), stranger.output()
        job.kill()


def test_the_next_agent_goes_on_with_it():
    with hosted() as agent:
        job = agent.github_job("1", f"""
            $S project start $F --rules-file p.yaml || exit 1
            echo x >seen; touch on
            while [ ! -e go ]; do sleep 0.05; done
            $S job health $F || exit 2
            $S host end $F; echo "end $?"
            sh -c 'echo x >seen'
            $S project result $F {identity_flags(1)} >result.json || exit 3""", wait=False)
        wait_until((agent.folder / "on").exists, "the job is watched")
        agent.stop(signal.SIGKILL)
        agent.start()
        (agent.folder / "go").touch()
        job.wait()
        out = job.output()
        assert job.process.returncode == 0, out + agent.log()
        assert '"host":{"status":"missing"}' in out and "job has no host scope" in out, out
        document = json.loads((agent.folder / "result.json").read_text())
        assert document["scope"] == "project" and document["hits"][0]["hit_count"] == 2, document["hits"]
        assert document["rules_summary"]["rule_count"] > 1, "with the baseline"
        assert agent.stop() == 0
        summary = agent.summary("1", "project")
        assert int(summary["sensor_restarts"]) == 1 and scopes(agent, "1") == {"project"}, summary
    assert not agent.cgroups_left()


def test_with_a_host_all_is_as_elsewhere():
    with hosted() as agent:
        job = agent.github_job("1", """
            $S host start $F && $S project start $F --rules-file p.yaml || exit 1
            echo x >seen; $S host end $F""")
        assert job.process.returncode == 0, job.output() + agent.log()
        assert scopes(agent, "1") == {"host", "project"}
        assert agent.summary("1")["finalize_reason"] == "host_end"


def test_jobs_of_other_systems_too():
    with Agent("generic", runner="hosted", host_rules=rules("hosts", "seen")) as agent:
        flags = f"--socket {agent.socket} --project-path p --job-key k"
        done = subprocess.run(["setsid", "bash", "-c", f"""
            {SENSOR} project start {flags} || exit 1
            {SENSOR} job health {flags} || exit 2
            {SENSOR} job start {flags} && exit 3
            {SENSOR} job result {flags} >result.json"""], capture_output=True, text=True, check=False,
            cwd=agent.folder, timeout=60)
        assert done.returncode == 0, done.stderr + agent.log()
        assert json.loads(done.stdout)["host"]["status"] == "missing"
        assert json.loads((agent.folder / "result.json").read_text())["scope"] == "project"


run_tests(globals())
