#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of GitLab's Docker executor, which are known by the labels of their containers, all of it real:
dockerd, the proxy, the agent, and docker commands in the place of GitLab Runner."""
import contextlib
import datetime
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "docker")]
from docker_world import World  # noqa: E402
from live_agent import Agent, wait_until  # noqa: E402
from sensor import run_tests  # noqa: E402
from staging_test import post  # noqa: E402

NET = ("--network", "none")
RULES = """
rule_sets:
- ruleset_id: test
  rules:
  - rule_id: no_way
    event_type: file_open
    action: terminate
    condition: path.endsWith("/forbidden")
"""


def identity(job):
    return {"provider": "gitlab", "provider_host": "gitlab.example.com", "project_path": "group/app",
            "gitlab_job_id": str(job)}


def labels(job):
    prefix = "com.gitlab.gitlab-runner."
    values = {"job.id": job, "job.url": f"https://gitlab.example.com/group/app/-/jobs/{job}",
              "job.sha": "deadbeef", "job.ref": "main", "pipeline.id": 9, "managed": "true",
              "type": "build", "project.id": 3}
    return [f"--label={prefix}{name}={value}" for name, value in values.items()]


@contextlib.contextmanager
def everything(flags=()):
    world = World()
    try:
        with Agent("gitlab", flags) as agent:
            world.agent_path = agent.socket
            with world.proxy(provider="gitlab") as proxy:
                yield world, agent, proxy
    finally:
        world.close()


def opened(agent, job):
    rows = [row["event"] for row in agent.events(job)]
    return {event["file_open"]["path"] for event in rows if event["type"] == "file_open"}, rows


def known(agent):
    return sorted(job["gitlab_job_id"] for job in agent.status()["jobs"])


def running(world):
    return world.docker("ps", "--quiet", "--no-trunc").split()


def seconds(timestamp):
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(whole).timestamp() + float(f"0.{fraction or 0}")


def test_labels_make_jobs_that_do_not_mix():
    with everything() as (world, agent, proxy):
        def container(job, kind, script, *flags):
            own = [*labels(job)] if job else []
            return ["run", "--rm", *NET, *own, *flags, "busybox", "sh", "-c",
                    script.replace("NAME", f"{kind}-of-{job}")]

        write = "echo x >/tmp/NAME"
        running = []
        for job in (71, 72):
            service = container(job, "service", f"{write}; sleep 4; echo x >/tmp/late-NAME")
            running.append(world.popen(*service, socket=proxy.socket))
            running.append(world.popen(*container(job, "helper", write), socket=proxy.socket))
        for process in running[1::2]:
            assert process.wait(60) == 0, process.stdout.read()
        for job in (71, 72, None):
            world.docker(*container(job, "build", f"{write}; cat /etc/passwd; exec true"),
                         socket=proxy.socket)
        assert known(agent) == ["71", "72"], agent.log()
        for process in running:
            assert process.wait(60) == 0, process.stdout.read()
        wait_until(lambda: agent.summary(71) and agent.summary(72), "both have ended", 30)
        for job in (71, 72):
            last = max(seconds(row["timestamp"]) for row in agent.events(job))
            assert seconds(agent.summary(job)["end_time"]) - last > 8, "there is a grace"
        for job, other in ((71, 72), (72, 71)):
            files, rows = opened(agent, job)
            want = {f"/tmp/{kind}-of-{job}" for kind in ("service", "helper", "build", "late-service")}
            assert want <= files, want - files
            assert not [name for name in files if name.endswith((f"-of-{other}", "-of-None"))], files
            assert len({row["container"]["id"] for row in rows if "container" in row}) == 3
            assert any(row["type"] == "process_exec" and row["process"]["exec_path"].endswith("busybox")
                       for row in rows)
            summary = agent.summary(job)
            assert summary["finalize_reason"] == "cgroup_rmdir", summary
            assert summary["job"]["gitlab_job_id"] == str(job), summary["job"]
            assert summary["job"]["commit_sha"] == "deadbeef", summary["job"]
        assert known(agent) == []
        assert world.is_up()


def test_a_job_that_comes_back_does_not_write_over_itself():
    with everything() as (world, agent, proxy):
        for part in ("first", "second"):
            name = f"{part}-{os.getpid()}"
            world.docker("create", "--name", name, *NET, *labels(71), "busybox", "sh", "-c",
                         f"echo x >/tmp/{part}", socket=proxy.socket)
            if part == "second":
                time.sleep(6)  # the agent could have forgotten it: the start tells it once more
            world.docker("start", "--attach", name, socket=proxy.socket)
            wait_until(lambda: agent.summary(71), "it has ended", 30)
            world.docker("rm", name)
        now, _ = opened(agent, 71)
        folder = agent.folder_of(71).parent
        before = (folder.parent / f"{folder.name}.1/host/events.jsonl").read_text()
        assert "/tmp/second" in now and "/tmp/first" not in now, now
        assert "/tmp/first" in before and "/tmp/second" not in before


def test_registered_by_a_request():
    with everything() as (world, agent, proxy):
        body = {**identity(71), "metadata": {"ref_name": "main", "gitlab_job_name": "lint"}}
        for _ in range(2):
            assert post(agent, "/v1/gitlab/host/start", body)[0] == 200, agent.log()
        assert known(agent) == ["71"]
        assert post(agent, "/v1/gitlab/host/start", body, uid=65534)[0] == 403
        stranger = {"basename": "x", "job_identity": identity(80)}
        assert post(agent, "/v1/gitlab/staging/put", stranger, uid=65534)[0] == 403
        for route in ("host/end", "job/health", "project/start"):
            assert post(agent, f"/v1/gitlab/{route}", body)[0] == 404
        assert known(agent) == ["71"]
        world.docker("run", "--rm", *NET, *labels(71), "busybox", "true", socket=proxy.socket)
        assert known(agent) == ["71"]
        assert agent.stop() == 0
        summary = agent.summary(71)
        assert summary["finalize_reason"] == "shutdown"
        assert summary["job"]["gitlab_job_name"] == "lint", summary["job"]


def test_a_job_cannot_make_containers_of_another():
    """With dockerd's socket in it, as many jobs have it."""
    with everything() as (world, agent, proxy):
        full = world.docker("run", "--detach", *NET, *labels(71), "busybox", "sleep", "600",
                            socket=proxy.socket)
        world.docker("run", "--rm", *NET, *labels(72), "busybox", "true", socket=proxy.socket)
        group = world.cgroup_folder / full
        assert (group / "cgroup.procs").is_file(), list(world.cgroup_folder.iterdir())

        def enter():
            (group / "cgroup.procs").write_text("0")
        subprocess.run(
            ["docker", "--host", f"unix://{proxy.socket}", "run", "--rm", *NET, *labels(72), "busybox",
             "sh", "-c", "echo x >/tmp/from-71"], env=world.env, preexec_fn=enter, check=True,
            timeout=60, capture_output=True)
        world.docker("rm", "--force", full)
        assert agent.stop() == 0
        assert "/tmp/from-71" in opened(agent, 71)[0]
        assert "/tmp/from-71" not in opened(agent, 72)[0]


