#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is kept of each kernel and compared with what a guest says now: the verifier's numbers
(verifier/KERNEL.tsv) and the backends (coverage/KERNEL.tsv), and the page made of the latter.

Run as a program it writes the page anew; with --check it says whether the page is up to date."""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs/reference/kernels.md"
# Growth that is no finding, on the very kernel that the table is of, and on another one.
TOLERANCE, TOLERANCE_OF_ANOTHER = 0.10, 0.50
# A program smaller than this may grow by as much: a tenth of it is nothing.
SMALL = 200


def read_table(path):
    """(release, rows) of a table; its first line is a comment that ends in the release."""
    if not path.is_file():
        return None, {}
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return lines[0].split()[-1], {row[0]: row[1:] for row in rows}


def write_table(path, columns, release, rows):
    path.parent.mkdir(exist_ok=True)
    lines = [f"# {', '.join(columns)}; of kernel {release}"]
    lines += ["\t".join([name, *map(str, rows[name])]) for name in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def how_to_accept(kernel):
    return f"when that is meant, run: tests/vm/matrix --accept {kernel}"


def none_is_kept(what, kernel):
    """CI makes a failure of it."""
    return ("SKIP", what, f"no table is kept of this kernel; run: tests/vm/matrix --accept {kernel}")


# --- the verifier
def verifier_rows(path):
    """Program -> (outcome, instructions, states, text) of verifier_stats' output."""
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        name, outcome, instructions, states, _, text = line.split("\t")
        rows[name] = (outcome, int(instructions), int(states), text)
    return rows


def growth_of(now, kept, tolerance):
    """What grew too much, or ""."""
    for what, is_now, was in zip(("instructions", "states"), now[1:3], map(int, kept[1:3])):
        if is_now > was * (1 + tolerance) and is_now > was + (SMALL if what == "instructions" else 20):
            return f"{is_now} {what}, were {was}"
    return ""


def verifier_cases(kernel, release, path, accept):
    seen = verifier_rows(path)
    table = HERE / "verifier" / f"{kernel}.tsv"
    if not seen:
        return [("FAIL", "verifier", "the guest gave no numbers")]
    cases = [("FAIL", f"verifier {name}", f"refused: {row[3]}")
             for name, row in seen.items() if row[0] == "refused"]
    if accept:
        kept = {name: row[:3] for name, row in seen.items() if row[0] != "refused"}
        write_table(table, ["program", "outcome", "instructions", "states"], release, kept)
        return [*cases, ("PASS", "verifier (accepted)", "")]
    kept_release, kept = read_table(table)
    if kept_release is None:
        return [*cases, none_is_kept("verifier", kernel)]
    tolerance = TOLERANCE if kept_release == release else TOLERANCE_OF_ANOTHER
    for name in sorted(seen.keys() | kept.keys()):
        now, was = seen.get(name), kept.get(name)
        if now is None or was is None or now[0] not in ("refused", was[0]):
            states = f"{now[0] if now else 'gone'}, was {was[0] if was else 'not there'}"
            cases.append(("FAIL", f"verifier {name}", f"{states}; {how_to_accept(kernel)}"))
        elif now[0] != "refused":
            growth = growth_of(now, was, tolerance)
            text = f"{growth} on {kept_release}; {how_to_accept(kernel)}" if growth else ""
            cases.append(("FAIL" if growth else "PASS", f"verifier {name}", text))
    return cases


# --- the coverage
def coverage_rows(path):
    """Event type -> (backend, reason), of the doctor's JSON."""
    try:
        doctor = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return {each["event_type"]: (each["backend"], " ".join(each["reason"].split()))
            for each in doctor["coverage"]}


def coverage_cases(kernel, release, path, accept):
    seen = {name: (backend,) for name, (backend, _) in coverage_rows(path).items()}
    table = HERE / "coverage" / f"{kernel}.tsv"
    if not seen:
        return [("FAIL", "coverage", "the doctor gave none")]
    if accept:
        write_table(table, ["event type", "backend"], release, seen)
        PAGE.write_text(page(), encoding="utf-8")
        return [("PASS", "coverage (accepted)", "")]
    kept_release, kept = read_table(table)
    if kept_release is None:
        return [none_is_kept("coverage", kernel)]
    changes = [f"{name}: {seen.get(name, ['gone'])[0]}, was {kept.get(name, ['not there'])[0]}"
               for name in sorted(seen.keys() | kept.keys())
               if list(seen.get(name, [])) != kept.get(name)]
    cases = [("FAIL" if changes else "PASS", "coverage",
              f"{'; '.join(changes)}; {how_to_accept(kernel)}" if changes else "")]
    is_old = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page()
    cases.append(("FAIL" if is_old else "PASS", "coverage page",
                  f"{PAGE.name} is not that of the tables; run: tests/vm/tables.py" if is_old else ""))
    return cases


def kernels():
    lines = (HERE / "kernels").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def page():
    """docs/reference/kernels.md."""
    tables = {kernel: read_table(HERE / "coverage" / f"{kernel}.tsv") for kernel in kernels()}
    tables = {kernel: table for kernel, table in tables.items() if table[0]}
    names = {name: None for _, rows in tables.values() for name in rows}
    out = ["<!-- Made by tests/vm/tables.py from what `cicd-sensor doctor` says on each kernel. -->",
           "# Kernels", "",
           "Which backend serves each type of event on the kernels that the tests boot. What a "
           "backend cannot see is printed by `cicd-sensor doctor` on the machine itself.", "",
           "On Linux 7.x a kernel program can be preempted in the middle, and is then not run for "
           "what happens on that CPU until it goes on. Fork, exec and exit have a second program "
           "each for that, and those that see connections are never skipped. Of the others events "
           "are lost on a busy machine, and counted with the reason `recursion`.", "",
           "| type of event | " + " | ".join(release for release, _ in tables.values()) + " |",
           "|---|" + "---|" * len(tables)]
    for name in names:
        cells = [rows.get(name, ["-"])[0] for _, rows in tables.values()]
        out.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page() else 1)
    PAGE.write_text(page(), encoding="utf-8")
