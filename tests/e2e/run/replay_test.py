#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`cicd-sensor replay`: a recording gives the outputs of its run again, under the rules of now; a
cut, damaged or foreign file is said with its place, and what was good of it counts."""
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import SENSOR, Run, rows_of, run_tests  # noqa: E402

RULE = """rule_sets:
- ruleset_id: mine
  rules:
  - rule_id: hostname_read
    event_type: file_open
    condition: path == "/etc/hostname" && is_read
    action: detect
"""


@contextlib.contextmanager
def recorded(script="cat /etc/hostname; exit 4"):
    """A folder with `job.rec`, and the run it was made by."""
    with tempfile.TemporaryDirectory(prefix="cicd-replay-") as name:
        folder = pathlib.Path(name)
        with Run(["sh", "-c", script], ["--record", folder / "job.rec"], name="shop/web") as run:
            yield folder, run


def replay(folder, file="job.rec", *flags):
    done = subprocess.run([SENSOR, "replay", file, "--output", "out", *flags], cwd=folder,
                          capture_output=True, text=True, timeout=60, check=False)
    summary = folder / "out" / "summary.json"
    return done, json.loads(summary.read_text()) if summary.is_file() else None


def facts(events):
    """What is the same in both: ids are made anew."""
    return [{key: value for key, value in event.items() if key != "id"} for event in events]


def test_the_same_events_and_summary():
    with recorded() as (folder, run):
        done, summary = replay(folder)
        assert done.returncode == 0, done.stderr
        rows = list(rows_of(folder / "out" / "events.jsonl"))
        assert facts(row["event"] for row in rows) == facts(run.events())
        assert summary["job"]["project_path"] == "shop/web", summary["job"]
        for key in ("events_total", "events_dropped", "exit_code", "programs", "sensitive_files"):
            assert summary.get(key) == run.summary.get(key), key
        assert summary["finalize_reason"] == "recording_end"


def test_rules_of_now_and_fail_on():
    with recorded() as (folder, run):
        assert run.summary["result"] == "passed"
        (folder / "rule.yaml").write_text(RULE)
        flags = ["--rules", "rule.yaml", "--baseline", "off", "--fail-on", "detect"]
        done, summary = replay(folder, "job.rec", *flags)
        assert done.returncode == 90, done.stderr
        assert summary["result"] == "detected"
        hits = list(rows_of(folder / "out" / "detections.jsonl"))
        assert [hit["rule_id"] for hit in hits] == ["hostname_read"], hits


def test_a_recording_that_is_cut_gives_its_good_part():
    with recorded("for i in 1 2 3 4 5 6 7 8; do cat /etc/hostname; sleep 0.02; done") as (folder, _):
        whole = (folder / "job.rec").read_bytes()
        (folder / "cut.rec").write_bytes(whole[:-100])
        done, summary = replay(folder, "cut.rec", "--quiet")
        assert done.returncode == 1 and "cut.rec: offset" in done.stderr, done.stderr
        assert "hint:" in done.stderr
        assert summary["finalize_reason"] == "recording_damaged"
        assert int(summary["events_total"]) > 0
        assert int(summary["events_dropped"]) >= 1, "a cut recording counts as nothing lost"


def test_a_recording_with_a_changed_byte():
    with recorded() as (folder, _):
        bytes_of = bytearray((folder / "job.rec").read_bytes())
        bytes_of[-60] ^= 0x40
        (folder / "bad.rec").write_bytes(bytes_of)
        done, summary = replay(folder, "bad.rec", "--quiet")
        assert done.returncode == 1 and "CRC-32" in done.stderr, done.stderr
        assert summary["finalize_reason"] == "recording_damaged"


def test_what_is_no_recording_makes_no_output():
    with tempfile.TemporaryDirectory(prefix="cicd-replay-") as name:
        folder = pathlib.Path(name)
        (folder / "text").write_text("not a recording " * 1000)
        (folder / "empty").write_text("")
        for file in ("text", "empty", "missing", "."):
            done, _ = replay(folder, file)
            assert done.returncode == 2, (file, done.stderr)
            assert done.stderr.count("\n") == 2 and "hint:" in done.stderr, done.stderr
            assert not (folder / "out").exists(), file


if __name__ == "__main__":
    run_tests(globals())
