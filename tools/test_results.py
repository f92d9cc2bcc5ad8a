# SPDX-License-Identifier: Apache-2.0
"""What test programs say of their cases, and the report that run-tests makes of it.

A program here is anything with output() (its text), ending() (why it did not end well, or ""),
seconds and left_behind. A case is (name, "passed" | "failed" | "skipped", why).
"""
import re
import xml.etree.ElementTree as ElementTree

OUTPUT_TAIL_LINES = 60
# What begins a reason that also counts as a skip when CI=true.
SKIPS_IN_CI = ("optional:", "not in this kernel:")


class Report:
    """Outcomes of test cases by stage. `is_ci`: what could not run has failed."""

    def __init__(self, is_ci):
        self.is_ci = is_ci
        self.counts, self.seconds, self.lines = {}, {}, []

    def add(self, stage, case, outcome, text=""):
        if outcome == "skipped" and self.is_ci and not text.startswith(SKIPS_IN_CI):
            outcome, text = "failed", f"could not run: {text}"
        counts = self.counts.setdefault(stage, {"passed": 0, "failed": 0, "skipped": 0})
        counts[outcome] += 1
        if outcome != "passed":
            self.lines.append(f"{outcome.upper():7} {stage} {case}: {text.strip() or 'no reason'}")

    def add_program(self, stage, name, program, cases):
        """Adds the cases of a program and prints its line, and its output when one failed."""
        if program.left_behind:
            cases = [*cases, ("nothing left behind", "failed", program.left_behind)]
        before = dict(self.counts.get(stage, {"failed": 0}))
        for case, outcome, text in cases:
            self.add(stage, f"{name} {case}".strip(), outcome, text)
        failed = self.counts[stage]["failed"] - before["failed"] if cases else 0
        word = "FAILED" if failed else "ok"
        print(f"{stage:7} {name:32} {len(cases):5} cases {program.seconds:8.1f} s  {word}", flush=True)
        if failed:
            tail = program.output().splitlines()[-OUTPUT_TAIL_LINES:]
            print("\n".join("    | " + line for line in tail), flush=True)

    def total(self, outcome):
        return sum(counts[outcome] for counts in self.counts.values())

    def finish(self):
        print(f"\n{'stage':8}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
        for stage, seconds in self.seconds.items():
            counts = self.counts.get(stage, {"passed": 0, "failed": 0, "skipped": 0})
            print(f"{stage:8}{counts['passed']:8}{counts['failed']:8}{counts['skipped']:9}"
                  f"{seconds:9.0f}")
        for line in self.lines:
            print(line)
        skipped = f", {self.total('skipped')} skipped" if self.total("skipped") else ""
        print(f"{self.total('passed')} passed, {self.total('failed')} failed{skipped}", flush=True)
        return 1 if self.total("failed") or not self.total("passed") else 0


def cases_of_gtest(program, xml_path):
    """(case, outcome, text) of a GoogleTest program; one that died is read from its output."""
    cases = []
    try:
        tree = ElementTree.parse(xml_path)
    except (OSError, ElementTree.ParseError):
        return cases_of_dead_gtest(program)
    for case in tree.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        failures = [failure.get("message", "") for failure in case.iter("failure")]
        skipped = case.find("skipped")
        if failures:
            cases.append((name, "failed", failures[0].replace("\n", " ")[:300]))
        elif skipped is not None or case.get("result") == "skipped":
            text = (skipped.get("message", "") if skipped is not None else "").strip()
            cases.append((name, "skipped", text.split("\n")[-1]))
        elif case.get("status") == "run":
            cases.append((name, "passed", ""))
    bad_end = program.ending()
    if bad_end and not any(outcome == "failed" for _, outcome, _ in cases):
        cases.append(("(end of program)", "failed", bad_end))
    return cases


def cases_of_dead_gtest(program):
    cases, open_case = [], None
    for mark, name in re.findall(r"^\[ (RUN     |      OK|SKIPPED|FAILED ) ?\] ([^\s,(]+)",
                                 program.output(), re.MULTILINE):
        word = mark.strip()
        if word == "RUN":
            open_case = name
        elif open_case == name:
            outcome = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[word]
            cases.append((name, outcome, "" if outcome != "skipped" else "skipped by the test"))
            open_case = None
    why = program.ending() or "ended without a result"
    cases.append((open_case or "(program)", "failed", f"{why}; cases after it did not run"))
    return cases


def cases_of_script(program):
    """Reads the lines "PASS name", "FAIL name: text" and "SKIP name: text" of a script test."""
    outcomes = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}
    cases = []
    for line in program.output().splitlines():
        word, _, rest = line.partition(" ")
        if word in outcomes and rest:
            name, _, text = rest.partition(": ")
            cases.append((name, outcomes[word], text))
    bad_end = program.ending()
    if bad_end and not any(outcome == "failed" for _, outcome, _ in cases):
        cases.append(("(end of script)", "failed", bad_end))
    if not cases:
        cases.append(("(script)", "failed", "printed no PASS, FAIL or SKIP line"))
    return cases
