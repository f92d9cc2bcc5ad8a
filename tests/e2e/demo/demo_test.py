#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo job, watched by the real sensor on the real kernel, against expected.json.

`events` there: how many events of a type have this chain of programs (names from the process to its
ancestors, as patterns; what follows is free) and these fields (null: absent; "{port}" is the demo
server's port, "{demo}" the folder of the job). "1+" is one or more.
"""
import contextlib
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import SOURCE, Run, chain_of, run_tests  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
DEMO = SOURCE / "examples" / "demo-job"
EXPECTED = json.loads((HERE / "expected.json").read_text())


@contextlib.contextmanager
def demo_server():
    """The demo's server, outside of the job; gives its port."""
    with subprocess.Popen(["/usr/bin/python3", DEMO / "server.py"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server:
        yield int(server.stdout.readline())
        server.stdin.close()
        assert server.wait(10) == 0, "the demo's server did not end by itself"


def watch_demo():
    with demo_server() as port:
        run = Run([DEMO / "run.sh"], name="demo", timeout_s=60,
                  env={"DEMO_SERVER": f"http://127.0.0.1:{port}", "TMPDIR": "/tmp"})
    run.port = port
    return run


def has_fields(payload, fields, run):
    for name, pattern in fields.items():
        value = payload.get(name)
        if isinstance(pattern, str):
            pattern = pattern.replace("{port}", str(run.port)).replace("{demo}", str(DEMO))
            if value is None or not fnmatch.fnmatchcase(str(value), pattern):
                return False
        elif value != pattern:
            return False
    return True


def starts_with(values, patterns):
    return len(values) >= len(patterns) and all(map(fnmatch.fnmatchcase, values, patterns))


def is_match(event, wanted, run):
    return (event["type"] == wanted["type"]
            and starts_with(chain_of(event), wanted["chain"])
            and starts_with(event["process"].get("argv", []), wanted.get("argv", []))
            and has_fields(event.get(event["type"], {}), wanted.get("fields", {}), run))


RUN = watch_demo()
EVENTS = list(RUN.events())


def test_exit_code():
    assert RUN.exit_code == EXPECTED["exit_code"], f"{RUN.exit_code}: {RUN.stderr[-800:]}"


def test_output_of_the_job_passes_through():
    for text in ("hello from a watched build: 45", "colours:", "an asset from the demo's server"):
        assert text in RUN.stdout, f"no '{text}' in {RUN.stdout!r}"


def test_files():
    assert RUN.files == EXPECTED["files"], RUN.files


def test_events():
    wrong = []
    for wanted in EXPECTED["events"]:
        count = sum(is_match(event, wanted, RUN) for event in EVENTS)
        fits = count >= 1 if wanted["count"] == "1+" else count == wanted["count"]
        if not fits:
            wrong.append(f"{wanted['what']}: {count} instead of {wanted['count']}")
    assert not wrong, "; ".join(wrong)


def test_every_exec_has_its_exit():
    counts = {}
    for event in EVENTS:
        key = (event["process"]["pid"], event["process"]["start_time"])
        counts.setdefault(key, set()).add(event["type"])
    without = [key for key, types in counts.items() if "process_exit" not in types]
    assert not without, f"no process_exit of {without}"


def test_no_process_is_unknown():
    unknown = [event for event in EVENTS if "unknown:process" in event.get("tags", [])]
    assert not unknown, unknown[:3]


def test_detections_and_no_others():
    counts = {}
    for row in RUN.detections:
        counts[row["rule_id"]] = counts.get(row["rule_id"], 0) + 1
    # Rows end at the default of max_alerts; the summary counts on.
    wanted = {rule: min(count, 10) for rule, count in EXPECTED["detections"].items()}
    assert counts == wanted, counts


def test_summary():
    for name, value in EXPECTED["summary"].items():
        assert str(RUN.summary.get(name)) == str(value), f"{name}: {RUN.summary.get(name)!r}"
    assert int(RUN.summary["events_total"]) == len(EVENTS), "events_total and events.jsonl differ"
    in_summary = {d["rule_id"]: int(d["count"]) for d in RUN.summary.get("detections", [])}
    assert in_summary == EXPECTED["detections"], in_summary
    assert all(row["available"] for row in RUN.summary["coverage"]), RUN.summary["coverage"]


def test_summary_names_the_credential_files():
    paths = sorted(use["path"] for use in RUN.summary["sensitive_files"])
    names = ["/home/.aws/credentials", "/home/.npmrc"]
    assert len(paths) == 2 and all(map(str.endswith, paths, names)), paths


def test_report_fits_80_columns_and_tells_the_story():
    # Lines of the log are as long as they are.
    long = [line for line in RUN.stderr.splitlines()
            if len(line) > 80 and not line.startswith("cicd-sensor: ")]
    assert not long, long[:3]
    for text in (".npmrc", "127.0.0.1", "cc1", "Runner.Worker", "names below drop.example", "memfd:helper"):
        assert text in RUN.stderr, f"no '{text}' in the report"


def test_job_runs_as_the_user_who_called():
    """Root calls here, so the job is root's; as sudo does it, it is the user's."""
    uids = {event["process"]["uid"] for event in EVENTS}
    assert {str(uid) for uid in uids} == {"0"}, uids


def test_as_sudo_the_job_and_its_files_are_the_users():
    with tempfile.TemporaryDirectory(prefix="cicd-demo-user-") as folder:
        os.chmod(folder, 0o755)
        with Run(["/usr/bin/id", "-u"], env={"SUDO_UID": "65534", "SUDO_GID": "65534"}) as run:
            assert run.stdout.strip() == "65534", run.stdout + run.stderr
            assert run.events_path.stat().st_uid == 65534, "events.jsonl is not the user's"


def test_nothing_of_the_job_is_left():
    left = [str(path) for path in pathlib.Path("/tmp").glob("cicd-demo.*")]
    assert not left, left


try:
    run_tests(globals())
finally:
    RUN.close()
