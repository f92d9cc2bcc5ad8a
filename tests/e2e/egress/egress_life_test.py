#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Egress control over time: a connection that outlives its name, two jobs with different policies for one
address, a sensor that is killed, more names than a test would ask for by hand."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from lab import Lab  # noqa: E402
from sensor import BACKEND_FLAGS, SENSOR, Run, rows_of, run_tests  # noqa: E402

HERE = str(pathlib.Path(__file__).resolve().parent)
PRELUDE = f"""
import sys, time, json, socket, os
sys.path.insert(0, {HERE!r})
from acts import *
def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)
"""
LAB = None


def lab():
    global LAB  # pylint: disable=global-statement
    if LAB is None:
        LAB = Lab()
    return LAB


def policy_of(*rules):
    return "version: 1\negress:\n  default: deny\n  allow:\n" + "".join(
        f"    - {rule}\n" for rule in rules)


class Job:
    """A run of the sensor that goes on beside the test."""

    def __init__(self, script, policy, flags=()):
        self.folder = tempfile.TemporaryDirectory(prefix="cicd-egress-")
        self.path = pathlib.Path(self.folder.name)
        (self.path / "policy.yaml").write_text(policy)
        self.out = open(self.path / "stdout", "w+", encoding="utf-8")
        self.err = open(self.path / "stderr", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(SENSOR), "run", "--output", str(self.path / "out"), *BACKEND_FLAGS, "--policy",
             str(self.path / "policy.yaml"), "--mode", "enforce", *flags, "--", sys.executable, "-c",
             PRELUDE + script], stdout=self.out, stderr=self.err, cwd=self.path)

    def wait_for(self, name):
        end = time.monotonic() + 60
        while not (self.path / name).exists():
            assert self.process.poll() is None, self.errors()
            assert time.monotonic() < end, f"{name} does not come: {self.errors()}"
            time.sleep(0.01)

    def go(self, name):
        (self.path / name).write_text("")

    def errors(self):
        self.err.seek(0)
        return self.err.read()[-2000:]

    def finish(self):
        code = self.process.wait(120)
        assert code == 0, (code, self.errors())
        self.out.seek(0)
        return json.loads(self.out.read().splitlines()[-1])

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.out.close()
        self.err.close()
        self.folder.cleanup()


def test_a_connection_outlives_its_name():
    """A name that holds for a second: its connection goes on after that, and a new one can be made.
    (That a connection goes on when its entry is gone from the kernel: tests/kernel/egress_test.cpp.)"""
    lab()
    script = """
s = socket.create_connection(("short.test", 443), timeout=5)
s.sendall(b"a"); assert s.recv(1) == b"a"
time.sleep(3)
s.sendall(b"b")
print(json.dumps({"old": s.recv(1).decode(), "new": outcome(tcp("short.test", 443))}))
"""
    job = Job(script, policy_of("{host: short.test, ports: [443]}"))
    try:
        assert job.finish() == {"old": "b", "new": "ok"}
    finally:
        job.close()


def test_an_address_shuts_when_its_name_runs_out():
    """A name that holds for a second, and the half minute of grace: after that a new connect needs a new
    question. The download that goes on meanwhile is not cut."""
    lab()
    script = """
IP = socket.getaddrinfo("short.test", 443, socket.AF_INET)[0][4][0]
s = socket.create_connection((IP, 443), timeout=5)
def download():
    s.sendall(b"data"); return s.recv(4) == b"data"
found = {"open": outcome(tcp(IP, 443)), "moved": 0}
end = time.monotonic() + 60
while time.monotonic() < end and outcome(tcp(IP, 443)) == "ok":
    for _ in range(10):
        found["moved"] += download()
        time.sleep(0.1)
found.update(shut=outcome(tcp(IP, 443)), old="ok" if download() else "cut",
             asked=outcome(tcp("short.test", 443)))
print(json.dumps(found))
"""
    job = Job(script, policy_of("{host: short.test, ports: [443]}"))
    try:
        found = job.finish()
        assert found.pop("moved") >= 250, "it shut before its time"
        assert found == {"open": "ok", "shut": "EPERM", "old": "ok", "asked": "ok"}, found
    finally:
        job.close()


def test_more_addresses_than_there_is_room_for():
    """70 names of 240 addresses each, and room for 16,384: what does not fit is answered SERVFAIL and
    counted, what is open stays open, and when it has run out there is room again."""
    lab()
    script = """
first = outcome(tcp("allowed.test", 443, socket.AF_INET))
found = [outcome(rcode(f"n{n}.flood.test")) for n in range(70)]
full = {"codes": [each[:7] for each in found], "other": outcome(rcode("deep.wild.test"))[:7],
        "open": outcome(tcp(FAR, 443)), "denied": outcome(tcp(DENIED, 80))}
end = time.monotonic() + 60
while time.monotonic() < end and outcome(rcode("deep.wild.test"))[:7] != "rcode 0":
    time.sleep(1)
print(json.dumps({"first": first, **full, "after": outcome(tcp("deep.wild.test", 443))}))
"""
    job = Job(script, policy_of("{host: allowed.test, ports: [443]}", "{host: '*.flood.test'}",
                                "{host: '*.wild.test', ports: [443]}"))
    try:
        found = job.finish()
        codes = found.pop("codes")
        # The name that fills the table takes what there is room for, and fails, as all after it.
        assert codes == ["rcode 0"] * 68 + ["rcode 2"] * 2, codes
        assert found == {"first": "ok", "other": "rcode 2", "open": "ok", "denied": "EPERM",
                         "after": "ok"}, found
        losses = json.loads((job.path / "out" / "summary.json").read_text())["losses"]
        full = [each for each in losses if "address_table_full" in json.dumps(each)]
        assert full, losses
    finally:
        job.close()


