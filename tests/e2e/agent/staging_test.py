#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Containers reach a job: what a Docker proxy tells the agent, and cgroups made as dockerd makes
them."""
import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from live_agent import Agent, wait_until  # noqa: E402
from sensor import run_tests  # noqa: E402

CONTAINER = "ab" * 32


def post(agent, route, body, uid=None):
    """Status and answer; with `uid` asked as that user."""
    script = f"""
import json, os, socket, sys
if {uid!r} is not None: os.setuid({uid!r} or 0)
with socket.socket(socket.AF_UNIX) as s:
    s.connect({str(agent.socket)!r})
    body = sys.argv[1].encode()
    s.sendall(b"POST {route} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    data = b""
    while chunk := s.recv(65536): data += chunk
head, _, text = data.partition(b"\\r\\n\\r\\n")
print(json.dumps([int(head.split()[1]), text.decode().strip()]))
"""
    done = subprocess.run(["/usr/bin/python3", "-c", script, json.dumps(body)], check=True,
                          capture_output=True, text=True, timeout=30)
    return tuple(json.loads(done.stdout))


def own_cgroup():
    mount = next(line.split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8")
                 if " - cgroup2 " in line)
    own = next(line[3:].strip() for line in open("/proc/self/cgroup", encoding="utf-8")
               if line.startswith("0::"))
    return pathlib.Path(mount + own)


class Cgroup:
    def __init__(self, name):
        self.path = own_cgroup() / name
        self.path.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        wait_until(lambda: not (self.path / "cgroup.procs").read_text().split(), "it is empty")
        self.path.rmdir()

    def run(self, script):
        """A process that is nobody's child but ours, in the cgroup from its start on."""
        def enter():
            (self.path / "cgroup.procs").write_text("0")
        subprocess.run(["bash", "-c", script], check=True, preexec_fn=enter, timeout=30)


def watched_job(agent):
    job = agent.github_job("1", """$S host start $F; touch on
        while [ ! -e over ]; do sleep 0.05; done; $S host end $F""", wait=False)
    wait_until((agent.folder / "on").exists, "the job is watched")
    return job


def test_a_staged_container_is_the_jobs():
    with Agent() as agent:
        job = watched_job(agent)
        name = f"docker-{CONTAINER}.scope"
        staged = {"basename": name, "peer_pid": job.process.pid}
        assert post(agent, "/v1/github/staging/put", staged) == (200, '{"status":"staged"}')
        with Cgroup(name) as container:
            container.run(f"echo x >{agent.folder}/from-container; exec /bin/true")
        with Cgroup("docker-of-nobody.scope") as other:
            other.run(f"echo x >{agent.folder}/from-elsewhere")
        (agent.folder / "over").touch()
        assert job.wait().process.returncode == 0, job.output()
        rows = [row["event"] for row in agent.events("1")]
        opened = {event["file_open"]["path"]: event for event in rows if event["type"] == "file_open"}
        assert f"{agent.folder}/from-elsewhere" not in opened
        event = opened[f"{agent.folder}/from-container"]
        assert event["container"]["id"] == CONTAINER, event
        assert any(event["type"] == "process_exec" and
                   event["process"]["exec_path"].endswith("/true") for event in rows)


def put(agent, name, job, container):
    body = {"basename": name, "peer_pid": job.process.pid, "container": container}
    status, text = post(agent, "/v1/github/staging/put", body)
    assert status == 200, text
    return json.loads(text)["status"]


def test_a_container_that_began_before_it_was_staged():
    """As the steps of a build may on a busy host: what is still there is the job's, and what was
    missed is told."""
    late, over, foreign = (f"docker-{digit * 64}.scope" for digit in "abc")
    with Agent() as agent:
        job = watched_job(agent)
        with Cgroup(foreign) as other, Cgroup(late) as container:
            with Cgroup(over):
                pass
            container.run(f"echo x >{agent.folder}/unseen")
            assert put(agent, late, job, "new") == "staged"
            assert put(agent, over, job, "new") == "staged"
            # It may have been running for long, for whomever: only its next start is the job's.
            assert post(agent, "/v1/github/staging/put",
                        {"basename": foreign, "peer_pid": job.process.pid})[0] == 200
            assert put(agent, "c" * 12, job, "missed") == "ignored"
            container.run(f"echo x >{agent.folder}/seen")
            other.run(f"echo x >{agent.folder}/of-nobody")
        # The next agent tells it, too.
        agent.stop(signal.SIGKILL)
        agent.log_path.unlink()
        agent.start()
        (agent.folder / "over").touch()
        assert job.wait().process.returncode == 0, job.output()
        rows = [row["event"] for row in agent.events("1")]
        opened = {event["file_open"]["path"]: event for event in rows if event["type"] == "file_open"}
        assert opened[f"{agent.folder}/seen"]["container"]["id"] == "a" * 64
        assert not {f"{agent.folder}/{name}" for name in ("unseen", "of-nobody")} & set(opened)
        problems = agent.summary("1")["monitoring_problems"]
        assert len(problems) == 3, problems
        assert late in problems[0] and "what it did until then was not seen" in problems[0], problems
        assert over in problems[1] and "nothing of it was seen" in problems[1], problems
        assert "c" * 12 in problems[2] and "docker build" in problems[2], problems


def test_a_stranger_has_no_container():
    with Agent() as agent:
        for pid in (os.getpid(), 1, 2**31 - 1):
            body = {"basename": "docker-x.scope", "peer_pid": pid}
            assert post(agent, "/v1/github/staging/put", body) == (200, '{"status":"ignored"}')
        status, text = post(agent, "/v1/github/staging/put", {"peer_pid": 1})
        assert status == 400 and "basename is required" in text
        job = watched_job(agent)
        status, text = post(agent, "/v1/github/staging/put",
                            {"basename": "a/b", "peer_pid": job.process.pid})
        assert status == 400 and "not the name of a cgroup" in text, text
        status, text = post(agent, "/v1/github/staging/put",
                            {"basename": "x", "peer_pid": job.process.pid}, uid=65534)
        assert status == 403, text


def test_a_job_lives_as_long_as_its_containers():
    with Agent() as agent:
        job = agent.github_job("1", "$S host start $F; touch on; while [ ! -e over ]; do sleep 0.05; done",
                               wait=False)
        wait_until((agent.folder / "on").exists, "the job is watched")
        name = f"docker-{CONTAINER}.scope"
        assert post(agent, "/v1/github/staging/put",
                    {"basename": name, "peer_pid": job.process.pid})[0] == 200
        with Cgroup(name) as container:
            container.run(f"""touch {agent.folder}/over; sleep 13; echo x >{agent.folder}/late""")
        wait_until(lambda: agent.summary("1"), "the job has ended", 30)
        rows = [row["event"] for row in agent.events("1")]
        assert any(event["type"] == "file_open" and event["file_open"]["path"].endswith("/late")
                   for event in rows), "it was over too early"


if __name__ == "__main__":
    run_tests(globals())
