#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""--btf: a copy of the kernel's type information, where its own is hidden. It is hidden from the
sensor only, by a mount namespace of its own; the machine stays as it is."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import SENSOR, run_tests  # noqa: E402

KERNEL_BTF = "/sys/kernel/btf/vmlinux"
HIDDEN = ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
          'mount -t tmpfs none /sys/kernel/btf\nexec "$@"', "sh"]


def sensor(*words):
    return subprocess.run([*HIDDEN, SENSOR, *map(str, words)], capture_output=True, text=True,
                          timeout=120, check=False, stdin=subprocess.DEVNULL)


def copy_in(folder):
    return shutil.copy(KERNEL_BTF, pathlib.Path(folder) / "btf of this kernel")


def test_without_it_the_hint_names_it():
    done = sensor("run", "--", "true")
    assert done.returncode == 125 and "--btf" in done.stderr, done.stderr


def test_run_with_a_copy():
    with tempfile.TemporaryDirectory(prefix="cicd-btf-") as folder:
        output = pathlib.Path(folder) / "out"
        done = sensor("run", "--btf", copy_in(folder), "--output", output, "--", "cat", "/etc/hostname")
        assert done.returncode == 0, done.stderr
        rows = (output / "events.jsonl").read_text(encoding="utf-8")
        assert '"path":"/etc/hostname"' in rows and '"type":"process_exec"' in rows, rows[:2000]


def test_doctor_with_a_copy():
    with tempfile.TemporaryDirectory(prefix="cicd-btf-") as folder:
        done = sensor("doctor", "--btf", copy_in(folder))
        assert re.search("ok +self-check", done.stdout), done.stdout


def refusal(path):
    done = sensor("run", "--btf", path, "--", "true")
    lines = done.stderr.rstrip("\n").split("\n")
    assert done.returncode == 125, done.stderr
    assert len(lines) == 2 and lines[1].startswith("hint: "), done.stderr
    assert str(path) in lines[0], done.stderr
    return done.stderr


def test_file_that_is_missing():
    assert "missing" in refusal("/nonexistent/btf")


def test_file_that_is_none():
    assert "holds no kernel type information" in refusal("/etc/passwd")


def test_file_that_is_cut():
    with tempfile.TemporaryDirectory(prefix="cicd-btf-") as folder:
        path = pathlib.Path(copy_in(folder))
        path.write_bytes(path.read_bytes()[:100_000])
        assert "holds no kernel type information" in refusal(path)


run_tests(globals())
