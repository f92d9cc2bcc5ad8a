#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Steps of `docker build`, which dockerd starts by itself, belong to the job that asked for the build:
a real dockerd with both builders, the proxy before it, the agent."""
import contextlib
import pathlib
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "docker")]
from docker_world import World  # noqa: E402
from live_agent import Agent, wait_until  # noqa: E402
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


@contextlib.contextmanager
def everything(flags=(), driver="cgroupfs"):
    world = World(driver)
    # With systemd's driver BuildKit makes the cgroups beside dockerd's own.
    parents = f"{world.cgroup}/buildkit,{world.cgroup}"
    try:
        with Agent(flags=["--build-cgroup", parents, *flags]) as agent:
            world.agent_path = agent.socket
            with world.proxy() as proxy:
                yield world, agent, proxy
    finally:
        world.close()


def context(world, name, *steps):
    """A folder to build from; each step is a RUN, and no two folders share one."""
    folder = world.folder / f"context-{name}"
    folder.mkdir()
    lines = ["FROM busybox"] + [f"RUN : {name}; {step}" for step in steps]
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    return folder


def build(world, proxy, folder, buildkit, *flags):
    """The words of a shell that build it."""
    return (f"DOCKER_CONFIG={world.folder}/config PATH=/usr/sbin:/usr/bin:/sbin:/bin "
            f"DOCKER_BUILDKIT={int(buildkit)} docker --host unix://{proxy.socket} build --no-cache "
            f"--network none {' '.join(flags)} {folder} >>build.log 2>&1")


def job(world, agent, run_id, script, wait=True):
    return agent.github_job(run_id, f"$S host start $F || exit 1\n{script}\n$S host end $F", wait=wait)


def written(agent, run_id):
    """Files in /tmp that were opened in containers, and the runtimes of these."""
    if not list((agent.folder / "state/jobs").glob(f"*-{run_id}_*")):
        return set(), set()
    rows = [row["event"] for row in agent.events(run_id) if "container" in row["event"]]
    names = {pathlib.PurePath(event["file_open"]["path"]).name for event in rows
             if event["type"] == "file_open" and pathlib.PurePath(event["file_open"]["path"]).parent
             == pathlib.PurePath("/tmp")}
    return names, {event["container"].get("runtime") for event in rows}


def problems(agent, run_id):
    return [text for text in agent.summary(run_id).get("monitoring_problems", [])
            if "docker build" in text]


def check(process, agent):
    log = agent.folder / "build.log"
    assert process.wait().process.returncode == 0, (process.output(), log.is_file() and log.read_text(),
                                                    agent.log())


def steps_of_two_jobs(buildkit, at_once):
    with everything() as (world, agent, proxy):
        jobs = []
        for name in ("1", "2"):
            folder = context(world, name, *(f"echo x >/tmp/step-{i}-of-{name}" for i in range(4)))
            jobs.append(job(world, agent, name, build(world, proxy, folder, buildkit), wait=False))
            if not at_once:
                check(jobs[-1], agent)
                time.sleep(2.5)
        nobodys = context(world, "nobody", "echo x >/tmp/step-of-nobody")
        world.docker("build", "--no-cache", "--network", "none", nobodys, socket=proxy.socket,
                     env={"DOCKER_BUILDKIT": "0"})
        for process in jobs:
            check(process, agent)
        for name in ("1", "2"):
            names, runtimes = written(agent, name)
            assert names == {f"step-{i}-of-{name}" for i in range(4)}, (names, proxy.log("build_step_missed"))
            assert not problems(agent, name), agent.summary(name)
            if buildkit:
                assert runtimes == {"buildkit"}, runtimes


def test_steps_of_the_classic_builder_also_of_two_at_once():
    steps_of_two_jobs(buildkit=False, at_once=True)


def running(world):
    return set(world.docker("ps", "--quiet").split())


@contextlib.contextmanager
def stopped(process, world):
    """Until dockerd has started the next step."""
    process.send_signal(signal.SIGSTOP)
    try:
        before = running(world)
        yield wait_until(lambda: running(world) - before, "the next step runs", 30)
    finally:
        process.send_signal(signal.SIGCONT)


def test_what_was_missed_of_a_step_is_told():
    """The classic builder waits for nobody: when the agent or the proxy is late, the job hears of it."""
    with everything() as (world, agent, proxy):
        folder = context(world, "1", "echo x >/tmp/first; sleep 1", "sleep 2; echo x >/tmp/second; sleep 1",
                         "sleep 2; echo x >/tmp/third")
        process = job(world, agent, "1", build(world, proxy, folder, False), wait=False)
        wait_until(lambda: "first" in written(agent, "1")[0], "the first step is seen")
        with stopped(agent.process, world):
            pass
        wait_until(lambda: "second" in written(agent, "1")[0], "the rest of the second step is seen")
        with stopped(proxy.process, world):
            pass
        check(process, agent)
        assert written(agent, "1")[0] == {"first", "second"}, written(agent, "1")
        told = agent.summary("1")["monitoring_problems"]
        assert len(told) == 2, told
        assert "what it did until then was not seen" in told[0], told
        assert "the output of docker build names a step" in told[1], told
        assert len(proxy.log("build_step_missed")) == 1, proxy.log_path.read_text()


def test_steps_of_buildkit_one_job_after_the_other():
    steps_of_two_jobs(buildkit=True, at_once=False)


def test_builds_of_buildkit_at_once_are_nobodys():
    with everything() as (world, agent, proxy):
        early = context(world, "early", "echo x >/tmp/first", "sleep 4; echo x >/tmp/during",
                        "echo x >/tmp/after")
        late = context(world, "late", *(f"echo x >/tmp/late-{i}" for i in range(3)))
        again = context(world, "again", "echo x >/tmp/again")
        first = job(world, agent, "1", build(world, proxy, early, True), wait=False)
        wait_until(lambda: "first" in written(agent, "1")[0], "the first step is seen")
        second = job(world, agent, "2", f"""{build(world, proxy, late, True)}; touch late-done
            while [ ! -e early-done ]; do sleep 0.1; done; sleep 3
            {build(world, proxy, again, True)}""", wait=False)
        wait_until((agent.folder / "late-done").exists, "the second build", 60)
        check(first, agent)
        (agent.folder / "early-done").touch()
        check(second, agent)
        one, two = written(agent, "1")[0], written(agent, "2")[0]
        assert "first" in one and not [name for name in one if name.startswith(("late", "again"))], one
        assert two == {"again"}, f"what cannot be told is nobody's: {two}"
        assert problems(agent, "1") and problems(agent, "2"), (agent.summary("1"), agent.summary("2"))


def test_a_build_of_nobody_beside_it():
    with everything() as (world, agent, proxy):
        foreign = context(world, "foreign", "sleep 5; echo x >/tmp/foreign")
        own = context(world, "own", "echo x >/tmp/own")
        world.env["DOCKER_BUILDKIT"] = "1"
        outside = world.popen("build", "--no-cache", "--network", "none", foreign, socket=proxy.socket)
        time.sleep(1)
        mine = job(world, agent, "1", build(world, proxy, own, True), wait=False)
        check(mine, agent)
        assert outside.wait(60) == 0, outside.stdout.read()
        assert written(agent, "1")[0] == set(), written(agent, "1")
        assert len(problems(agent, "1")) == 1, agent.summary("1")


def test_a_build_outlives_the_agent():
    with everything() as (world, agent, proxy):
        folder = context(world, "1", "echo x >/tmp/first; sleep 6", "echo x >/tmp/second")
        process = job(world, agent, "1", build(world, proxy, folder, True), wait=False)
        wait_until(lambda: "first" in written(agent, "1")[0], "the first step is seen")
        agent.stop(signal.SIGKILL)
        agent.log_path.unlink()
        agent.start()
        check(process, agent)
        assert written(agent, "1")[0] == {"first", "second"}, written(agent, "1")
        assert not problems(agent, "1"), agent.summary("1")


def test_steps_of_buildkit_with_the_driver_of_systemd():
    with everything(driver="systemd") as (world, agent, proxy):
        folder = context(world, "1", *(f"echo x >/tmp/step-{i}" for i in range(5)), "cat /etc/passwd")
        check(job(world, agent, "1", build(world, proxy, folder, True)), agent)
        names, runtimes = written(agent, "1")
        assert names == {f"step-{i}" for i in range(5)}, names
        assert not problems(agent, "1"), agent.summary("1")
        assert runtimes == {"buildkit"}, runtimes
        programs = [row["event"]["process"].get("exec_path", "") for row in agent.events("1")]
        daemon = [path for path in programs if path.endswith(("/dockerd", "/containerd"))]
        assert not daemon, "dockerd is not the job's"


def test_terminate_in_a_step_ends_the_job_and_not_dockerd():
    for buildkit in (False, True):
        with Agent() as folder:
            rules = folder.folder / "rules.yaml"
            rules.write_text(RULES)
            with everything(["--rules-file", str(rules)]) as (world, agent, proxy):
                bad = context(world, "bad", "sleep 1; echo x >/tmp/forbidden; sleep 4; echo x >/tmp/went-on")
                process = job(world, agent, "1", build(world, proxy, bad, buildkit), wait=False)
                wait_until(lambda: process.process.poll() is not None and agent.summary("1"),
                           "the job was ended", 30)
                process.wait()
                assert agent.summary("1")["result"] == "terminated", agent.summary("1")
                assert "went-on" not in written(agent, "1")[0]
                assert world.is_up(), "dockerd lives"
                wait_until(lambda: not world.shims(), "dockerd is done with what was ended", 30)
                # And builds: nothing is left frozen.
                good = context(world, "good", "echo x >/tmp/good")
                check(job(world, agent, "2", f"sleep 2\n{build(world, proxy, good, buildkit)}"), agent)
                assert written(agent, "2")[0] == {"good"}, written(agent, "2")


def test_a_quiet_build_is_said_to_be_missed():
    with everything() as (world, agent, proxy):
        quiet = context(world, "quiet", "echo x >/tmp/quiet")
        check(job(world, agent, "1", build(world, proxy, quiet, False, "--quiet")), agent)
        assert "quiet" not in written(agent, "1")[0]
        assert len(proxy.log("build_not_watched")) == 1, proxy.log_path.read_text()


if __name__ == "__main__":
    run_tests(globals())
