#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Floods from several processes at once: what was done is reported or counted, act by act, and of
processes and connections nothing is lost, with default buffers.

CICD_RUN_FLAGS: flags for `cicd-sensor run` (opens that repeat are counted; with --no-dedup not).
CICD_FLOOD_EXECS: run the flood of processes only, with so many in each (for slow guests).
"""
import json
import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import BUILD, Run, run_tests  # noqa: E402

FLOOD = BUILD / "e2e" / "truth_flood"
FLAGS = os.environ.get("CICD_RUN_FLAGS", "").split()
PROCESSES = 4
OPENS, CONNECTS, NAMES, REPEATS, MIXED = 100_000, 150_000, 40_000, 50_000, 3_000
EXECS = int(os.environ.get("CICD_FLOOD_EXECS", "1000"))
KEPT = ("process_fork", "process_exec", "process_exit", "network_connect", "members", "escaped")


class Flood:
    """One run of truth_flood under the sensor."""

    def __init__(self, act, count, flags=()):
        self.count = count
        with tempfile.TemporaryDirectory(prefix="cicd-flood-") as folder:
            self.folder = folder
            (pathlib.Path(folder) / "same").write_text("x")
            self.run = Run([FLOOD, act, PROCESSES, count, folder], ["--report", "json", "--quiet",
                                                                    *FLAGS, *flags])

    def __enter__(self):
        run = self.run
        assert run.exit_code == 0, f"exit code {run.exit_code}: {run.stderr[-500:]}"
        assert json.loads(run.stdout)["done"] == PROCESSES * self.count, run.stdout
        dropped = int(run.summary["events_dropped"])
        assert dropped == sum(run.losses().values()), f"{dropped} dropped, but {run.losses()}"
        lost = {what: count for what, count in run.losses().items() if what in KEPT}
        assert not lost, f"lost with default buffers: {run.summary['losses']}"
        return self

    def __exit__(self, *_):
        self.run.close()

    def account(self, what, key, processes=range(PROCESSES)):
        """`key` gives (process, number) of an event of this flood, or None."""
        seen = set()
        for event in self.run.events():
            act = event["type"] == what and key(event)
            if act:
                assert act not in seen, f"{what} {act} is there twice"
                seen.add(act)
        done = len(processes) * self.count
        assert all(p in processes and i < self.count for p, i in seen), f"{what} that nobody did"
        dropped = self.run.losses()[what]
        assert len(seen) + dropped >= done, f"{done - len(seen) - dropped} {what} not accounted for"
        # The loader and the shell make some of their own, which may be among the dropped.
        print(f"{what}: {len(seen)} of {done} reported, {dropped} counted as dropped")
        return len(seen)


def matcher(pattern, *path):
    compiled = re.compile(pattern)

    def key(event):
        text = event
        for name in path:
            text = text.get(name, "") if isinstance(text, dict) else ""
        match = compiled.fullmatch(text)
        return match and (int(match.group(1)), int(match.group(2)))
    return key


def open_key(flood):
    return matcher(re.escape(flood.folder) + r"/none/(\d+)-(\d+)", "file_open", "path")


def exec_key(event):
    argv = event["process"].get("argv", [])
    return (int(argv[2]), int(argv[3])) if len(argv) == 4 and argv[1] == "nothing" else None


def connect_key(event):
    to = event["network_connect"]
    parts = [int(part) for part in to["remote_ip"].split(".")]
    if parts[0] != 127 or to["remote_port"] == 53:
        return None
    return parts[1] - 1, (to["remote_port"] - 1000) << 16 | parts[2] << 8 | parts[3]


NAME_KEY = matcher(r"p(\d+)-(\d+)\.flood\.test", "domain", "name")


def test_opens():
    with Flood("opens", OPENS) as flood:
        flood.account("file_open", open_key(flood))


def test_processes():
    with Flood("execs", EXECS) as flood:
        for what in ("process_exec", "process_exit"):
            assert flood.account(what, exec_key) == PROCESSES * EXECS


def test_connects():
    with Flood("connects", CONNECTS) as flood:
        assert flood.account("network_connect", connect_key) == PROCESSES * CONNECTS


def test_names():
    with Flood("dns", NAMES) as flood:
        flood.account("domain", NAME_KEY)


def test_all_at_once():
    with Flood("all", MIXED) as flood:
        flood.account("file_open", open_key(flood), [0])
        assert flood.account("process_exec", exec_key, [1]) == MIXED
        assert flood.account("process_exit", exec_key, [1]) == MIXED
        assert flood.account("network_connect", connect_key, [2]) == MIXED
        flood.account("domain", NAME_KEY, [3])


def opens_of_one_file(flood):
    path = f"{flood.folder}/same"
    return sum(event["type"] == "file_open" and event["file_open"]["path"] == path
               for event in flood.run.events())


def test_repeated_opens():
    with Flood("repeats", REPEATS) as flood:
        reported = opens_of_one_file(flood)
        repeated = int(flood.run.summary.get("repeated_opens", 0))
        dropped = flood.run.losses()["file_open"]
        print(f"{reported} reported, {repeated} repeated, {dropped} counted as dropped")
        assert PROCESSES <= reported + dropped, "an open of each process is no repeat"
        assert reported + repeated + dropped >= PROCESSES * REPEATS
        if "--no-dedup" in FLAGS:
            assert repeated == 0
        else:
            assert repeated > 0 and reported < PROCESSES * REPEATS // 100, reported


def test_repeated_opens_without_dedup():
    with Flood("repeats", REPEATS, ["--no-dedup"]) as flood:
        reported, dropped = opens_of_one_file(flood), flood.run.losses()["file_open"]
        assert int(flood.run.summary.get("repeated_opens", 0)) == 0
        assert PROCESSES * REPEATS <= reported + dropped
        assert reported <= PROCESSES * REPEATS
        print(f"{reported} reported, {dropped} counted as dropped")


if "CICD_FLOOD_EXECS" in os.environ:
    run_tests({"test_processes": test_processes})
run_tests(globals())
