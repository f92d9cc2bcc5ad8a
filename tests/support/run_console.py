#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what a page says to type: every `$ command` of its ```console blocks, in order, in the current
folder, and compares what comes out with the page. Commands that need root (sudo) are left out.

Usage: tests/support/run_console.py PAGE.md   prints one line a difference, exits 1 when there is one
"""
import re
import subprocess
import sys


def commands_of(page):
    """(line number, command, expected output) of each command."""
    inside, current = False, None
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
            if current:
                yield current
            current = None
        elif inside and line.startswith("$ "):
            if current:
                yield current
            current = (number, line[2:], [])
        elif current:
            current[2].append(line)


def main():
    page = open(sys.argv[1], encoding="utf-8").read()
    run = wrong = 0
    for number, command, expected in commands_of(page):
        if re.match(r"sudo\b", command):
            continue
        run += 1
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, timeout=60, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.stdout.splitlines() != expected:
            wrong += 1
            print(f"{sys.argv[1]}:{number}: {command}: printed {done.stdout!r} instead of {expected!r}")
    print(f"commands: {run}, different: {wrong}")
    return 1 if wrong or not run else 0


if __name__ == "__main__":
    sys.exit(main())
