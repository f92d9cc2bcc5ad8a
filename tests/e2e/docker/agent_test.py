#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real agent, the proxy and a real dockerd: what runs in a container is the job's that made it, from
its first instruction on, and nobody's when something outside of every job made it."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "agent"))

from docker_world import World  # noqa: E402
from live_agent import Agent, wait_until  # noqa: E402
from sensor import run_tests  # noqa: E402


def execs(agent, run_id):
    """Arguments of what ran in containers, with the container's id."""
    return [(event["process"]["argv"], event["container"]["id"])
            for event in (row["event"] for row in agent.events(run_id))
            if event["type"] == "process_exec" and "container" in event]


def test_containers_of_two_jobs_and_of_none():
    there = World()
    try:
        with Agent() as agent:
            there.agent_path = agent.socket
            with there.proxy() as proxy:
                env = (f"export PATH={there.env['PATH']} DOCKER_CONFIG={there.env['DOCKER_CONFIG']} "
                       f"DOCKER_HOST=unix://{proxy.socket};")
                jobs = [agent.github_job(run_id, f"""{env} $S host start $F; touch on-{run_id}
                    while [ ! -e go ]; do sleep 0.05; done
                    docker run --name job{run_id} --network none busybox echo of-job-{run_id}
                    docker run --detach --name late{run_id} --network none busybox sleep 1000
                    docker exec late{run_id} echo by-exec-{run_id}
                    docker rm --force late{run_id}
                    $S host end $F""", wait=False) for run_id in ("1", "2")]
                wait_until(lambda: all((agent.folder / f"on-{n}").exists() for n in (1, 2)),
                           "the jobs are watched")
                (agent.folder / "go").touch()
                there.docker("run", "--rm", "--network", "none", "busybox", "echo", "of-none",
                             socket=proxy.socket)
                for job in jobs:
                    assert job.wait().process.returncode == 0, job.output()
                assert not proxy.log("agent_down"), proxy.log_path.read_text()
                for run_id, other in (("1", "2"), ("2", "1")):
                    full = there.docker("inspect", "--format", "{{.Id}}", f"job{run_id}")
                    seen = execs(agent, run_id)
                    assert (["echo", f"of-job-{run_id}"], full) in seen, seen
                    words = {word for argv, _ in seen for word in argv}
                    assert f"by-exec-{run_id}" in words, seen
                    assert not words & {"of-none", f"of-job-{other}", f"by-exec-{other}"}, seen
    finally:
        there.close()


if __name__ == "__main__":
    os.environ.setdefault("DOCKER_BUILDKIT", "0")
    run_tests(globals())
