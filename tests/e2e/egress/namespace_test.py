#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A policy that is enforced holds for processes of the job in network namespaces of their own, and names
are resolved there: namespaces with a way to the world (a veth pair, as of a container), and without."""
import atexit
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from acts import DENIED, FAR  # noqa: E402
from lab import Lab, ip  # noqa: E402
from sensor import Run, rows_of, run_tests  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
POLICY = """version: 1
egress:
  default: deny
  allow:
    - {host: allowed.test, ports: [443]}
"""
# The name server's own address; questions to it are for the resolver all the same.
WITH_SERVER = POLICY + "    - {cidr: 198.18.0.0/16}\n"
# Named by number: this process's, so that two tests at a time do not meet.
NAME = f"cicd{os.getpid()}"
LAB = None


class Inside(Lab):
    """And a namespace of a name, joined to the lab's by a veth pair, routed through it."""

    def __init__(self):
        super().__init__()
        # Names of namespaces lie in a folder of this mount namespace alone.
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        ip("netns", "add", NAME)
        ip("link", "add", "in0", "type", "veth", "peer", "name", "out0", "netns", NAME)
        ip("addr", "add", "198.18.9.1/24", "dev", "in0")
        ip("-6", "addr", "add", "2001:db8:9::1/64", "dev", "in0", "nodad")
        pathlib.Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
        ip("link", "set", "in0", "up")
        for words in (("link", "set", "lo", "up"), ("addr", "add", "198.18.9.2/24", "dev", "out0"),
                      ("link", "set", "out0", "up"), ("route", "add", "default", "via", "198.18.9.1"),
                      ("-6", "addr", "add", "2001:db8:9::2/64", "dev", "out0", "nodad"),
                      ("-6", "route", "add", "default", "via", "2001:db8:9::1")):
            ip("-n", NAME, *words)
        subprocess.run(["nft", "add table ip cicdlab; add chain ip cicdlab post { type nat hook postrouting "
                        "priority 100; }; add rule ip cicdlab post ip saddr 198.18.9.0/24 masquerade"], check=True)


def lab():
    global LAB  # pylint: disable=global-statement
    if LAB is None:
        LAB = Inside()
        atexit.register(LAB.close)
    LAB.forget()
    return LAB


def run(script, mode="enforce", policy=POLICY):
    lab()
    acts = f'acts() {{ {sys.executable} {HERE}/acts.py "$@"; echo; }}\n'
    inside = f'inside() {{ ip netns exec {NAME} {sys.executable} {HERE}/acts.py "$@"; echo; }}\n'
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(policy)
        file.flush()
        return Run(["bash", "-c", acts + inside + script], ["--policy", file.name, "--mode", mode])


def outcomes(done):
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_names_and_addresses_in_a_namespace_of_the_job():
    acts = "allowed direct denied own_server own_server_allowed dns_tcp dns_tcp_denied wrong_port first_acts nft_flush"
    with run(f"inside {acts}") as done:
        assert done.exit_code == 0, done.stderr
        assert outcomes(done) == [{
            "allowed": "ok", "direct": "EPERM", "denied": "gai -3", "own_server": "rcode 5 answers 0",
            "own_server_allowed": "rcode 0 answers 1", "dns_tcp": "rcode 0 answers 1",
            "dns_tcp_denied": "rcode 5 answers 0", "wrong_port": "EPERM",
            "first_acts": "200 denied", "nft_flush": "rcode 5 answers 0"}], done.stdout + done.stderr
        assert not LAB.contacts(ip=DENIED), LAB.contacts(ip=DENIED)
        reasons = {row["reason"] for row in rows_of(done.folder / "out" / "violations.jsonl")}
        assert {"domain_not_in_allowlist", "direct_ip", "port_not_allowed"} <= reasons, reasons


def test_nat_rules_of_the_job():
    """What they make of a destination that is allowed is judged once more, when the packet leaves."""
    rule = (f"table ip job {{ chain out {{ type nat hook output priority -100; ip daddr {FAR} dnat to {DENIED}; "
            "}; }")
    code = (f"import socket\ns = socket.socket(2, 2)\ntry:\n  s.sendto(b'x', ('{FAR}', 443))\n"
            f"except PermissionError:\n  print('datagram denied')\n"
            f"try:\n  socket.create_connection(('{FAR}', 443), 3)\n"
            f"except TimeoutError:\n  print('connection denied')")
    enter = f"ip netns exec {NAME} "
    with run(f"{enter}getent ahostsv4 allowed.test >/dev/null; {enter}nft '{rule}'; "
             f"{enter}{sys.executable} -c \"{code}\"; {enter}nft delete table ip job") as done:
        assert done.stdout.split("\n")[:2] == ["datagram denied", "connection denied"], (
            done.stdout + done.stderr)
        assert not LAB.contacts(ip=DENIED), LAB.contacts(ip=DENIED)
        denied = [row for row in rows_of(done.folder / "out" / "violations.jsonl")
                  if row["destination"]["ip"] == DENIED]
        assert {row["destination"]["proto"] for row in denied} == {"tcp", "udp"}, denied