def test_two_jobs_and_one_address():
    """one.test and two.test have the same address; each job may reach it by its own name alone."""
    lab()
    script = """
first = outcome(tcp(NAME, 443))
open("resolved", "w").close()
wait_for("go")
print(json.dumps({"own": first, "port80": outcome(tcp(SHARED, 80)), "other": outcome(tcp(OTHER, 443))}))
"""
    one = Job("NAME, OTHER = 'one.test', 'two.test'\n" + script, policy_of(
        "{host: one.test, ports: [443]}"))
    two = Job("NAME, OTHER = 'two.test', 'one.test'\n" + script, policy_of(
        "{host: two.test, ports: [80, 443]}"))
    try:
        for job in (one, two):
            job.wait_for("resolved")
        for job in (one, two):
            job.go("go")
        assert one.finish() == {"own": "ok", "port80": "EPERM", "other": "gai -3"}
        assert two.finish() == {"own": "ok", "port80": "ok", "other": "gai -3"}
    finally:
        one.close()
        two.close()


def children_of(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def test_a_killed_engine_leaves_the_policy_in_force():
    """The process that answers names is killed: what was denied stays denied, what was resolved stays
    open, and the next one answers names."""
    place = lab()
    place.forget()
    script = """
before = outcome(tcp("allowed.test", 443, socket.AF_INET))
held = socket.create_connection((FAR, 443), timeout=5)
def goes_on():
    held.sendall(b"on"); return held.recv(2).decode()
open("resolved", "w").close()
wait_for("killed")
during = [outcome(tcp(DENIED, 80)), outcome(tcp(FAR, 443)), goes_on()]
wait_for("back")
print(json.dumps({"before": before, "during": during, "after": [goes_on(),
    outcome(tcp("deep.wild.test", 443)), outcome(tcp(FAR, 443)), outcome(tcp(DENIED, 80))]}))
"""
    job = Job(script, policy_of("{host: allowed.test, ports: [443]}",
                                "{host: '*.wild.test', ports: [443]}"))
    try:
        job.wait_for("resolved")
        engine = next(pid for pid in children_of(job.process.pid)
                      if "cicd-engine" in pathlib.Path(f"/proc/{pid}/comm").read_text())
        os.kill(engine, signal.SIGKILL)
        job.go("killed")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            engines = [pid for pid in children_of(job.process.pid)
                       if pid != engine and pathlib.Path(f"/proc/{pid}/comm").read_text().startswith(
                           "cicd-engine")]
            if engines:
                break
            time.sleep(0.02)
        time.sleep(1)  # it reads the journal before it answers names
        job.go("back")
        assert job.finish() == {"before": "ok", "during": ["EPERM", "ok", "on"],
                                "after": ["on", "ok", "ok", "EPERM"]}
        summary = json.loads((job.path / "out" / "summary.json").read_text())
        assert summary["egress"]["kernel_totals"]["denied"] == {"direct_ip": 2}, summary["egress"]
        rows = list(rows_of(job.path / "out" / "violations.jsonl"))
        assert sum(int(row["count"]) for row in rows) == 2, rows
        assert not [each for each in place.contacts(port=80)]
    finally:
        job.close()


def test_names_by_the_hundred():
    lab()
    script = """
found = [outcome(lambda n=n: socket.gethostbyname(f"many{n}.test") and None) for n in range(600)]
print(json.dumps({"ok": found.count("ok"), "denied": outcome(tcp(DENIED, 80))}))
"""
    job = Job(script, policy_of(*[f"{{host: many{n}.test, ports: [443]}}" for n in range(600)]))
    try:
        assert job.finish() == {"ok": 600, "denied": "EPERM"}
    finally:
        job.close()


def test_a_policy_that_cannot_be_enforced_stops_the_job():
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("version: 1\negress:\n  allow:\n    - {hots: a.test}\n")
        file.flush()
        for flags in (["--mode", "enforce"], ["--mode", "enforce", "--policy", "/no/such/file"],
                      ["--mode", "enforce", "--policy", file.name]):
            with Run(["touch", file.name + ".ran"], flags) as run:
                assert run.exit_code not in (0, 90), run.exit_code
                assert not os.path.exists(file.name + ".ran"), flags
                assert "hint" in run.stderr or "Try" in run.stderr, run.stderr


if __name__ == "__main__":
    run_tests(globals())
