#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every new baseline rule against the act itself: done on the real kernel in a watched job, the rule
fires for the process that did it, and no other does. And a job that does nothing wrong."""
import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "support"), str(HERE.parent / "names")]
from name_server import A, Zones, enter_private_namespaces, serve  # noqa: E402
from sensor import SOURCE, Run, Skip, run_tests  # noqa: E402

import kernel_calls as k  # noqa: E402
from acts import ACTS  # noqa: E402

PYTHON = os.path.realpath("/usr/bin/python3")
# Rules over counts: fire once in the job, with whichever act made them true.
CORRELATIONS = {"process_memory_searched", "traces_removed", "code_run_from_memory_with_privileges",
                "many_names_asked_by_tools", "secrets_sent", "package_install_asks_many_names",
                "package_install_steals_secrets"}
# ctypes makes memory executable when it is loaded, whatever the act is.
ANYWHERE = {"executable_memory_in_interpreter"}
SETUP = """
import subprocess, sys
from setuptools import setup
if "egg_info" not in sys.argv:
    subprocess.check_call([{python!r}, {acts!r}, "all", {folder!r}, "install"])
setup(name="bad", version="1", py_modules=[])
"""


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Folder:
    """Copies of python and of programs that are looked for, the latter running outside the job."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="cicd-acts-"))
        self.closing = contextlib.ExitStack()
        (self.path / "bin").mkdir()
        for name in ("python3", "cat", "dig", "curl"):
            shutil.copy(PYTHON, self.path / "bin" / name)
        world = {}
        for role, name in (("runner", "Runner.Worker"), ("sensor", "cicd-sensor"),
                           ("engine", "dockerd"), ("other", "vault"), ("spare", "other")):
            (self.path / "outside").mkdir(exist_ok=True)
            shutil.copy("/usr/bin/sleep", self.path / "outside" / name)
            process = subprocess.Popen([self.path / "outside" / name, "600"])
            self.closing.callback(process.wait)
            self.closing.callback(process.kill)
            world[role] = process.pid
        (self.path / "world.json").write_text(json.dumps(world))
        package = self.path / "package"
        package.mkdir()
        (package / "setup.py").write_text(SETUP.format(
            python=str(self.path / "bin/python3"), acts=str(HERE / "acts.py"), folder=str(self.path)))

    def close(self):
        self.closing.close()
        for name in ("mnt", "mnt2"):
            while k.LIBC.umount2(str(self.path / name).encode(), 2) == 0:  # MNT_DETACH
                pass
        shutil.rmtree(self.path)


PIP = [PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps",
       "--no-cache-dir", "--root-user-action=ignore", "--target"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONDONTWRITEBYTECODE": "1",
               "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": "/dev/null"}


def watch_acts():
    folder = Folder()
    try:
        job = textwrap.dedent(f"""
            {folder.path}/bin/python3 {HERE}/acts.py all {folder.path} job
            {' '.join(PIP)} {folder.path}/site {folder.path}/package
            exit 0""")
        environment = {**ENVIRONMENT, "PYTHONHOME": "/usr"}
        with Run(["/usr/bin/bash", "-c", job], ["--quiet"], env=environment, timeout_s=180) as run:
            run.lost = run.losses()
            run.seen = list(run.events())
            return run
    finally:
        folder.close()


def prepare():
    """What acts change is laid over with memory, in mounts and a network of this test's own."""
    enter_private_namespaces()
    k.mount("tmpfs", "/home", "tmpfs")
    k.mount("tmpfs", "/run", "tmpfs")
    for path in ("/usr/sbin", "/usr/lib/tmpfiles.d"):
        k.mount("tmpfs", path, "tmpfs")
    os.makedirs("/run/cicd-sensor/covered")
    serve(Zones({"a.test": [(A, "127.0.0.21")]}))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 80), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()


prepare()
RUN = watch_acts()


def fired():
    """Number of the act -> rules that fired for its process."""
    found = {}
    for row in RUN.detections:
        for argument in row["event"]["process"].get("argv", []):
            if match := re.fullmatch(r"act-(\d{3})", argument):
                found.setdefault(int(match[1]), set()).add(row["rule_id"])
    return found


def test_every_act_fires_its_rule_and_no_other():
    found, wrong = fired(), []
    for number, act in enumerate(ACTS):
        if act.rule == "kernel_module_loaded" and not os.path.exists("/proc/modules"):
            continue  # this kernel has no such system call: nothing is tried
        got = found.get(number, set()) - CORRELATIONS
        if got - ANYWHERE != act.expected - ANYWHERE or act.rule not in got:
            wrong.append(f"{act.rule}: {sorted(got) or 'nothing'}")
    assert not wrong, f"{len(wrong)} of {len(ACTS)}: " + "; ".join(wrong)


def test_acts_were_done():
    assert RUN.exit_code == 0 and "failed" not in RUN.stdout, RUN.stdout + RUN.stderr[-500:]


def test_every_correlation_fires():
    missing = CORRELATIONS - {row["rule_id"] for row in RUN.detections}
    assert not missing, sorted(missing)


def test_every_new_rule_has_an_act():
    tested = {act.rule for act in ACTS} | CORRELATIONS
    new = set()
    for name in ("exfiltration", "isolation", "kernel", "process-access", "tampering"):
        new |= set(re.findall(r"rule_id: (\w+)", (SOURCE / "rules" / f"{name}.yaml").read_text()))
    text = (SOURCE / "rules" / "package-install.yaml").read_text()
    new |= set(re.findall(r"rule_id: (\w+)", text[text.index("package_install_reads_process_memory"):]))
    assert new <= tested, sorted(new - tested)


def test_losses():
    assert not {what for what in RUN.lost if what not in ("repeated_acts", "repeated_act")}, RUN.lost


def test_an_honest_job_fires_nothing():
    missing = [tool for tool in ("git", "make", "gcc") if not shutil.which(tool)]
    if missing:
        raise Skip(f"no {', '.join(missing)}")
    # npm is a large package that nothing else here needs: with it where it is there.
    npm = "npm install --silent --offline --no-audit --no-fund ../js" if shutil.which("npm") else ""
    with tempfile.TemporaryDirectory(prefix="cicd-honest-") as folder:
        base = pathlib.Path(folder)
        (base / "py").mkdir()
        (base / "py/setup.py").write_text(
            "from setuptools import setup\nsetup(name='good', version='1', py_modules=[])\n")
        for name in ("js", "app"):
            (base / name).mkdir()
            (base / name / "package.json").write_text(json.dumps(
                {"name": name, "version": "1.0.0", "scripts": {"postinstall": "echo done"}}))
        shutil.copytree(SOURCE / "examples/demo-job/hello", base / "hello")
        job = f"""set -e; export HOME={base}
            git init -q {base}/repo; cd {base}/repo; echo x >a; git add a
            git -c user.name=a -c user.email=a@b.test commit -qm a
            git clone -q {base}/repo {base}/clone
            make -s -C {base}/hello; {base}/hello/hello
            {' '.join(PIP)} {base}/site {base}/py
            cd {base}/app; {npm}"""
        with Run(["/usr/bin/bash", "-c", job], ["--quiet"], env=ENVIRONMENT) as run:
            assert run.exit_code == 0, run.stdout + run.stderr[-800:]
            bad = {(row["rule_id"], tuple(row["event"]["process"].get("argv", [])))
                   for row in run.detections if row["action"] != "collect"}
            assert not bad, sorted(bad)


run_tests(globals())
