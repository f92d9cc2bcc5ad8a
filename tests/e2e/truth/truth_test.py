#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Counts: everything a load did is in events.jsonl or in a drop counter of summary.json, exactly.

Process and network events must all be there, with default buffers; opens may be dropped when the
machine is slower than the load, but then each is counted.
"""
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import BUILD, Run, run_tests  # noqa: E402

LOAD = BUILD / "e2e" / "truth_load"
PROCESSES, OPENS, CONNECTS = 20_000, 200_000, 20_000
FLOOD_OPENS, FLOOD_PROCESSES = 100_000, 2_000


def check_run(run):
    assert run.exit_code == 0, f"exit code {run.exit_code}: {run.stderr[-500:]}"
    dropped = int(run.summary["events_dropped"])
    assert dropped == sum(run.losses().values()), f"{dropped} dropped, but {run.losses()}"


def accounted(run, what, seen, expected, repeats):
    """Each of `expected` acts was seen once, or counted as dropped."""
    assert repeats == 0, f"{repeats} {what} events are there more than once"
    missing, dropped = expected - len(seen), run.losses()[what]
    assert missing >= 0, f"{len(seen)} {what} events for {expected} acts"
    # Other events of the same type (the loader's libraries) may be among the dropped.
    assert dropped >= missing, f"{missing} of {expected} {what} are neither reported nor counted"
    print(f"{what}: {len(seen)} of {expected} reported, {dropped} counted as dropped")


def none_dropped(run, *types):
    lost = {what: count for what, count in run.losses().items() if what in types}
    assert not lost, f"dropped with default buffers: {lost}"


class Seen(set):
    """A set that counts what was there already."""
    repeats = 0

    def note(self, item):
        if item in self:
            self.repeats += 1
        self.add(item)


def process_events(run):
    """Numbers of the `nothing` processes whose exec, and whose exit, was seen."""
    execs, exits = Seen(), Seen()
    for event in run.events():
        argv = event["process"].get("argv", [])
        if len(argv) == 3 and argv[1] == "nothing":
            if event["type"] == "process_exec":
                execs.note(int(argv[2]))
            elif event["type"] == "process_exit":
                exits.note(int(argv[2]))
                assert event["process_exit"]["exit_code"] == 0, event
    return execs, exits


def opened_files(run, folder):
    pattern = re.compile(re.escape(folder) + r"/f(\d+)")
    seen = Seen()
    for event in run.events():
        match = event["type"] == "file_open" and pattern.fullmatch(event["file_open"]["path"])
        if match:
            assert event["file_open"].get("is_write"), event
            seen.note(int(match.group(1)))
    return seen


def test_20000_processes():
    with Run([LOAD, "processes", PROCESSES], ["--report", "json"]) as run:
        check_run(run)
        execs, exits = process_events(run)
        accounted(run, "process_exec", execs, PROCESSES, execs.repeats)
        accounted(run, "process_exit", exits, PROCESSES, exits.repeats)
        none_dropped(run, "process_exec", "process_exit", "process_fork", "network_connect")
        assert len(execs) == len(exits) == PROCESSES


def test_200000_opens():
    with tempfile.TemporaryDirectory(prefix="cicd-truth-") as folder:
        with Run([LOAD, "opens", OPENS, folder], ["--report", "json"]) as run:
            check_run(run)
            seen = opened_files(run, folder)
            accounted(run, "file_open", seen, OPENS, seen.repeats)
            none_dropped(run, "process_exec", "process_exit", "process_fork", "network_connect")


def test_20000_connects():
    with Run([LOAD, "connects", CONNECTS], ["--report", "json"]) as run:
        check_run(run)
        seen = Seen()
        for event in run.events():
            if event["type"] == "network_connect":
                connect = event["network_connect"]
                seen.note((connect["remote_ip"], connect["remote_port"]))
                assert connect["protocol"] == "tcp" and connect["family"] == "ipv4", event
        expected = {f"127.1.{i >> 8}.{i & 255}" for i in range(CONNECTS)}
        assert {ip for ip, _ in seen} == expected, "other addresses than those connected to"
        accounted(run, "network_connect", seen, CONNECTS, seen.repeats)
        none_dropped(run, "process_exec", "process_exit", "process_fork", "network_connect")


def test_flood_of_opens_displaces_no_process():
    with tempfile.TemporaryDirectory(prefix="cicd-truth-") as folder:
        script = f'"{LOAD}" opens {FLOOD_OPENS} "{folder}" & "{LOAD}" processes {FLOOD_PROCESSES}; wait $!'
        with Run(["/bin/sh", "-c", script], ["--report", "json"]) as run:
            check_run(run)
            execs, exits = process_events(run)
            assert len(execs) == len(exits) == FLOOD_PROCESSES, (len(execs), len(exits))
            none_dropped(run, "process_exec", "process_exit", "process_fork", "network_connect")
            seen = opened_files(run, folder)
            accounted(run, "file_open", seen, FLOOD_OPENS, seen.repeats)


run_tests(globals())
