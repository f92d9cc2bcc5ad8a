#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command when it is told to and says what that took. The inside of a leg (legs.py).

    step.py FOLDER COMMAND [ARG...]

Prints "ready"; at the next line of standard input runs the command in FOLDER; prints a JSON object
with its exit status, CPU time and wall time; ends at the next line. The pauses are for whoever
measures the sensor from the outside.
"""
import json
import os
import resource
import subprocess
import sys
import time


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    print("ready", flush=True)
    sys.stdin.readline()
    with open(os.devnull, "r+b") as nothing:
        before, start = cpu_s(), time.monotonic()
        status = subprocess.call(sys.argv[2:], cwd=sys.argv[1], stdin=nothing, stdout=nothing)
        wall = time.monotonic() - start
    print(json.dumps({"status": status, "cpu_s": cpu_s() - before, "wall_s": wall}), flush=True)
    sys.stdin.readline()


main()
