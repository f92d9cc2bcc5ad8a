#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The two scopes of a job: what the host and the project each see, and that neither changes the
other."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from live_agent import Agent, rules, wait_until  # noqa: E402
from sensor import rows_of, run_tests  # noqa: E402


def project_of(agent, run_id):
    return agent.folder_of(run_id).parent / "project"


def detections(folder):
    return {row["ruleset_id"] for row in rows_of(folder / "detections.jsonl")}


def test_each_scope_has_its_own_rules():
    with Agent(host_rules=rules("hosts", "of-host")) as agent:
        (agent.folder / "project.yaml").write_text(rules("projects", "of-project"))
        (agent.folder / "config.yaml").write_text("disable_baseline_rules: true\n")
        job = agent.github_job("1", """
            $S host start $F || exit 1
            echo x >of-project; echo x >of-host
            $S job health $F
            $S project start $F --rules-file project.yaml --config-file config.yaml || exit 1
            $S job health $F
            echo x >of-project; echo x >of-host
            $S project start $F; echo "again $?"
            $S host end $F""")
        out = job.output()
        assert job.process.returncode == 0, out + agent.log()
        healths = [json.loads(line) for line in out.splitlines() if line.startswith('{"host"')]
        assert [health["project"]["status"] for health in healths] == ["missing", "active"], out
        assert "project scope already set" in out and "again 1" in out, out
        host, project = agent.folder_of("1"), project_of(agent, "1")
        assert detections(host) == {"hosts"} and detections(project) == {"projects"}
        hits = {name: json.loads((folder / "summary.json").read_text())
                for name, folder in (("host", host), ("project", project))}
        assert hits["host"]["detections"][0]["count"] in (2, "2"), hits["host"]["detections"]
        assert hits["project"]["detections"][0]["count"] in (1, "1"), hits["project"]["detections"]
        assert int(hits["project"]["events_total"]) < int(hits["host"]["events_total"])
        scopes = {row["scope"] for row in rows_of(project / "events.jsonl")}
        assert scopes == {"project"}, scopes


def test_a_project_may_end_its_job_but_not_see_the_hosts_rules():
    with Agent(host_rules=rules("hosts", "forbidden")) as agent:
        (agent.folder / "p.yaml").write_text(rules("projects", "forbidden", "terminate"))
        job = agent.github_job("1", """
            $S host start $F && $S project start $F --rules-file p.yaml || exit 1
            echo x >forbidden; sleep 5; echo "it went on" """)
        assert job.process.returncode != 0 and "it went on" not in job.output()
        wait_until(lambda: agent.summary("1"), "the summary")
        assert agent.summary("1")["result"] == "terminated"
        assert agent.summary("1")["termination"]["ruleset_id"] == "projects"


def test_monitor_mode_is_each_scopes_own():
    with Agent(host_rules=rules("hosts", "nothing")) as agent:
        (agent.folder / "p.yaml").write_text(rules("projects", "forbidden", "terminate"))
        (agent.folder / "c.yaml").write_text("monitor_mode: true\n")
        job = agent.github_job("1", """
            $S host start $F && $S project start $F --rules-file p.yaml --config-file c.yaml || exit 1
            echo x >forbidden; sleep 1; echo "it went on"; $S host end $F""")
        assert job.process.returncode == 0 and "it went on" in job.output(), job.output()
        assert "projects" in detections(project_of(agent, "1"))


def test_what_is_refused():
    with Agent(host_rules=rules("hosts", "x")) as agent:
        (agent.folder / "bad.yaml").write_text(rules("projects", "x").replace("endsWith", "endWith"))
        (agent.folder / "none.yaml").write_text("a: [\n")
        (agent.folder / "c.yaml").write_text("monitor: true\n")
        job = agent.github_job("1", """
            $S project start $F; echo "early $?"
            $S host start $F || exit 1
            for more in '--rules-file bad.yaml' '--rules-file none.yaml' '--config-file c.yaml' \\
                        '--rules-file nowhere.yaml'; do
              $S project start $F $more && echo "WRONG $more"
            done
            $S project start $F && $S host end $F""")
        out = job.output()
        assert job.process.returncode == 0 and "WRONG" not in out, out
        for text in ("job not found", "early 1", "endWith", "none.yaml", "unknown member", "nowhere.yaml"):
            assert text in out, f"{text}: {out}"


run_tests(globals())
