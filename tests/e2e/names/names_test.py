#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Names of a job: what it asks a real name server through the C library and by hand, and what its
connections are called in the rows and the summary."""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from name_server import (A, AAAA, CNAME, HTTPS, TXT, Zones, enter_private_namespaces, serve,  # noqa: E402
                         wire)
from sensor import Run, chain_of, run_tests  # noqa: E402


def svcb_with_hint(address):
    return struct.pack(">H", 1) + b"\0" + struct.pack(">HH", 4, 4) + bytes(map(int, address.split(".")))


def loop(message):
    """A name that points at itself, and bytes that mean nothing."""
    return message[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + message[12:] + b"\xc0\xff" + b"\xc0\x0c" * 40


ZONES = Zones({
    "plain.test": [(A, "127.0.0.21")],
    "www.chain.test": [(CNAME, "mid.chain.test")],
    "mid.chain.test": [(CNAME, "edge.cdn.test")],
    "edge.cdn.test": [(A, "127.0.0.22")],
    "one.shared.test": [(A, "127.0.0.23")],
    "two.shared.test": [(A, "127.0.0.23")],
    "many.test": [(A, f"127.0.0.{n}") for n in range(31, 35)],
    "six.test": [(AAAA, "2001:db8::6")],
    "big.test": [(A, f"127.0.1.{n}") for n in range(1, 61)],
    "svc.test": [(HTTPS, svcb_with_hint("127.0.0.41"))],
    "tunnel.test": [(TXT, b"\3abc")],
    "silent.test": lambda message: None,
    "loop.test": loop,
    "short.test": lambda message: message[:5],
    "hello.example": [(A, "127.0.0.51")],
}, only_tcp=["big.test"])

PRELUDE = """
import socket, struct, sys
def connect(host, port=81):
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        pass
def ask(name, kind, number=1):
    message = struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0)
    message += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0"
    return message + struct.pack(">HH", kind, 1)
