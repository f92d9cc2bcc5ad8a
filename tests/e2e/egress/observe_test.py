#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Policies of egress while nothing is denied: what a job does against its policy is in the rows and the
summary, to the last attempt; what jobs have reached becomes a policy that they keep to."""
import collections
import fcntl
import json
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "support"), str(HERE.parents[1] / "names")]
from name_server import A, Zones, enter_private_namespaces, serve  # noqa: E402
from sensor import BUILD, SENSOR, Run, rows_of, run_tests  # noqa: E402

CTL = BUILD / "cicd-sensorctl"
ZONES = Zones({"good.test": [(A, "192.0.2.21")], "evil.test": [(A, "192.0.2.22")],
               "multi.test": [(A, "192.0.2.31"), (A, "192.0.2.32")]})
POLICY = """version: 1
profile: ci
egress:
  default: deny
  allow:
    - rule_id: good
      host: good.test
      ports: [81]
      proto: tcp
  deny:
    - rule_id: never
      cidr: 192.0.2.77/32
"""
JOB = """
import socket
def go(host, port=81, times=1):
    for _ in range(times):
        try:
            socket.create_connection((host, port), timeout=2).close()
        except OSError:
            pass
"""
ALL = "go('good.test'); go('good.test', 82); go('evil.test'); go('192.0.2.99', 443, 5); go('192.0.2.77', 80)"


def add_addresses():
    """192.0.2.0/24 is ours: a connect there is refused at once."""
    with socket.socket() as any_socket:
        for request, address in ((0x8916, "192.0.2.1"), (0x891C, "255.255.255.0")):
            fcntl.ioctl(any_socket, request, struct.pack(
                "16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(address)))


def run(script, *flags, policy=None, quiet=True):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        if policy is not None:
            file.write(policy)
            file.flush()
            flags += ("--policy", file.name)
        return Run([sys.executable, "-I", "-S", "-c", JOB + script],
                   [*(["--quiet"] if quiet else []), *flags], name="shop/web")


def violations(done):
    return list(rows_of(done.events_path.with_name("violations.jsonl")))


def sums(rows):
    """(reason, host, ip, port) -> attempts."""
    out = collections.Counter()
    for row in rows:
        to = row["destination"]
        out[row["reason"], to.get("host", ""), to.get("ip", ""), to.get("port", 0)] += row["count"]
    return out


def test_each_violation_has_its_row_and_the_sums_are_exact():
    with run(ALL, policy=POLICY, quiet=False) as done:
        assert done.exit_code == 0, done.stderr
        rows = violations(done)
        told = sums(rows)
        names = told.pop(("domain_not_in_allowlist", "evil.test", "", 0))
        assert told == {("port_not_allowed", "good.test", "192.0.2.21", 82): 1,
                        ("domain_not_in_allowlist", "evil.test", "192.0.2.22", 81): 1,
                        ("direct_ip", "", "192.0.2.99", 443): 5,
                        ("denied_by_rule", "", "192.0.2.77", 80): 1}, told
        assert names >= 1, rows
        egress = done.summary["egress"]
        assert egress["mode"] == "observe" and egress["policy"]["profile"] == "ci", egress
        assert egress["violations"]["block"] == {} and egress["violations"]["audit"] == {}, egress
        assert egress["violations_total"] == sum(row["count"] for row in rows), egress
        assert egress["violations"]["allow"]["direct_ip"] == 5, egress
        assert sum(use["count"] for use in egress["top"]) == egress["violations_total"], egress
        assert done.summary["result"] == "passed", "a violation is no detection"
        assert "EGRESS" in done.stderr and "direct-IP egress (no DNS answer recorded)" in done.stderr, done.stderr
        assert "violations.jsonl" in done.stderr and "violations.jsonl" in done.files, done.files


def test_a_row_says_who_and_where():
    with run(ALL, policy=POLICY) as done:
        row = next(r for r in violations(done) if r["reason"] == "denied_by_rule")
        assert row["log_type"] == "cicd_sensor.violation" and row["verdict"] == "allow", row
        assert row["policy"]["rule_id"] == "never" and row["policy"]["version"].startswith("sha256:"), row
        assert row["policy"]["scope"] == "project" and row["ts"] == row["timestamp"], row
        process = row["process"]
        assert process["ancestry"][-1]["pid"] == process["pid"], process
        assert process["comm"] == pathlib.Path(process["binary"]).name[:15], process
        assert row["destination"] == {"host_source": "none", "ip": "192.0.2.77", "port": 80, "proto": "tcp"}, row
        named = next(r for r in violations(done) if r["reason"] == "port_not_allowed")
        assert named["destination"]["host_source"] in ("dns_answer", "getaddrinfo"), named
        times = [r["count"] for r in violations(done) if r["reason"] == "direct_ip"]
        assert times == [1, 4], "the first at once, its repeats in one"


def test_a_job_that_keeps_to_its_policy_has_no_violation():
    with run("go('good.test')", "--fail-on", "violation", policy=POLICY) as done:
        assert done.exit_code == 0, done.stderr
        assert violations(done) == [] and done.summary["egress"]["violations_total"] == 0
    with run(ALL, "--fail-on", "violation", policy=POLICY) as done:
        assert done.exit_code == 90, done.stderr


def test_without_a_policy_nothing_is_said():
    with run(ALL) as done:
        assert done.exit_code == 0 and "egress" not in done.summary, done.summary
        assert "violations.jsonl" not in done.files, done.files


def refused(policy, *flags):
    with tempfile.TemporaryDirectory(prefix="cicd-egress-") as name:
        file, mark = pathlib.Path(name, "p.yaml"), pathlib.Path(name, "ran")
        if policy is not None:
            file.write_text(policy)
        done = subprocess.run([SENSOR, "run", "--output", name + "/out", "--policy", file, *flags,
                               "--", "touch", mark], capture_output=True, text=True, timeout=60, check=False)
        assert not mark.exists() and not pathlib.Path(name, "out").exists(), "something was run"
        return done


def test_a_policy_that_cannot_be_used_refuses_the_start():
    for mode in ("observe", "learn", "enforce"):
        done = refused("version: 1\negress:\n  allow:\n    - hosst: x.test\n", "--mode", mode)
        assert done.returncode == 2 and "p.yaml:4:7: error" in done.stderr, done.stderr
        done = refused(None, "--mode", mode)
        assert done.returncode == 2 and "p.yaml" in done.stderr, done.stderr
    done = subprocess.run([SENSOR, "run", "--fail-on", "violation", "--", "true"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 2 and "--policy" in done.stderr, done.stderr


def learn(*words):
    return subprocess.run([CTL, "policy", "learn", *map(str, words)], capture_output=True, text=True,
                          timeout=60, check=False)


def test_what_jobs_did_becomes_a_policy_that_they_keep_to():
    with tempfile.TemporaryDirectory(prefix="cicd-egress-") as name:
        state = pathlib.Path(name, "state")
        flags = ("--mode", "learn", "--state-dir", state)
        with run("go('good.test'); go('192.0.2.99', 443, 3)", *flags) as done:
            assert done.summary["egress"]["new_destinations"] == 2, done.summary["egress"]
        with run("go('good.test'); go('evil.test', 82)", *flags) as done:
            assert done.summary["egress"]["new_destinations"] == 1, done.summary["egress"]
        with run("go('good.test')", *flags) as done:
            assert done.summary["egress"]["new_destinations"] == 0, done.summary["egress"]
        file = pathlib.Path(name, "learned.yaml")
        done = learn("--state-dir", state, "--min-jobs", 2, "--output", file)
        assert done.returncode == 0, done.stderr
        assert "shop/web: 3 jobs, 3 destinations" in done.stderr, done.stderr
        assert "the last job added 0 new" in done.stderr and "192.0.2.99:443/tcp (1)" in done.stderr, done.stderr
        text = file.read_text()
        assert "# 81: 3 jobs" in text and "# 443: REVIEW: 1 job" in text, text
        assert "192.0.2.21" not in text and "192.0.2.22" not in text, "an address of a name"
        assert '- cidr: "192.0.2.99/32"' in text, text
        with run("go('good.test'); go('evil.test', 82); go('192.0.2.99', 443)", policy=text) as done:
            assert violations(done) == [], violations(done)
        with run("go('evil.test', 83)", policy=text) as done:
            assert sums(violations(done)) == {("port_not_allowed", "evil.test", "192.0.2.22", 83): 1}


def test_a_connect_that_sends_nothing_is_not_learned():
    """The C library sorts the two addresses by connecting UDP sockets to them; a real datagram counts."""
    with tempfile.TemporaryDirectory(prefix="cicd-egress-") as name:
        script = """go('multi.test')
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('192.0.2.55', 5000)); s.send(b'x'); s.close()
"""
        with run(script, "--mode", "learn", "--state-dir", name, quiet=False) as done:
            assert done.exit_code == 0, done.stderr
            sorting = [e for e in done.events() if e["type"] == "network_connect"
                       and e["network_connect"]["protocol"] == "udp"
                       and e["network_connect"].get("domain") == "multi.test"]
            assert sorting, "the C library has not sorted: this tests nothing"
            stored, summary = learn("--state-dir", name), learn(done.events_path.parent)
            assert stored.stdout == summary.stdout, (stored.stdout, summary.stdout)
            entries = [line.strip() for line in stored.stdout.splitlines() if not line.strip().startswith("#")]
            text = " ".join(entries)
            assert '"multi.test" ports: [81] proto: tcp' in text, text
            assert '"192.0.2.55/32" ports: [5000] proto: udp' in text, text
            assert text.count("proto: udp") == 1, text
            rows = learn(done.events_path)
            assert "connects of UDP sockets are left out" in rows.stderr, rows.stderr
            assert "proto: udp" not in rows.stdout and '"multi.test"' in rows.stdout, rows.stdout


def test_learning_from_folders_says_the_same():
    with tempfile.TemporaryDirectory(prefix="cicd-egress-") as name:
        state = pathlib.Path(name)
        with run("go('good.test'); go('192.0.2.99', 443, 3)", "--mode", "learn", "--state-dir", state) as done:
            out = done.events_path.parent
            stored, summary, rows = learn("--state-dir", state), learn(out), learn(out / "events.jsonl")
            assert stored.returncode == 0 and "good.test" in stored.stdout, stored.stderr
            assert stored.stdout == summary.stdout == rows.stdout, (stored.stdout, summary.stdout, rows.stdout)
    done = learn("/nonexistent")
    assert done.returncode == 1 and "/nonexistent" in done.stderr, done.stderr


def test_a_damaged_store_does_not_harm_the_job():
    with tempfile.TemporaryDirectory(prefix="cicd-egress-") as name:
        store = pathlib.Path(name, "egress.db")
        store.write_bytes(b"\xee" * 4096)
        with run("go('good.test')", "--mode", "learn", "--state-dir", name, quiet=False) as done:
            assert done.exit_code == 0, done.stderr
            assert "damaged" in done.summary["egress"]["learn_problem"], done.summary["egress"]
            assert "not remembered" in done.stderr, done.stderr
        assert store.read_bytes() == b"\xee" * 4096, "it was changed"
        done = learn("--state-dir", name)
        assert done.returncode == 1 and "damaged" in done.stderr, done.stderr


def test_a_recording_is_judged_by_a_policy_of_now():
    with tempfile.TemporaryDirectory(prefix="cicd-egress-") as name:
        folder = pathlib.Path(name)
        (folder / "p.yaml").write_text(POLICY)
        with run(ALL, "--record", folder / "job.rec", policy=POLICY) as live:
            done = subprocess.run([SENSOR, "replay", "job.rec", "--policy", "p.yaml", "--output", "out"],
                                  cwd=folder, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            assert sums(rows_of(folder / "out" / "violations.jsonl")) == sums(violations(live))
            summary = json.loads((folder / "out" / "summary.json").read_text())
            assert summary["egress"]["violations"] == live.summary["egress"]["violations"]


if __name__ == "__main__":
    enter_private_namespaces()
    add_addresses()
    serve(ZONES)
    run_tests(globals())
