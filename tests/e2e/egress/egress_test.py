#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a job can reach under a policy that is enforced: real programs, real sockets, and a world that
writes down what reached it. In two runs of the sensor, because each takes its time."""
import json
import pathlib
import socket
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from acts import ACTS, DENIED, SHARED  # noqa: E402
from lab import Lab  # noqa: E402
from sensor import Run, rows_of, run_tests  # noqa: E402

ACTS_FILE = str(pathlib.Path(__file__).resolve().parent / "acts.py")
POLICY = """version: 1
profile: lab
egress:
  default: deny
  allow:
    - {host: allowed.test, ports: [443], rule_id: the-allowed}
    - {host: six.test, ports: [443]}
    - {host: "*.wild.test", ports: [443]}
    - {host: chain.test, ports: [443]}
    - {host: todenied.test, ports: [443]}
    - {host: big.test, ports: [443]}
    - {host: rebind.test}
    - {host: rebindlocal.test}
    - {host: text.test}
    - {host: one.test, ports: [443]}
    - {cidr: 203.0.113.11/32, ports: [5000], proto: udp}
  deny:
    - {cidr: 203.0.113.98/32, rule_id: never}
"""
# A base, and all that the policy above leaves as it is.
BASE = """version: 1
dns: {denied_answer: refused}
egress:
  allow:
    - {host: allowed.test, ports: [443], rule_id: base-allowed}
"""
OTHERWISE = """version: 1
profile: otherwise
extends: base.yaml
metadata: allow
ipv6: block
trusted_nets: [10.20.30.0/24]
dns: {denied_answer: nxdomain, block_doh: false, block_dot: false}
egress:
  default: deny
  allow:
    - {host: six.test, ports: [443]}
    - {host: rebind.test, ports: [443]}
    - {host: allowed.test, ports: [80], project: some/other}
    - {cidr: 1.1.1.1, ports: [443, 853], proto: tcp}
    - {cidr: 203.0.113.0/24, rule_id: wide}
  deny:
    - {cidr: 203.0.113.99, rule_id: never}
    - {cidr: 203.0.113.11, ports: ["4000-4999", "5001-6000"], proto: udp}