def test_terminate_ends_the_containers_of_one_job():
    with Agent("gitlab") as folder:
        rules = folder.folder / "rules.yaml"
        rules.write_text(RULES)
        with everything(["--rules-file", str(rules)]) as (world, agent, proxy):
            def start(job, script):
                return world.docker("run", "--detach", *NET, *labels(job), "busybox", "sh", "-c", script,
                                    socket=proxy.socket)

            calm = start(72, "sleep 600")
            service = start(71, "trap '' TERM INT; while :; do sleep 1; done")
            nobodys = world.docker("run", "--detach", *NET, "busybox", "sleep", "600",
                                   socket=proxy.socket)
            start(71, "sleep 600 & echo x >/tmp/forbidden; sleep 5; echo x >/tmp/went-on")
            wait_until(lambda: agent.summary(71), "the job was ended", 30)
            summary = agent.summary(71)
            assert summary["result"] == "terminated" and summary["finalize_reason"] == "terminate"
            assert summary["termination"]["rule_id"] == "no_way", summary
            assert summary["termination"]["method"] == "cgroup.kill", summary["termination"]
            assert "processes_left" not in summary["termination"] or \
                not int(summary["termination"]["processes_left"]), summary["termination"]
            # dockerd takes a moment to notice.
            wait_until(lambda: service not in running(world), "the service is gone", 20)
            wait_until(lambda: len(running(world)) == 2, "two containers are left", 20)
            assert sorted(running(world)) == sorted([calm, nobodys]), (running(world), service)
            assert "/tmp/went-on" not in opened(agent, 71)[0]
            assert world.is_up() and agent.process.poll() is None
            assert known(agent) == ["72"]


def test_a_job_outlives_its_agent():
    with everything() as (world, agent, proxy):
        world.docker("run", "--detach", *NET, *labels(71), "busybox", "sh", "-c",
                     "echo x >/tmp/before; sleep 6; echo x >/tmp/after", socket=proxy.socket)
        waiting = world.docker("create", *NET, *labels(71), "busybox", "sh", "-c",
                               "echo x >/tmp/created-before", socket=proxy.socket)
        wait_until(lambda: "/tmp/before" in opened(agent, 71)[0], "it is seen")
        agent.stop(signal.SIGKILL)
        agent.log_path.unlink()
        agent.start()
        assert known(agent) == ["71"], agent.log()
        world.docker("start", waiting, socket=proxy.socket)
        world.docker("run", "--rm", *NET, *labels(71), "busybox", "sh", "-c", "echo x >/tmp/second",
                     socket=proxy.socket)
        wait_until(lambda: agent.summary(71), "it has ended", 40)
        files, rows = opened(agent, 71)
        want = {f"/tmp/{name}" for name in ("before", "after", "created-before", "second")}
        assert want <= files, want - files
        assert len({row["container"]["id"] for row in rows if "container" in row}) == 3
        assert agent.summary(71)["finalize_reason"] == "cgroup_rmdir"


if __name__ == "__main__":
    run_tests(globals())
