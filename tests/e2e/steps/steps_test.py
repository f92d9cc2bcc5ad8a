#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Steps of CI jobs: every event says which one it belongs to, under `run` and under the agent, on
each platform; and nothing else of an environment is in what is written."""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "agent"))
from live_agent import Agent, wait_until  # noqa: E402
from sensor import SENSOR, Run, run_tests  # noqa: E402

# A runner with three steps, each with its variables as GitHub's runner sets them. `job-file` is
# touched by the runner itself. What the first leaves behind goes on in the third; the second starts
# programs without an environment; many of all of them are over at once.
RUNNER = r"""
step() { (export GITHUB_ACTIONS=true GITHUB_ACTION="$1" GITHUB_ACTION_REPOSITORY="$2" \
                 GITHUB_TOKEN=ghs_the-secret; exec bash -e -c "$3"); }
touch job-file
step __run '' 'touch first-file; (while [ ! -e go ]; do sleep 0.05; done; touch daemon-file) &'
step __actions_checkout actions/checkout \
  'touch second-file; env -i /bin/sh -c "/usr/bin/touch cleared-file"
   for i in 1 2 3 4 5; do /bin/true; done'
step deploy '' 'touch third-file; touch go; for i in 1 2 3 4 5; do /bin/true & done; wait
                while [ ! -e daemon-file ]; do sleep 0.05; done'
touch end-file
"""
# File -> the step of who touched it.
WANTED = {"job-file": None, "first-file": {"id": "__run", "name": "__run"},
          "daemon-file": {"id": "__run", "name": "__run"},
          "second-file": {"id": "__actions_checkout", "name": "actions/checkout"},
          "cleared-file": {"id": "__actions_checkout", "name": "actions/checkout"},
          "third-file": {"id": "deploy", "name": "deploy"}, "end-file": None}

RULES = """
rule_sets:
- ruleset_id: mine
  language: extended
  rules:
  - {rule_id: in_deploy, event_type: file_open, action: detect,
     condition: step.name == "deploy" && is_write && path.endsWith("-file")}
"""

# What each platform sets for a program of a step, and the step that this is.
PLATFORMS = {
    "github": ({"GITHUB_ACTIONS": "true", "GITHUB_ACTION": "__run_2"}, "__run_2", "__run_2"),
    "gitlab": ({"GITLAB_CI": "true", "CI": "true", "CI_JOB_ID": "99", "CI_JOB_NAME": "unit tests"},
               "99", "unit tests"),
    "jenkins": ({"BUILD_TAG": "jenkins-app-7", "STAGE_NAME": "Test"}, None, "Test"),
    "circleci": ({"CIRCLECI": "true", "CIRCLE_WORKFLOW_JOB_ID": "3f2f", "CIRCLE_JOB": "build"},
                 "3f2f", "build"),
    "azure": ({"TF_BUILD": "True", "SYSTEM_TASKINSTANCEID": "e80b",
               "SYSTEM_TASKDISPLAYNAME": "Run it"}, "e80b", "Run it"),
    "bitbucket": ({"BITBUCKET_BUILD_NUMBER": "5", "BITBUCKET_STEP_UUID": "{19fb}"}, "{19fb}",
                  "{19fb}"),
    "buildkite": ({"BUILDKITE": "true", "BUILDKITE_STEP_ID": "0187",
                   "BUILDKITE_LABEL": ":go: Test"}, "0187", ":go: Test"),
    "drone": ({"CI": "true", "DRONE": "true", "DRONE_STEP_NUMBER": "3", "DRONE_STEP_NAME": "pub"},
              "3", "pub"),
    "woodpecker": ({"CI": "woodpecker", "DRONE": "true", "CI_STEP_NUMBER": "2",
                    "CI_STEP_NAME": "lint"}, "2", "lint"),
    "tekton": ({}, "4", "4"),
}


def steps_by_file(events):
    """The steps in which files that end in -file were made."""
    out = {}
    for event in events:
        name = pathlib.PurePath(event.get("file_open", {}).get("path", "")).name
        if name.endswith("-file") and event["file_open"].get("is_write"):
            out.setdefault(name, []).append(event.get("step"))
    return out


def expect_steps(events):
    seen = steps_by_file(events)
    assert seen == {name: [step] for name, step in WANTED.items()}, seen
    # Programs that are over before anybody could ask for their environment.
    short = [event for event in events
             if event["process"].get("exec_path", "").endswith("/true")]
    execs = [event for event in short if event["type"] == "process_exec"]
    names = [event.get("step", {}).get("name") for event in execs]
    assert sorted(names) == ["actions/checkout"] * 5 + ["deploy"] * 5, names
    assert all("step" in event for event in short), short


def expect_no_secret(*folders):
    for folder in folders:
        found = subprocess.run(["grep", "-rlF", "ghs_the-secret", str(folder)], capture_output=True,
                               text=True, check=False)
        assert found.returncode == 1, found.stdout


def test_a_run_of_three_steps():
    with tempfile.TemporaryDirectory(prefix="cicd-steps-") as name:
        folder = pathlib.Path(name)
        (folder / "runner").write_text(RUNNER)
        (folder / "rules.yaml").write_text(RULES)
        with Run(["sh", "-c", f"cd {folder}; exec bash runner"],
                 ["--record", folder / "job.rec", "--rules", folder / "rules.yaml"]) as run:
            expect_steps(list(run.events()))
            rows = [row["event"] for row in run.detections if row["rule_id"] == "in_deploy"]
            assert steps_by_file(rows) == {"third-file": [WANTED["third-file"]]}, rows
            (folder / "runner").unlink()
            # The recording holds samples as the kernel side gives them.
            expect_no_secret(run.folder, folder / "job.rec")
        done = subprocess.run([SENSOR, "replay", folder / "job.rec", "--output", folder / "again",
                               "--quiet"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr


def test_a_job_of_the_agent_of_three_steps():
    with Agent() as agent:
        (agent.folder / "runner").write_text(RUNNER)
        job = agent.github_job("1", "$S host start $F && bash runner && $S host end $F")
        assert job.process.returncode == 0, job.output()
        wait_until(lambda: agent.summary("1"), "the summary is written")
        expect_steps([row["event"] for row in agent.events("1")])


def test_each_platform():
    with tempfile.TemporaryDirectory(prefix="cicd-steps-") as name:
        folder = pathlib.Path(name)
        (folder / "entrypoint").symlink_to("/usr/bin/python3")
        lines = []
        for platform, (variables, _, _) in PLATFORMS.items():
            words = " ".join(f"'{key}={value}'" for key, value in variables.items())
            if platform == "tekton":
                # What Tekton starts a step by; here it is a Python that does not mind.
                lines.append("bash -c 'exec -a /tekton/bin/entrypoint /usr/bin/python3 -c "
                             f"\"open(\\\"{folder}/{platform}-file\\\", \\\"w\\\")\" "
                             "-step_metadata_dir /tekton/run/4/status -- x'")
            else:
                lines.append(f"env -i {words} touch {folder}/{platform}-file")
        (folder / "runner").write_text("\n".join(lines))
        with Run(["bash", str(folder / "runner")]) as run:
            seen = steps_by_file(run.events())
    wanted = {}
    for platform, (_, step_id, step_name) in PLATFORMS.items():
        step = {"id": step_id, "name": step_name} if step_id else {"name": step_name}
        wanted[f"{platform}-file"] = [step]
    assert seen == wanted, seen


if __name__ == "__main__":
    run_tests(globals())
