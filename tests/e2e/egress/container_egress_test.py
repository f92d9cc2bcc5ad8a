#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The host's policy in containers of a job: a real dockerd with a bridge of its own in the lab's network, the
proxy before it, an agent. Skips where dockerd is missing."""
import atexit
import contextlib
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "docker"), str(HERE.parent / "agent")]
from acts import DENIED, FAR  # noqa: E402
from docker_world import World  # noqa: E402
from lab import Lab  # noqa: E402
from live_agent import Agent, wait_until  # noqa: E402
from sensor import rows_of, run_tests  # noqa: E402

POLICY = """version: 1
egress:
  default: deny
  allow:
    - {host: allowed.test, ports: [443]}
"""
# Prints "NAME: what came of it" for each; for busybox's shell.
SHELL = """
resolve() { if nslookup -type=a $1 >/tmp/answer 2>&1; then echo "$1: ok"; else echo "$1: not resolved"; fi; }
reach() { if echo hello | nc -w 3 $1 $2 >/tmp/answer 2>&1; then echo "$1 $2: ok";
          else echo "$1 $2: $(grep -o -e 'not permitted' -e 'bad address' /tmp/answer || echo failed)"; fi; }
"""
# Where Docker's resolver really listens: rules of the namespace turn port 53 there. Asks for denied.test
# over TCP and says how many bytes are answered.
QUESTION = r"\0\035\0\007\001\0\0\001\0\0\0\0\0\0\006denied\004test\0\0\001\0\001"
REAL_PORT = f"""
hex=$(grep -o "0B00007F:[0-9A-F]*" /proc/net/tcp | head -n 1); port=$((0x${{hex#*:}}))
echo "real port: $( (echo -ne "{QUESTION}"; sleep 1) | nc -w 2 127.0.0.11 $port 2>/dev/null | wc -c)"
"""
NETWORK = "--bip 198.18.77.1/24"
PLACE = []


@contextlib.contextmanager
def everything(mode="enforce", policy=POLICY):
    if not PLACE:
        PLACE.append(Lab())
        atexit.register(PLACE[0].close)
    place = PLACE[0]
    place.forget()
    policy_file = pathlib.Path(place.folder, "policy.yaml")
    policy_file.write_text(policy)
    world = World(network=NETWORK)
    try:
        with Agent(flags=["--policy", str(policy_file), "--mode", mode]) as agent:
            world.agent_path = agent.socket
            with world.proxy() as proxy:
                yield world, agent, proxy, place
    finally:
        world.close()


def run_job(agent, proxy, script, limit_s=120):
    job = agent.github_job("1", f"""
        export DOCKER_CONFIG=$PWD PATH=/usr/sbin:/usr/bin:/sbin:/bin
        docker() {{ command docker --host unix://{proxy.socket} "$@"; }}
        $S host start $F || exit 1
        {script}
        $S host end $F""", wait=False).wait(limit_s)
    assert job.process.returncode == 0, job.output()[-3000:] + agent.log()[-3000:]
    return job.output()


def in_container(words, flags=""):
    return f"docker run --rm {flags} busybox sh -c {quoted(SHELL + words)}"


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def test_default_bridge():
    with everything() as (_, agent, proxy, place):
        out = run_job(agent, proxy, in_container(
            f"reach {DENIED} 80; resolve allowed.test; resolve denied.test; reach allowed.test 443; "
            "reach allowed.test 80"))
        lines = [line for line in out.splitlines() if ": " in line]
        assert lines == [f"{DENIED} 80: not permitted", "allowed.test: ok", "denied.test: not resolved",
                         "allowed.test 443: ok", "allowed.test 80: not permitted"], out
        assert place.contacts(ip=FAR, port=443) and not place.contacts(ip=DENIED)
        rows = list(rows_of(agent.folder_of("1") / "violations.jsonl"))
        assert {"direct_ip", "domain_not_in_allowlist"} <= {row["reason"] for row in rows}, rows


def test_twenty_whose_first_act_is_denied():
    with everything() as (_, agent, proxy, place):
        out = run_job(agent, proxy, "for i in $(seq 20); do " + in_container(
            f"reach {DENIED} 80; resolve allowed.test") + " & done; wait", limit_s=200)
        assert out.count(f"{DENIED} 80: not permitted") == 20, out
        assert out.count("allowed.test: ok") == 20, out
        assert not place.contacts(ip=DENIED)


def test_dockers_own_resolver_is_no_way_round():
    """In a network that a user made, /etc/resolv.conf names Docker's resolver, which forwards."""
    with everything() as (_, agent, proxy, place):
        out = run_job(agent, proxy, "docker network create --subnet 198.18.78.0/24 lan >/dev/null || exit 1\n" +
                      in_container("grep -c 127.0.0.11 /etc/resolv.conf; resolve allowed.test; "
                                   "resolve denied.test; reach allowed.test 443; " + REAL_PORT,
                                   "--network lan") +
                      "\ndocker network rm lan >/dev/null")
        lines = [line for line in out.splitlines() if ": " in line or line == "1"]
        assert lines == ["1", "allowed.test: ok", "denied.test: not resolved", "allowed.test 443: ok",
                         "real port: 0"], out
        assert not place.contacts(ip=DENIED)


def test_names_of_containers():
    """What a service of a job is called by Docker, as the policy allows it."""
    policy = POLICY + "    - {host: postgres, ports: [443], proto: tcp}\n"
    words = ("resolve postgres; reach postgres 443; reach postgres 444; resolve other; resolve secret; "
             "resolve secret.test; resolve allowed.test; "
             "echo aaaa: $(nslookup -type=aaaa postgres | grep -o 'fd00:78::2'); reach fd00:78::2 443; "
             "reach fd00:78::2 444; reach 198.18.78.1 443; "
             "reach 198.18.78.2 443; reach 198.18.78.2 445")
    with everything(policy=policy) as (_, agent, proxy, place):
        out = run_job(agent, proxy, f"""
            docker network create --ipv6 --subnet fd00:78::/64 --subnet 198.18.78.0/24 lan >/dev/null || exit 1
            for name in postgres other; do
              docker run -d --network lan --name $name busybox \\
                sh -c 'while true; do nc -lp 443 -e cat; done' >/dev/null || exit 1
            done
            {in_container(words, "--network lan")}
            docker rm -f postgres other >/dev/null
            docker network rm lan >/dev/null""")
        lines = [line for line in out.splitlines() if ": " in line]
        assert lines == ["postgres: ok", "postgres 443: ok", "postgres 444: not permitted", "other: not resolved",
                         "secret: not resolved", "secret.test: not resolved", "allowed.test: ok",
                         "aaaa: fd00:78::2", "fd00:78::2 443: ok", "fd00:78::2 444: not permitted",
                         "198.18.78.1 443: not permitted", "198.18.78.2 443: ok", "198.18.78.2 445: not permitted"], out
        asked = place.questions()
        assert asked == {"allowed.test"}, asked
        rows = list(rows_of(agent.folder_of("1") / "violations.jsonl"))
        denied = [row["destination"] for row in rows if row["reason"] == "port_not_allowed"]
        assert [(to["host"], to["host_source"], to["ip"], to["port"]) for to in denied] == [
            ("postgres", "resolver", ip, port)
            for ip, port in (("fd00:78::2", 444), ("fd00:78::2", 444), ("198.18.78.2", 445))], rows
        refused = [row["destination"] for row in rows if row["reason"] == "domain_not_in_allowlist"]
        assert {(to["host"], to["host_source"]) for to in refused} == {
            (name, "resolver") for name in ("other", "secret", "secret.test")}, rows


def test_a_container_outlives_the_agent():
    """What listened for it has gone with the agent; the next one listens there again."""
    with everything() as (_, agent, proxy, place):
        words = ("resolve allowed.test; touch /shared/ready; until [ -e /shared/killed ]; do sleep 0.05; done; "
                 f"resolve allowed.test; reach {DENIED} 80; touch /shared/tried; "
                 "until [ -e /shared/back ]; do sleep 0.05; done; resolve allowed.test; resolve denied.test")
        shared = agent.folder / "shared"
        shared.mkdir()
        job = agent.github_job("1", f"""
            export DOCKER_CONFIG=$PWD PATH=/usr/sbin:/usr/bin:/sbin:/bin
            docker() {{ command docker --host unix://{proxy.socket} "$@"; }}
            $S host start $F || exit 1
            {in_container(words, f"-v {shared}:/shared")}
            $S host end $F""", wait=False)
        wait_until(lambda: (shared / "ready").exists(), "the container asks", 60)
        agent.stop(signal.SIGKILL)
        (shared / "killed").touch()
        wait_until(lambda: (shared / "tried").exists(), "the container is without an agent", 60)
        agent.start()
        (shared / "back").touch()
        job.wait(90)
        lines = [line for line in job.output().splitlines() if ": " in line]
        assert lines == ["allowed.test: ok", "allowed.test: not resolved", f"{DENIED} 80: not permitted",
                         "allowed.test: ok", "denied.test: not resolved"], job.output() + agent.log()[-2000:]
        assert not place.contacts(ip=DENIED)


def test_observed():
    with everything("observe") as (_, agent, proxy, place):
        out = run_job(agent, proxy, in_container(f"reach {DENIED} 80; resolve denied.test"))
        assert f"{DENIED} 80: ok" in out and "denied.test: ok" in out, out
        assert place.reached(ip=DENIED)
        rows = list(rows_of(agent.folder_of("1") / "violations.jsonl"))
        assert rows and {row["verdict"] for row in rows} == {"allow"}, rows


if __name__ == "__main__":
    run_tests(globals())
