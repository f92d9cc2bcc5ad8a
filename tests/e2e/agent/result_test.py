#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""project result and job result: what a scope has found, while its job runs."""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from live_agent import SENSOR, Agent, identity_flags, rules, wait_until  # noqa: E402
from sensor import BUILD, run_tests  # noqa: E402

# Connects to a port where nobody listens, and asks a name server that is not there.
ACT = r"""
import socket
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError:
    pass
query = bytes.fromhex("12340100000100000000000003777777076578616d706c650474657374000001 0001".replace(" ", ""))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(query, ("127.0.0.1", 53))
"""
KEYS = ["job_identity", "metadata", "runner_type", "started_at", "generated_at", "finalize_reason",
        "rules_summary", "result_summary", "network_connections", "domain_observations", "hits"]


def result(agent, run_id, command="project result"):
    return agent.command(*command.split(), *identity_flags(run_id).split())


def test_what_a_project_has_found_so_far():
    with Agent(host_rules=rules("hosts", "of-host")) as agent:
        (agent.folder / "p.yaml").write_text(rules("projects", "of-project"))
        (agent.folder / "c.yaml").write_text("disable_baseline_rules: true\n")
        (agent.folder / "act.py").write_text(ACT)
        job = agent.github_job("1", f"""
            ID='{identity_flags(1)}'
            $S host start $F || exit 1
            $S project result $F $ID; echo "none $?"
            $S project start $F --rules-file p.yaml --config-file c.yaml || exit 1
            echo x >of-host; echo x >of-project
            /usr/bin/python3 act.py
            $S project result $F $ID --output-file first.json || exit 1
            sh -c 'echo x >of-project'
            $S project result $F $ID >second.json || exit 1
            $S job result $F $ID; echo "of a job $?"
            $S project result $F; echo "nameless $?"
            $S host end $F || exit 1
            $S project result $F $ID; echo "over $?" """)
        out = job.output()
        assert job.process.returncode == 0, out + agent.log()
        assert "job has no project scope" in out and "none 1" in out, out
        assert "job not found" in out and "over 1" in out, out
        assert "does not answer /v1/github/job/result" in out and "of a job 1" in out, out
        assert "nameless 2" in out, out
        text = (agent.folder / "first.json").read_text()
        assert text.startswith('{\n  "job_identity": {\n') and text.endswith("\n}\n"), text[:80]
        first, second = json.loads(text), json.loads((agent.folder / "second.json").read_text())
        assert list(first)[:len(KEYS)] == KEYS, list(first)
        assert first["job_identity"]["github_run_id"] == "1"
        assert first["metadata"] == {
            "ref_name": "main", "job_link": "https://github.com/octo/app/actions/runs/1"}, first
        assert first["finalize_reason"] == "request" and first["runner_type"] == "machine"
        assert first["started_at"] < first["generated_at"] < second["generated_at"]
        assert first["rules_summary"] == {"rule_count": 1, "warnings_count": 0}
        assert first["result_summary"] == {"result": "detected"} and first["scope"] == "project"
        assert [hit["ruleset_id"] for hit in first["hits"]] == ["projects"], "never the host's"
        assert first["hits"][0]["hit_count"] == 1 and second["hits"][0]["hit_count"] == 2
        event = first["hits"][0]["alert_events"][0]
        assert event["event_type"] == "file_open" and event["payload"]["path"].endswith("/of-project")
        assert event["payload"]["is_write"] is True and event["process"]["exec_path"].endswith("/bash")
        connects = {(use["remote_ip"], use["remote_port"]): use for use in first["network_connections"]}
        process = connects["127.0.0.1", 9]["processes"][0]
        assert "python3" in process["exec_path"] and process["pid"] > 1 and process["start_boottime"] > 0
        assert process["ancestors"][0]["exec_path"].endswith("/bash"), process
        names = {use["domain"]: use for use in first["domain_observations"]}
        assert "python3" in names["www.example.test"]["processes"][0]["exec_path"], names
        page = subprocess.run([BUILD / "cicd-sensorctl", "report", "html"], input=text.encode(),
                              capture_output=True, check=True, timeout=60).stdout
        assert b"of-project" in page and b"www.example.test" in page, page[-2000:]
        # What the files of the job say in the end is what the document said.
        summary = agent.summary("1", "project")
        assert int(summary["detections"][0]["count"]) == 2
    assert not agent.cgroups_left()


def test_only_from_inside_of_the_job():
    with Agent(host_rules=rules("hosts", "x")) as agent:
        job = agent.github_job("1", "$S host start $F; $S project start $F; touch on; sleep 600", wait=False)
        wait_until((agent.folder / "on").exists, "the job is watched")
        for run_id, why in (("1", "peer not in job tracking set"), ("2", "job not found")):
            answer = result(agent, run_id)
            assert answer.returncode == 1 and why in answer.stderr and not answer.stdout, answer
        job.kill()


def test_other_jobs_get_the_hosts_result():
    with Agent("generic", host_rules=rules("hosts", "of-host")) as agent:
        flags = f"--socket {agent.socket} --project-path p --job-key k"
        done = subprocess.run(["setsid", "bash", "-c", f"""
            {SENSOR} job start {flags} || exit 1
            echo x >of-host
            {SENSOR} project result {flags}
            {SENSOR} job result {flags} --output-file host.json || exit 2
            {SENSOR} project start {flags} || exit 3
            {SENSOR} job result {flags} >project.json || exit 4
            {SENSOR} job result {flags} --output-file /nowhere/x; echo "unwritten $?"
            {SENSOR} job end {flags}"""], capture_output=True, text=True, check=False, cwd=agent.folder,
            timeout=60)
        assert done.returncode == 0, done.stderr + agent.log()
        assert "job has no project scope" in done.stderr and "unwritten 1" in done.stdout, done
        assert "/nowhere/x" in done.stderr, done
        host = json.loads((agent.folder / "host.json").read_text())
        assert host["scope"] == "host" and [hit["ruleset_id"] for hit in host["hits"]] == ["hosts"]
        assert host["job_identity"] == {"provider": "generic", "provider_host": "local",
                                        "project_path": "p", "job_key": "k"}
        assert json.loads((agent.folder / "project.json").read_text())["scope"] == "project"


def test_asking_without_end_loses_no_event():
    with Agent(host_rules=rules("hosts", "x")) as agent:
        job = agent.github_job("1", f"""
            $S host start $F && $S project start $F || exit 1
            for i in $(seq 8); do
              (while [ ! -e over ]; do $S project result $F {identity_flags(1)} >/dev/null 2>>refused; done) &
            done
            for i in $(seq 300); do echo x >file-$i; done
            touch over; wait
            $S project result $F {identity_flags(1)} >last.json || exit 2
            $S host end $F""")
        assert job.process.returncode == 0, job.output() + agent.log()
        refused = set((agent.folder / "refused").read_text().splitlines())
        assert all("being made already" in line for line in refused), refused
        assert json.loads((agent.folder / "last.json").read_text())["events_dropped"] == 0
        summary = agent.summary("1", "project")
        assert int(summary.get("events_dropped", 0)) == 0, summary["losses"]
        rows = (agent.folder_of("1", "project") / "events.jsonl").read_text()
        for number in range(1, 301):
            assert f'{agent.folder}/file-{number}"' in rows, number


run_tests(globals())