"""
OTHER_OUTCOMES = {
    "allowed": "ok", "own_server": "rcode 3 answers 0", "denied": "gai -2", "metadata": "ok",
    "metadata6": "EPERM", "allowed6": "EPERM", "doh": "ok", "dot": "ok", "direct": "EPERM",
    "direct_udp": "EPERM", "range": "ok",
}
# What the acts find, when the policy is enforced.
OUTCOMES = {
    "allowed": "ok", "allowed6": "ok", "wild": "ok", "chain": "ok", "chain_to_denied": "ok",
    "big": "ok", "range": "ok", "rebind": "ok",
    "wrong_port": "EPERM", "direct": "EPERM", "direct6": "EPERM", "mapped": "EPERM",
    "direct_udp": "EPERM", "metadata": "EPERM", "metadata6": "EPERM", "dot": "EPERM",
    "doh": "EPERM", "fast_open": "EPERM", "mptcp": "EPERM", "sendmmsg": "EPERM",
    "raw_icmp": "EPERM", "given_socket": "EPERM",
    "denied": "gai -3", "rebind_local": "gai -5",
    "own_server": "rcode 5 answers 0", "nft_flush": "rcode 5 answers 0",
    "own_server_allowed": "rcode 0 answers 1", "text": "rcode 0 answers 1",
    "dns_tcp": "rcode 0 answers 1", "dns_tcp_denied": "rcode 5 answers 0",
    # A frame goes below everything that a cgroup sees; docs/egress.md says so.
    "packet_socket": "ok",
    "first_acts": "200 denied",
    "two_names": "one ok, two gai -3",
}
LAB = None


def lab():
    global LAB  # pylint: disable=global-statement
    if LAB is None:
        LAB = Lab()
    return LAB


class Giver:
    """Gives whoever connects a socket that was made outside of the job."""

    def __init__(self):
        self.path = tempfile.mktemp(prefix="cicd-giver-")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(1)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        peer, _ = self.server.accept()
        with peer, socket.socket() as given:
            socket.send_fds(peer, [b"x"], [given.fileno()])
            peer.recv(1)

    def close(self):
        self.server.close()
        pathlib.Path(self.path).unlink()


def run_acts(names, flags, policy=POLICY, env=None):
    place = lab()
    place.forget()
    giver = Giver()
    with tempfile.TemporaryDirectory(prefix="cicd-policy-") as folder:
        file = pathlib.Path(folder, "policy.yaml")
        file.write_text(policy)
        pathlib.Path(folder, "base.yaml").write_text(BASE)
        run = Run([sys.executable, ACTS_FILE, *names], ["--policy", str(file), *flags],
                  env={"GIVER": giver.path, **(env or {})})
    giver.close()
    return run


def test_enforced():
    with run_acts(OUTCOMES, ["--mode", "enforce"]) as run:
        assert run.exit_code == 0, run.stderr
        found = json.loads(run.stdout)
        wrong = {name: (found[name], wanted) for name, wanted in OUTCOMES.items()
                 if found[name] != wanted}
        assert not wrong, f"(found, wanted): {wrong}"
        check_contacts()
        check_violations(run)
        check_events(run)


def check_contacts():
    """Nothing that was denied has reached the world, by whatever way."""
    place = lab()
    assert not place.contacts(ip=DENIED, kind="udp"), place.contacts(ip=DENIED)
    assert not place.contacts(kind="icmp")
    # The end of the chain of an allowed name; nothing else of that address.
    assert {each["port"] for each in place.contacts(ip=DENIED)} <= {443}
    for ip in ("169.254.169.254", "fd00:ec2::254", "1.1.1.1", "10.20.30.40"):
        assert not place.contacts(ip=ip), place.contacts(ip=ip)
    assert place.reached(ip=SHARED, port=443)
    assert place.contacts(kind="frame"), "a packet socket is not out of reach any more: say so"


def check_violations(run):
    rows = list(rows_of(run.folder / "out" / "violations.jsonl"))
    assert all(row["verdict"] == "block" for row in rows)
    reasons = {row["reason"] for row in rows}
    wanted = {"domain_not_in_allowlist", "direct_ip", "port_not_allowed", "metadata", "dot",
              "doh_endpoint", "raw_socket"}
    assert wanted <= reasons, wanted - reasons
    counts = {}
    for row in rows:
        if row["destination"]["proto"] != "dns":
            counts[row["reason"]] = counts.get(row["reason"], 0) + int(row["count"])
    exact = {reason: int(count)
             for reason, count in run.summary["egress"]["kernel_totals"]["denied"].items()}
    by_name = counts.pop("domain_not_in_allowlist", 0)  # the kernel does not know names
    exact["direct_ip"] -= by_name
    assert counts == exact, f"rows {counts}, kernel {exact}"
    icmp = [row for row in rows if row["reason"] == "raw_socket"]
    assert icmp and icmp[0]["process"]["comm"].startswith("python3"), icmp
    assert icmp[0]["packets"] == icmp[0]["count"] and icmp[0]["bytes"] > 0, icmp
    check_rebinding(rows, "block")
    direct = next(row for row in rows if row["reason"] == "direct_ip")
    chain = [each["binary"] for each in direct["process"]["ancestry"]]
    assert chain[-1] == direct["process"]["binary"]
    assert run.summary["events_dropped"] == 0, run.summary["losses"]


def check_rebinding(rows, verdict):
    """An allowed name that leads inside: a row for each address, with who asked."""
    found = [row for row in rows if row["reason"] == "rebinding"]
    assert {(row["destination"]["host"], row["destination"]["ip"]) for row in found} == {
        ("rebind.test", "10.20.30.40"), ("rebindlocal.test", "127.0.0.1")}, found
    for row in found:
        assert row["verdict"] == verdict and "rule_id" not in row["policy"], row
        assert row["destination"]["host_source"] == "resolver", row
        assert row["destination"]["proto"] == "dns" and "port" not in row["destination"], row
        assert row["process"]["comm"].startswith("python3") and row["process"]["pid"] > 0, row
        assert row["process"]["ancestry"][-1]["pid"] == row["process"]["pid"], row


def check_events(run):
    connects = [event for event in run.events() if event["type"] == "network_connect"]
    named = [event for event in connects
             if event.get("network_connect", event).get("domain") == "allowed.test"]
    assert named, connects[:3]
    uses = [use for use in run.summary["destinations"]
            if use["remote_ip"] == SHARED and use["remote_port"] == 443]
    assert uses and int(uses[0]["sent_bytes"]) > 0, uses


def test_enforced_otherwise():
    with run_acts([*OTHER_OUTCOMES, "rebind"], ["--mode", "enforce"], OTHERWISE) as run:
        found = json.loads(run.stdout)
        assert found == {**OTHER_OUTCOMES, "rebind": "ok"}, found
        assert not lab().contacts(ip=DENIED), lab().contacts(ip=DENIED)
        assert lab().reached(ip="169.254.169.254", port=80) and lab().reached(ip="1.1.1.1", port=853)
        rows = list(rows_of(run.folder / "out" / "violations.jsonl"))
        reasons = {row["reason"] for row in rows}
        assert reasons == {"domain_not_in_allowlist", "ipv6", "denied_by_rule"}, reasons
        ruled = [row for row in rows if row["reason"] == "denied_by_rule"]
        assert {row["policy"]["rule_id"] for row in ruled} == {"never"}, "deny wins, whatever is wider"
        assert {row["policy"]["profile"] for row in rows} == {"otherwise"}, rows


def test_audit_lets_pass():
    names = ["allowed", "direct", "denied", "metadata", "own_server", "rebind", "rebind_local"]
    with run_acts(names, ["--mode", "enforce"], POLICY.replace("version: 1", "version: 1\naudit: true",
                                                               1)) as run:
        found = json.loads(run.stdout)
        assert found == {"allowed": "ok", "direct": "ok", "denied": "ok", "metadata": "ok",
                         "own_server": "rcode 0 answers 1", "rebind": "ok",
                         "rebind_local": "ECONNREFUSED"}, found
        rows = list(rows_of(run.folder / "out" / "violations.jsonl"))
        assert rows and {row["verdict"] for row in rows} == {"audit"}, rows
        assert {"direct_ip", "domain_not_in_allowlist", "metadata"} <= {r["reason"] for r in rows}
        check_rebinding(rows, "audit")
        assert lab().reached(ip="10.20.30.40"), "let pass"


def test_observe_denies_nothing():
    with run_acts(["allowed", "direct", "denied"], ["--mode", "observe"]) as run:
        assert set(json.loads(run.stdout).values()) == {"ok"}, run.stdout
        rows = list(rows_of(run.folder / "out" / "violations.jsonl"))
        assert rows and {row["verdict"] for row in rows} == {"allow"}, rows


GITLAB = {"GITLAB_CI": "true", "CI_SERVER_HOST": "gitlab.example", "CI_PROJECT_PATH": "shop/web",
          "CI_JOB_ID": "77", "CI_JOB_NAME": "unit", "CI_PIPELINE_ID": "5", "CI_COMMIT_REF_NAME": "main",
          "CI_JOB_URL": "https://gitlab.example/shop/web/-/jobs/77"}
BY_JOB = """version: 1
egress:
  default: deny
  allow:
    - {cidr: 203.0.113.0/24, job: deploy}
"""


def test_the_job_of_the_platform_is_in_the_rows_and_the_policy_goes_by_it():
    with run_acts(["direct"], ["--mode", "enforce"], BY_JOB, env=GITLAB) as run:
        assert json.loads(run.stdout) == {"direct": "EPERM"}, run.stdout
        row = next(rows_of(run.folder / "out" / "violations.jsonl"))
        assert row["job_link"] == GITLAB["CI_JOB_URL"], row
        assert row["gitlab"] == {"project": "test", "pipeline_id": "5", "job_id": "77", "job_name": "unit",
                                 "ref": "main"}, "--name stands for the project"
        assert row["job"]["provider_host"] == "gitlab.example" and row["job"]["job_key"], row
        assert run.summary["job"]["job_link"] == GITLAB["CI_JOB_URL"], run.summary["job"]
    with run_acts(["direct"], ["--mode", "enforce"], BY_JOB,
                  env={**GITLAB, "CI_JOB_NAME": "deploy"}) as run:
        assert json.loads(run.stdout) == {"direct": "ok"}, run.stdout


def test_acts_are_all_used():
    assert set(OUTCOMES) == set(ACTS)


if __name__ == "__main__":
    run_tests(globals())