def udp(name, kind, wait=2.0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(wait)
        s.sendto(ask(name, kind), ("127.0.0.1", 53))
        try:
            return s.recv(4096)
        except OSError:
            return b""
"""


def run(script, flags=()):
    return Run([sys.executable, "-I", "-S", "-c", PRELUDE + script], ["--quiet", *flags])


def connects(events, port=81):
    """Address -> payload of connections to `port`."""
    out = {}
    for event in events:
        if event["type"] == "network_connect" and event["network_connect"]["remote_port"] == port:
            out[event["network_connect"]["remote_ip"]] = event
    return out


def asked(events):
    return [(e["domain"]["name"], e["domain"]["query_type"]) for e in events
            if e["type"] == "domain" and "result" not in e["domain"]]


def answered(events):
    return [e["domain"] for e in events if e["type"] == "domain" and "result" in e["domain"]]


def expect_named(events, address, name):
    payload = connects(events)[address]["network_connect"]
    assert payload["domain"] == name and payload["domain_source"] in ("dns_answer", "getaddrinfo"), payload


def expect_no_loss(run_):
    assert run_.summary["losses"] == [], run_.summary["losses"]


def test_a_connection_has_the_name_that_was_asked_for():
    with run("connect('plain.test')") as done:
        events = list(done.events())
        expect_named(events, "127.0.0.21", "plain.test")
        assert "tags" not in connects(events)["127.0.0.21"], events
        assert asked(events) in ([("plain.test", "A")], [("plain.test", "AAAA")]), asked(events)
        row = next(e for e in events if e["type"] == "domain")
        assert row["domain"]["source"] == "dns", row
        assert "python" in chain_of(row)[0], chain_of(row)
        assert {"name": "plain.test", "source": "dns", "query_type": "A", "answers": "127.0.0.21",
                "result": "NOERROR"} in answered(events), answered(events)
        assert "plain.test" in done.summary["domains"], done.summary["domains"]
        use = next(u for u in done.summary["destinations"] if u["remote_ip"] == "127.0.0.21")
        assert use["domain"] == "plain.test", use
        expect_no_loss(done)


def test_chains_keep_the_name_that_was_asked_for():
    with run("connect('www.chain.test')") as done:
        events = list(done.events())
        expect_named(events, "127.0.0.22", "www.chain.test")
        assert any(a.get("answers") == "edge.cdn.test, 127.0.0.22" for a in answered(events)), answered(events)
        expect_no_loss(done)


def test_two_names_of_one_address_are_ambiguous():
    with run("connect('one.shared.test'); connect('two.shared.test')") as done:
        events = list(done.events())
        last = connects(events)["127.0.0.23"]
        assert last["network_connect"]["domain"] == "two.shared.test", last
        assert last["network_connect"]["domain_candidates"] == "one.shared.test", last
        assert last["tags"] == ["ambiguous:domain"], last
        for name in ("one.shared.test", "two.shared.test"):
            assert name in done.summary["domains"], done.summary["domains"]


def test_two_processes_with_one_address_are_not_ambiguous():
    with run("""
import os
pid = os.fork()
connect('one.shared.test' if pid else 'two.shared.test')
if pid: os.waitpid(pid, 0)
connect('127.0.0.23', 82 if pid else 83)
""") as done:
        events = list(done.events())
        for port, name in ((82, "one.shared.test"), (83, "two.shared.test")):
            event = connects(events, port)["127.0.0.23"]
            assert event["network_connect"]["domain"] == name and "tags" not in event, event


def test_all_addresses_of_a_name():
    with run("connect('many.test'); connect('six.test')") as done:
        events = list(done.events())
        for n in range(31, 35):
            expect_named(events, f"127.0.0.{n}", "many.test")
        expect_named(events, "2001:db8::6", "six.test")
        expect_no_loss(done)


def test_truncated_answers_come_again_over_tcp():
    with run("socket.getaddrinfo('big.test', 80); connect('127.0.1.60')") as done:
        events = list(done.events())
        expect_named(events, "127.0.1.60", "big.test")
        assert any(e["type"] == "network_connect" and e["network_connect"]["remote_port"] == 53 and
                   e["network_connect"]["protocol"] == "tcp" for e in events), "no TCP was used"
        expect_no_loss(done)


def test_hints_of_https_records():
    with run("udp('svc.test', 65); connect('127.0.0.41')") as done:
        events = list(done.events())
        expect_named(events, "127.0.0.41", "svc.test")
        assert ("svc.test", "HTTPS") in asked(events), asked(events)


def test_answers_that_never_come():
    with run("udp('silent.test', 1, 0.2); connect('127.0.0.1')") as done:
        events = list(done.events())
        assert asked(events) == [("silent.test", "A")], asked(events)
        assert answered(events) == [], answered(events)
        assert connects(events)["127.0.0.1"]["network_connect"]["domain_source"] == "none"
        expect_no_loss(done)


def test_hostile_answers_are_counted_and_harmless():
    with run("udp('loop.test', 1); udp('short.test', 1); connect('plain.test')") as done:
        events = list(done.events())
        expect_named(events, "127.0.0.21", "plain.test")
        assert done.losses()["domain"] == 2, done.summary["losses"]


def test_every_name_of_a_tunnel_is_a_row():
    with run("""
for n in range(500):
    udp(f'x{n}.tunnel.test', 16)
""") as done:
        names = {name for name, kind in asked(done.events()) if kind == "TXT"}
        assert names == {f"x{n}.tunnel.test" for n in range(500)}, len(names)
        expect_no_loss(done)


def test_rules_see_the_question_once():
    rules = pathlib.Path(__file__).with_name("rules.yaml")
    with run("connect('hello.example'); connect('hello.example')",
             ["--baseline", "off", "--rules", str(rules)]) as done:
        hits = [d for d in done.detections if d["rule_id"] == "asks_example"]
        assert len(hits) == 1, len(hits)
        assert hits[0]["event"]["domain"]["name"] == "hello.example", hits


def test_the_report_names_destinations():
    with Run([sys.executable, "-I", "-S", "-c", PRELUDE + "connect('plain.test')"]) as done:
        assert "= plain.test" in done.stderr, done.stderr


def test_nothing_of_outside():
    import socket
    import threading
    stop = threading.Event()

    def outside():
        while not stop.is_set():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0" + wire("plain.test") + b"\0\1\0\1",
                              ("127.0.0.1", 53))
                client.recv(4096)

    thread = threading.Thread(target=outside)
    thread.start()
    try:
        with run("import time; time.sleep(1)") as done:
            assert not [e for e in done.events() if e["type"] == "domain"], "rows of outside"
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    enter_private_namespaces()
    serve(ZONES)
    run_tests(globals())