# A server in the place of Docker's resolver, made by the job: says how often it was asked, and what comes of
# a connection to where it leads.
FORGED = """
import socket, threading
asked = []
server = socket.create_server(("127.0.0.11", 0))
def serve():
    while True:
        client = server.accept()[0]
        asked.append(client)
        question = client.recv(512)[2:]
        answer = question[:2] + bytes.fromhex("81800001000100000000") + question[12:26] + (
            bytes.fromhex("c00c000100010000003c0004") + socket.inet_aton("198.18.70.5"))
        client.send(len(answer).to_bytes(2, "big") + answer)
threading.Thread(target=serve, daemon=True).start()
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(9)
client.sendto(bytes.fromhex("00010100000100000000000008") + b"postgres" + bytes.fromhex("0000010001"),
              ("127.0.0.11", 53))
print("answers:", client.recv(512)[7])
try:
    socket.create_connection(("198.18.70.5", 443), 1)
except OSError as error:
    print("connect:", error)
print("asked:", len(asked))
"""


def test_a_resolver_of_the_jobs_own_making_names_no_containers():
    """It would have an allowed name lead to whatever container the job likes."""
    lab()
    ip("link", "add", "br-0123456789ab", "type", "bridge")
    ip("addr", "add", "198.18.70.1/24", "dev", "br-0123456789ab")
    ip("link", "set", "br-0123456789ab", "up")
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(FORGED)
        file.flush()
        with run(f"ip netns exec {NAME} {sys.executable} {file.name}",
                 policy=POLICY + "    - {host: postgres, ports: [443]}\n") as done:
            assert done.stdout.splitlines() == [
                "answers: 0", "connect: [Errno 1] Operation not permitted", "asked: 0"], done.stdout + done.stderr
    ip("link", "del", "br-0123456789ab")


def test_first_lookup_of_short_programs():
    """Each starts in the namespace and asks at once; the resolver has to be there before."""
    with run(f"for i in $(seq 20); do ip netns exec {NAME} getent hosts allowed.test >/dev/null && echo ok; "
             "done") as done:
        assert done.stdout.count("ok") == 20, (done.stdout.count("ok"), done.stderr)


def test_observed():
    with run("inside allowed direct denied", mode="observe") as done:
        assert outcomes(done) == [{"allowed": "ok", "direct": "ok", "denied": "ok"}], done.stdout


def test_a_namespace_without_loopback():
    """Nothing of it is brought up for the job: names are not answered, and nothing else happens."""
    with run(f"unshare -n {sys.executable} {HERE}/acts.py own_server_allowed direct; echo; acts allowed") as done:
        found = outcomes(done)
        assert found[0]["own_server_allowed"] == "ENETUNREACH", found
        assert found[0]["direct"] == "EPERM", found
        assert found[1] == {"allowed": "ok"}, found


def test_many_namespaces_are_bounded_and_counted():
    script = ("pids=; for i in $(seq 80); do unshare -n sleep 30 & pids=\"$pids $!\"; done; sleep 3; "
              "acts allowed; inside direct; kill $pids; wait")
    with run(script) as done:
        assert outcomes(done) == [{"allowed": "ok"}, {"direct": "EPERM"}], done.stdout
        lost = done.losses()
        assert lost["resolver"] >= 16, done.summary.get("losses")
        reasons = {entry["reason"] for entry in done.summary["losses"] if entry["what"] == "resolver"}
        assert reasons == {"too_many_namespaces"}, reasons


def test_a_question_does_not_go_round_the_resolver():
    """The name server's address is allowed; its port 53 is the resolver's all the same, also from where
    no resolver is (more namespaces than it listens in)."""
    script = ("pids=; for i in $(seq 64); do unshare -n sleep 30 & pids=\"$pids $!\"; done; sleep 2; "
              f"ip netns exec {NAME} {sys.executable} -c \"import sys; sys.path.insert(0, '{HERE}')\n"
              "import acts, json\n"
              "print(json.dumps({'it': acts.outcome(acts.rcode('denied.test', '198.18.0.1'))}))\"; "
              "kill $pids; wait")
    with run(script, policy=WITH_SERVER) as done:
        assert outcomes(done) == [{"it": "EPERM"}], done.stdout + done.stderr


if __name__ == "__main__":
    run_tests(globals())
