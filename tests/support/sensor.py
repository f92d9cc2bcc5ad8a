# SPDX-License-Identifier: Apache-2.0
"""For end-to-end tests in Python: runs the built sensor over a command and reads what it wrote.

A test file defines functions `test_*` and ends with `run_tests(globals())`, which prints the PASS,
FAIL and SKIP lines that tools/run-tests counts. `AssertionError` is a failure, `Skip` a skip.
"""
import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CICD_BUILD_DIR", SOURCE / "build"))
SENSOR = BUILD / "cicd-sensor"
# The kind of backend that is forced, to test each on one kernel; none: the best.
BACKEND_FLAGS = ["--backend", os.environ["CICD_TEST_BACKEND"]] if os.environ.get(
    "CICD_TEST_BACKEND") else []


class Skip(Exception):
    """The test cannot run here; the text says what is missing."""


class Run:
    """One finished `cicd-sensor run`: exit code, terminal output, rows and summary."""

    def __init__(self, command, flags=(), name="test", timeout_s=300, env=None,
                 stdin=subprocess.DEVNULL):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-e2e-"))
        try:
            output = self.folder / "out"
            # The command writes to files of its own, so that nothing it leaves can hold us up.
            with open(self.folder / "stdout", "wb") as out, open(self.folder / "stderr", "wb") as err:
                done = subprocess.run(
                    [str(SENSOR), "run", "--name", name, "--output", str(output), *BACKEND_FLAGS,
                     *flags, "--", *map(str, command)], stdin=stdin, stdout=out, stderr=err,
                    timeout=timeout_s, check=False, env={**os.environ, **(env or {})})
            self.exit_code = done.returncode
            self.stdout = (self.folder / "stdout").read_text(errors="replace")
            self.stderr = (self.folder / "stderr").read_text(errors="replace")
            self.files = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
            self.events_path = output / "events.jsonl"
            self.detections = list(rows_of(output / "detections.jsonl"))
            summary = output / "summary.json"
            self.summary = json.loads(summary.read_text()) if summary.is_file() else {}
        except BaseException:
            self.close()
            raise

    def events(self):
        """The event objects of events.jsonl, one at a time: they can be many."""
        return (row["event"] for row in rows_of(self.events_path))

    def losses(self):
        """Count of losses by what was lost."""
        counter = collections.Counter()
        for entry in self.summary.get("losses", []):
            counter[entry["what"]] += int(entry["count"])
        return counter

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def rows_of(path):
    if not path.is_file():
        return
    with open(path, encoding="utf-8") as rows:
        for number, row in enumerate(rows, 1):
            try:
                yield json.loads(row)
            except json.JSONDecodeError as error:
                raise AssertionError(f"{path.name}:{number}: not JSON: {error}") from error


def chain_of(event):
    """Programs from the process of an event to its oldest ancestor: names, without folders."""
    process = event["process"]
    return [pathlib.PurePath(p.get("exec_path", "?")).name
            for p in (process, *process.get("ancestors", []))]


def run_tests(functions):
    # Whoever started us may ignore signals (a shell does for what it puts in the background).
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = False
    for name, function in list(functions.items()):
        if not name.startswith("test_"):
            continue
        try:
            function()
            print(f"PASS {name[5:]}", flush=True)
        except Skip as why:
            print(f"SKIP {name[5:]}: {why}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"FAIL {name[5:]}: {text}", flush=True)
            failed = True
    sys.exit(1 if failed else 0)
