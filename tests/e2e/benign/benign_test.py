#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ordinary builds under the baseline rules: no rule may end one of them, and only those named here
may speak up.

Each test makes a build from nothing, without a network, and runs it under the sensor. The rules that
fire must be a subset of the expected ones, which say why a build that is all right makes them fire.
"""
import collections
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
sys.path.insert(0, str(HERE.parents[2] / "bench" / "cost"))
from sensor import Run, Skip, run_tests  # noqa: E402
from docker_build import DockerBuild  # noqa: E402
from workloads import CBuild, GitClone, NpmInstall, lacks  # noqa: E402


# The script that starts the daemon of the docker build mounts the cgroups of its own.
DAEMON_IN_THE_JOB = {"sensor_covered_by_mount": 1}


def need(*programs):
    missing = lacks(*programs)
    if missing:
        raise Skip(f"optional: not here: {missing}")


def check(command, most_detections=None, least_events=100):
    """Runs a build; `most_detections`: rule -> how often it may fire. What is only collected may."""
    allowed = most_detections or {}
    with Run(command, ["--report", "json", "--quiet"]) as run:
        assert run.exit_code == 0, f"exit code {run.exit_code}: {run.stderr[-800:]}"
        assert int(run.summary["events_total"]) >= least_events, "hardly anything was seen"
        fired = collections.Counter()
        for row in run.detections:
            rule = row["rule_id"]
            assert row["action"] != "terminate", f"{rule} would end the build"
            if row["action"] == "collect":
                continue
            fired[rule] += 1
            if fired[rule] > allowed.get(rule, 0):
                raise AssertionError(f"{rule} fired: {json.dumps(row['event'])[:900]}")
        print(f"{run.summary['events_total']} events, detections: {dict(fired)}")


class Built:
    """A workload of the benchmarks in a folder of its own."""

    def __init__(self, workload):
        self.workload = workload
        if workload.missing():
            raise Skip(f"optional: not here: {workload.missing()}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-benign-"))

    def __enter__(self):
        try:
            self.workload.prepare(self.folder)
        except BaseException:
            self.__exit__()
            raise
        command = self.workload.command()
        return ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(self.folder), *command]

    def __exit__(self, *_):
        self.workload.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Folder:
    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-benign-"))
        return self.folder

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


def script(folder, *lines):
    """A step of a workflow, as a runner writes and starts it."""
    path = folder / "step.sh"
    path.write_text("\n".join(("set -e", f"cd {folder}", *lines)) + "\n")
    return ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", str(path)]


def test_c_build():
    with Built(CBuild()) as command:
        check(command)


def test_cmake_build_with_tests():
    need("cmake", "ctest", "gcc")
    with Folder() as folder:
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\nproject(shop C)\nenable_testing()\n"
            "include(CheckIncludeFile)\ncheck_include_file(unistd.h HAVE_UNISTD)\n"
            "add_library(cart SHARED cart.c)\nadd_executable(shop main.c)\n"
            "target_link_libraries(shop cart)\nadd_test(NAME shop COMMAND shop)\n"
            "install(TARGETS shop cart)\n")
        (folder / "cart.c").write_text("int total(int a, int b) { return a + b; }\n")
        (folder / "main.c").write_text("int total(int, int);\n"
                                       "int main(void) { return total(2, 2) != 4; }\n")
        check(script(folder, "cmake -S . -B build -DCMAKE_INSTALL_PREFIX=$PWD/out",
                     "cmake --build build --parallel 2", "ctest --test-dir build",
                     "cmake --install build", "tar -czf shop.tar.gz out", "sha256sum shop.tar.gz",
                     "strip out/bin/shop", "out/bin/shop || true"))


def test_npm_install():
    with Built(NpmInstall()) as command:
        check(command)


def test_npm_with_an_addon_that_is_compiled():
    """A package whose install script looks at the machine and compiles, as many real ones do."""
    need("npm", "node", "gcc", "make")
    with Folder() as folder:
        addon = folder / "addon"
        addon.mkdir()
        (addon / "package.json").write_text(json.dumps(
            {"name": "addon", "version": "1.0.0", "scripts": {"install": "node install.js"}}))
        (addon / "install.js").write_text(
            "const {execFileSync, execSync} = require('child_process');\n"
            "const os = require('os'), fs = require('fs');\n"
            "console.log(os.platform(), os.arch(), execSync('uname -m').toString());\n"
            "execFileSync('make', ['-C', __dirname], {stdio: 'inherit'});\n"
            "fs.mkdirSync(__dirname + '/lib', {recursive: true});\n"
            "fs.copyFileSync(__dirname + '/addon.so', __dirname + '/lib/addon.so');\n")
        (addon / "Makefile").write_text("addon.so: addon.c\n\tgcc -O2 -fPIC -shared -o $@ $<\n")
        (addon / "addon.c").write_text("int answer(void) { return 42; }\n")
        app = folder / "app"
        app.mkdir()
        (app / "package.json").write_text(json.dumps(
            {"name": "app", "version": "1.0.0", "dependencies": {"addon": "file:../addon"},
             "scripts": {"build": "node build.js", "test": "node -e 'process.exit(0)'"}}))
        (app / "build.js").write_text(
            "const fs = require('fs');\nfs.mkdirSync('dist', {recursive: true});\n"
            "for (let i = 0; i < 50; i++) fs.writeFileSync(`dist/${i}.js`, `exports.i = ${i};`);\n")
        check(script(folder, "cd app", "npm install --install-links --foreground-scripts --offline "
                     "--no-audit --no-fund --no-update-notifier --cache ../cache",
                     "npm run build", "npm test"))


def test_python_venv():
    need("python3")
    with Folder() as folder:
        if subprocess.run([sys.executable, "-c", "import ensurepip, setuptools, wheel"],
                          stderr=subprocess.DEVNULL, check=False).returncode != 0:
            raise Skip("optional: python3 has no ensurepip, setuptools or wheel")
        package = folder / "package"
        package.mkdir()
        (package / "setup.py").write_text(
            "from setuptools import setup, Extension\n"
            "setup(name='shop', version='1.0', py_modules=['shop'],\n"
            "      ext_modules=[Extension('shop_fast', ['fast.c'])])\n")
        (package / "shop.py").write_text("def total(a, b):\n    return a + b\n")
        (package / "fast.c").write_text(
            "#include <Python.h>\nstatic struct PyModuleDef module = "
            "{PyModuleDef_HEAD_INIT, \"shop_fast\", 0, -1, 0};\n"
            "PyMODINIT_FUNC PyInit_shop_fast(void) { return PyModule_Create(&module); }\n")
        include = subprocess.run(
            [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
            capture_output=True, text=True, check=True).stdout.strip()
        if not pathlib.Path(include, "Python.h").exists():
            (package / "setup.py").write_text("from setuptools import setup\n"
                                              "setup(name='shop', version='1.0', "
                                              "py_modules=['shop'])\n")
        check(script(folder, f"{sys.executable} -m venv --system-site-packages venv",
                     ". venv/bin/activate",
                     "pip install --no-index --no-build-isolation --disable-pip-version-check "
                     "./package",
                     "python -c 'import shop; assert shop.total(2, 2) == 4'",
                     "python -m unittest discover -s package -q || true",
                     "python -m compileall -q package"))


def test_git_clone():
    with Built(GitClone()) as command:
        check(command)


def test_git_work():
    need("git")
    with Folder() as folder:
        check(script(folder, "git init -q -b main origin", "cd origin",
                     "git config user.name a && git config user.email a@shop.test",
                     "echo one >a && git add a && git commit -qm one", "git tag v1",
                     "git switch -qc work && echo two >a && git commit -qam two",
                     "git switch -q main && git merge -q work", "git log --oneline",
                     "cd .. && git clone -q --depth 1 file://$PWD/origin copy && cd copy",
                     "git fetch -q --tags", "git describe --tags --always", "git status --short",
                     "git archive --format=tar HEAD | tar -t", "git stash list", "git diff HEAD",
                     "git submodule update --init"))


def test_docker_build():
    with Built(DockerBuild()) as command:
        check(command, DAEMON_IN_THE_JOB)


run_tests(globals())
