# SPDX-License-Identifier: Apache-2.0
"""A real agent for tests, and jobs of a runner that is none: a process with the name of GitHub's
worker that runs a shell script."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import BACKEND_FLAGS, SENSOR, rows_of  # noqa: E402

WORKER = """
import ctypes, subprocess, sys
ctypes.CDLL(None).prctl(15, b"Runner.Worker", 0, 0, 0)
sys.exit(subprocess.run(["bash", "-c", sys.argv[1]], check=False).returncode)
"""


def rules(name, file, action="detect"):
    """A rule file with a set of this name that fires when a file of this name is opened."""
    return f"""
rule_sets:
- ruleset_id: {name}
  rules:
  - {{rule_id: same, event_type: file_open, action: {action}, condition: 'path.endsWith("/{file}")'}}
"""


def identity_flags(run_id):
    """Of a job that Agent.github_job() runs."""
    return (f"--provider github --project-path octo/app --github-run-id {run_id} --github-job build "
            f"--github-run-attempt 1 --github-runner-tracking-id github_{run_id}")


def wait_until(condition, what, limit_s=20):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {limit_s} s: {what}")


class Agent:
    """A running `cicd-sensor agent start` with a state folder of its own."""

    def __init__(self, provider="github", flags=(), runner="machine", host_rules=None):
        """`host_rules`: the text of the only rules that the host has; None: the baseline."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-agent-"))
        self.folder.chmod(0o755)  # everybody may talk to an agent
        self.socket = self.folder / "agent.sock"
        self.provider, self.flags, self.runner = provider, list(flags), runner
        self.log_path = self.folder / "log"
        self.jobs = []
        self.cgroups = set()
        self.process = None
        if host_rules is not None:
            (self.folder / "host.yaml").write_text(host_rules)
            self.flags += ["--rules-file", self.folder / "host.yaml", "--disable-baseline-rules"]
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def command_line(self):
        return [SENSOR, "agent", "start", "--provider", self.provider, "--runner", self.runner,
                "--socket", self.socket, "--state-dir", self.folder / "state", *BACKEND_FLAGS,
                *self.flags]

    def start(self):
        before = self.log().count("agent_started")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command_line(), stdin=subprocess.DEVNULL,
                                            stderr=log, start_new_session=True)
        wait_until(lambda: self.process.poll() is not None or
                   self.log().count("agent_started") > before, "the agent has started")
        assert self.process.poll() is None, self.log()

    def pins(self):
        """The folder in which its kernel side outlives it."""
        started = [row for row in map(json.loads, self.log().splitlines())
                   if row["msg"] == "agent_started"]
        return pathlib.Path(started[-1]["pins"])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(20)

    def log(self):
        return self.log_path.read_text(encoding="utf-8") if self.log_path.is_file() else ""

    def command(self, *words, env=None):
        """Runs a command of the sensor from here, outside of every job."""
        return subprocess.run([SENSOR, *words, "--socket", self.socket], capture_output=True,
                              text=True, check=False, env={**os.environ, **(env or {})}, timeout=60)

    def status(self):
        return json.loads(self.command("status", "--format", "json").stdout)

    def github_job(self, run_id, script, wait=True):
        """Runs `script` as a job of a GitHub runner. $S is the sensor, $F names the socket."""
        job = Job(self, run_id, script)
        self.jobs.append(job)
        return job.wait() if wait else job

    def folder_of(self, run_id, scope="host"):
        """Where a scope of a job is kept: by GitHub's run or GitLab's job."""
        hash_part = "?" * 16
        name = {"github": f"github-github.com-octo-app-{run_id}_*",
                "gitlab": f"gitlab-gitlab.example.com-group-app-{run_id}-{hash_part}"}[self.provider]
        found = list((self.folder / "state/jobs").glob(f"{name}/{scope}"))
        assert len(found) == 1, f"{run_id}: {found}; {self.log()}"
        return found[0]

    def events(self, run_id):
        return list(rows_of(self.folder_of(run_id) / "events.jsonl"))

    def summary(self, run_id, scope="host"):
        path = self.folder_of(run_id, scope) / "summary.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def cgroups_left(self):
        """Cgroups that it made, or could not remove, and that are there; of this agent only, as
        others may run. Also when it is closed."""
        rows = (json.loads(line) for line in self.log().splitlines() if line.startswith("{"))
        self.cgroups.update(row["cgroup"] for row in rows if "cgroup" in row)
        return [path for path in sorted(self.cgroups) if pathlib.Path(path).exists()]

    def close(self):
        for job in self.jobs:
            job.kill()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(Exception):  # of one that was killed
            for path in sorted(self.pins().rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
            self.pins().rmdir()
        self.cgroups_left()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Job:
    """A process named as GitHub's worker is, and the shell below it."""

    def __init__(self, agent, run_id, script):
        env = {**os.environ, "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": str(run_id),
               "GITHUB_REPOSITORY": "octo/app", "GITHUB_JOB": "build", "GITHUB_RUN_ATTEMPT": "1",
               "RUNNER_TRACKING_ID": f"github_{run_id}", "GITHUB_REF_NAME": "main",
               "S": str(SENSOR), "F": f"--socket {agent.socket}"}
        self.output_path = agent.folder / f"job-{run_id}-{len(agent.jobs)}"
        with open(self.output_path, "wb") as output:
            self.process = subprocess.Popen(
                ["/usr/bin/python3", "-c", WORKER, script], env=env, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=agent.folder)

    def wait(self, limit_s=60):
        self.process.wait(limit_s)
        return self

    def output(self):
        return self.output_path.read_text(encoding="utf-8", errors="replace")

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
