#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Evasions, each done for real under the sensor: what is seen of it, what is seen in part, and what
is not. cases.py says which; docs/limits.md must say the same, in both directions."""
import pathlib
import platform
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import BUILD, SOURCE, Run, Skip, run_tests  # noqa: E402

from cases import CASES, NOT_SEEN, PARTLY, SEEN  # noqa: E402
from world import World  # noqa: E402

ACTS = BUILD / "e2e" / "evasion_acts"
LIMITS = SOURCE / "docs" / "limits.md"
CANNOT = 77
HEADINGS = {"Not seen": NOT_SEEN, "Seen in part": PARTLY, "Seen": SEEN}


class Outcome:
    """The one run with all acts: their codes, and the events of each."""

    def __init__(self):
        ids = [case.id for case in CASES]
        with World(ids) as world, open(world.folder / "inherited-fd" / "secret", "rb") as stdin:
            self.folder = str(world.folder)
            self.port = world.port
            command = [ACTS, "all", world.folder, world.port, *ids]
            with Run(command, ["--report", "json"], stdin=stdin) as run:
                self.exit_code, self.stderr = run.exit_code, run.stderr
                assert run.summary, f"no summary, exit code {run.exit_code}: {run.stderr[-2000:]}"
                self.codes = dict(line.split() for line in run.stdout.splitlines())
                self.losses = run.losses()
                self.loss_reasons = {each["reason"] for each in run.summary.get("losses", [])}
                self.coverage = {each["event_type"]: each
                                 for each in run.summary.get("coverage", [])}
                self.repeated_opens = int(run.summary["repeated_opens"])
                self.processes = {}
                self.events = {case: [] for case in ids}
                for event in run.events():
                    for case in self._cases_of(event, ids):
                        self.events[case].append(event)
            counted = world.folder / "fd-swap-race" / "opened"
            self.swapped_opens = int(counted.read_text()) if counted.exists() else 0

    def _cases_of(self, event, ids):
        """By the arguments of its processes, by the process that had them before it ran something
        else, or by the folder that the payload names."""
        found = set()
        identity = (event["process"].get("pid"), event["process"].get("start_time"))
        for process in (event["process"], *event["process"].get("ancestors", [])):
            argv = process.get("argv", [])
            if len(argv) > 1 and re.fullmatch(r"case-\d{3}", argv[1]):
                self.processes[identity] = ids[int(argv[1][5:])]
        if identity in self.processes:
            found.add(self.processes[identity])
        for value in event.get(event["type"], {}).values():
            match = isinstance(value, str) and re.match(re.escape(self.folder) + "/([^/]+)/", value)
            if match and match.group(1) in ids:
                found.add(match.group(1))
        return found


def verdicts_of_page():
    """Id -> verdict, from the tables of docs/limits.md."""
    found, verdict = {}, None
    for line in LIMITS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            verdict = HEADINGS.get(line.lstrip("# "))
        match = re.match(r"\| `([a-z0-9-]+)` \|", line)
        if match and verdict:
            assert match.group(1) not in found, f"{match.group(1)} stands there twice"
            found[match.group(1)] = verdict
    return found


def test_limits_page_says_what_is_tested():
    page = verdicts_of_page()
    tested = {case.id: case.verdict for case in CASES}
    assert page == tested, "docs/limits.md and tests/e2e/evasion/cases.py differ: " + ", ".join(
        f"{case} (page: {page.get(case)}, test: {tested.get(case)})"
        for case in sorted(page.keys() | tested.keys()) if page.get(case) != tested.get(case))


def test_limits_page_says_where_trampolines_make_a_difference():
    rows = {match.group(1): line for line in LIMITS.read_text(encoding="utf-8").splitlines()
            if (match := re.match(r"\| `([a-z0-9-]+)` \|", line))}
    for case in CASES:
        says = "trampolines" in rows.get(case.id, "")
        assert says == (case.trampolines is not None), f"{case.id}: the page says {says}"


def check(case):
    code = OUTCOME.codes.get(case.id)
    if code == str(CANNOT):
        raise Skip(f"{'optional: ' if case.optional else ''}the machine cannot; {OUTCOME.stderr}")
    assert code == "0", f"the act was not done, code {code}: {OUTCOME.stderr[-300:]}"
    limit = case.limit(OUTCOME.coverage, RELEASE)
    expectations = case.expected(OUTCOME.coverage, RELEASE, is_lesser=limit is not None)
    why = case.failure(OUTCOME.events[case.id], OUTCOME, expectations)
    assert not why, why
    if limit:
        raise Skip(f"not in this kernel: {limit}")


def test_nothing_was_lost():
    assert OUTCOME.exit_code == 0, f"{OUTCOME.exit_code}: {OUTCOME.stderr}"
    lost = {what: count for what, count in OUTCOME.losses.items() if count}
    if lost and RELEASE >= (7, 0) and OUTCOME.loss_reasons <= {"recursion", "not_seen",
                                                               "start_not_seen"}:
        raise Skip(f"not in this kernel: programs that run as often as they are called; {lost}")
    assert not lost, f"events were dropped, so that nothing is proved: {lost}"


def test_strict_sees_32_bit_calls():
    with World(["int80-open"]) as world:
        command = [ACTS, "all", world.folder, world.port, "int80-open"]
        with Run(command, ["--report", "json", "--strict"]) as run:
            if run.stdout.split() == ["int80-open", str(CANNOT)]:
                raise Skip(f"optional: {run.stderr}")
            assert run.stdout.split() == ["int80-open", "0"], run.stderr
            secret = f"{world.folder}/int80-open/secret"
            opens = [event for event in run.events()
                     if event.get("file_open", {}).get("path") == secret]
            # Once also where trampolines see it anyway.
            assert len(opens) == 1 and "via:32bit" in opens[0]["tags"], opens


RELEASE = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
def test_each_open_of_a_race_has_a_row():
    """In the run of all, repeats are counted together; here each open has to be there."""
    with World(["fd-swap-race"]) as world:
        command = [ACTS, "all", world.folder, world.port, "fd-swap-race"]
        with Run(command, ["--report", "json", "--no-dedup"]) as run:
            assert run.stdout.split() == ["fd-swap-race", "0"], run.stderr
            folder = world.folder / "fd-swap-race"
            names = (f"{folder}/secret", f"{folder}/sub")
            rows = [event for event in run.events()
                    if event.get("file_open", {}).get("path") in names]
            opened = int((folder / "opened").read_text())
            assert len(rows) >= opened > 0, f"{len(rows)} rows of {opened} opens"


OUTCOME = Outcome()
tests = {name: function for name, function in globals().items() if name.startswith("test_")}
tests |= {f"test_{case.id}": lambda case=case: check(case) for case in CASES}
run_tests(tests)
