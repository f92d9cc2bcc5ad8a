#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everything a caller or a machine can get wrong: one line that says what and where, a hint, the
documented exit code, and nothing half-written. Namespaces and capabilities are changed around the
sensor only; the machine stays as it is."""
import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import time

from live_run import LiveRun, own_cgroup
from sensor import SENSOR, run_tests

NOBODY = 65534


class Attempt:
    """One `cicd-sensor run` in a scratch folder; `around` is put in front of the command line."""

    def __init__(self, flags=(), command=("touch", "ran"), around=(), folder=None, env=None):
        self.folder = pathlib.Path(folder)
        before = set(self.folder.rglob("*"))
        words = [*around, SENSOR, "run", "--output", self.folder / "out", *flags, "--", *command]
        done = subprocess.run([str(word) for word in words], cwd=self.folder, capture_output=True,
                              text=True, timeout=60, check=False, env={**os.environ, **(env or {})},
                              stdin=subprocess.DEVNULL)
        self.code, self.stderr = done.returncode, done.stderr
        self.made = sorted(str(path.relative_to(self.folder))
                           for path in set(self.folder.rglob("*")) - before)

    def expect(self, code, text, lines=2):
        """An error of `lines` lines, the last one a hint, and nothing made."""
        assert self.code == code, f"exit code {self.code}, not {code}: {self.stderr}"
        assert re.search(text, self.stderr), f"no /{text}/ in: {self.stderr}"
        said = self.stderr.rstrip("\n").split("\n")
        assert len(said) == lines, f"{len(said)} lines: {self.stderr}"
        assert said[0].startswith("cicd-sensor: ") and said[-1].startswith("hint: "), self.stderr
        assert self.made == [], f"made: {self.made}"


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="cicd-bad-") as folder:
        yield pathlib.Path(folder)


def in_mounts(script):
    """Words that run what follows in a mount namespace of its own, after `script`."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script + '\nexec "$@"', "sh"]


def test_usage():
    with scratch() as folder:
        for flags, text in [(["--rulez", "x"], "unknown flag --rulez"),
                            (["--baseline", "maybe"], "--baseline: 'maybe'"),
                            (["--grace", "soon"], "--grace: 'soon'"),
                            (["--grace", "-1s"], "--grace"), (["--mode", "enforce"], "--mode"),
                            (["--report", "pdf"], "'pdf'"), (["--fail-on", "always"], "--fail-on"),
                            (["--output", ""], "--output"), (["stray"], "stray")]:
            Attempt(flags, folder=folder).expect(2, text)
        done = subprocess.run([SENSOR, "run"], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "no command to run" in done.stderr, done.stderr


def test_names_cannot_steer_the_terminal_or_fake_a_line():
    with scratch() as folder:
        Attempt(["--bad\x1b[2J\nhint: all is well"], folder=folder).expect(2, r"\\x1b\[2J\\x0ahint")
        Attempt([], ["no\x1b]0;x\x07such"], folder=folder).expect(127, r"no\\x1b\]0;x\\x07such")


def test_rules_with_mistakes_are_placed():
    with scratch() as folder:
        rules = folder / "rules.yaml"
        for text, place in [
                ("rule_sets: [", r"rules\.yaml:\d+:\d+: error: "),
                ("rule_sets:\n  - ruleset_id: a\n    rules:\n      - rule_id: r\n"
                 "        event_type: file_open\n        action: detect\n"
                 "        condition: path == \n", r"rules\.yaml:7:\d+: error: "),
                ("rule_sets:\n  - ruleset_id: a\n    rules:\n      - rule_id: r\n"
                 "        event_type: file_opne\n        action: detect\n"
                 "        condition: path == ''\n", r"rules\.yaml:5:\d+: error: "),
                ("\0\xff\xfe", r"rules\.yaml:\d+:\d+: error: ")]:
            rules.write_bytes(text.encode("latin-1"))
            Attempt(["--rules", rules], folder=folder).expect(2, place, lines=3)
        Attempt(["--rules", "none.yaml"], folder=folder).expect(2, r"none\.yaml: ", lines=3)
        Attempt(["--rules", "/dev/null/x"], folder=folder).expect(2, "/dev/null/x: ", lines=3)


def test_output_is_a_file():
    with scratch() as folder:
        (folder / "out").write_text("mine")
        Attempt(folder=folder).expect(125, "out is not a folder")
        assert (folder / "out").read_text() == "mine"
        Attempt(["--output", folder / "out" / "below"], folder=folder).expect(125, "out")


def test_output_is_not_writable():
    with scratch() as folder:
        folder.chmod(0o755)
        Attempt(["--output", "/proc/1/out"], folder=folder).expect(125, "/proc/1/out")
        Attempt(["--record", "/proc/1/rec"], folder=folder).expect(125, "/proc/1/rec")
        Attempt(["--record", folder], folder=folder).expect(125, "is a folder")


def test_record_goes_where_the_user_may_write_only():
    with scratch() as folder:
        folder.chmod(0o755)
        roots = folder / "roots"
        roots.write_text("mine")
        out = folder / "theirs"
        out.mkdir()
        os.chown(out, NOBODY, NOBODY)
        Attempt(["--record", roots, "--output", out], folder=folder,
                env={"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}).expect(125, "roots")
        assert roots.read_text() == "mine"


def test_output_folder_is_full_before_the_start():
    with scratch() as folder:
        fill = f"mount -t tmpfs -o size=64k none {folder}\nhead -c 1000000 /dev/zero > {folder}/zero || true"
        attempt = Attempt(folder=folder, around=in_mounts(f"({fill}) 2>/dev/null\ncd {folder}"))
        attempt.expect(125, "[Nn]o (space|room)")


def test_disk_full_in_the_middle_does_not_hurt_the_command():
    with scratch() as folder:
        small, inner = folder / "small", folder / "marks"
        small.mkdir()
        script = f"for i in $(seq 300); do cat /etc/hostname > /dev/null; done; echo done > {inner}; exit 5"
        attempt = Attempt(["--output", small / "out"], ["sh", "-c", script], folder=folder,
                          around=in_mounts(f"mount -t tmpfs -o size=128k none {small}"))
        assert attempt.code == 5, (attempt.code, attempt.stderr)
        assert inner.read_text() == "done\n"
        assert re.search(r"lost +[0-9,]+", attempt.stderr), attempt.stderr


def test_btf_is_missing():
    with scratch() as folder:
        hidden = in_mounts("mount -t tmpfs none /sys/kernel/btf")
        Attempt(folder=folder, around=hidden).expect(125, "BTF")


def test_cgroup_v2_is_missing():
    with scratch() as folder:
        Attempt(folder=folder, around=in_mounts("umount -R /sys/fs/cgroup")).expect(125, "cgroup v2")


def test_cgroup_v2_is_read_only():
    with scratch() as folder:
        mount = own_cgroup()
        ro = in_mounts(f"mount --bind {mount} {mount}\nmount -o remount,bind,ro {mount}")
        Attempt(folder=folder, around=ro).expect(125, "cgroup")


def test_pure_cgroup_v2_host_works():
    with scratch() as folder:
        pure = in_mounts("umount -R /sys/fs/cgroup\nmount -t cgroup2 none /sys/fs/cgroup")
        attempt = Attempt(["--quiet"], folder=folder, around=pure)
        assert attempt.code == 0 and "ran" in attempt.made, attempt.stderr


def test_bpf_is_refused():
    with scratch() as folder:
        drop = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
        Attempt(folder=folder, around=drop).expect(125, "CAP_BPF")
        some = "-sys_admin,-perfmon,-net_admin"
        Attempt(folder=folder, around=["setpriv", "--bounding-set", some]).expect(
            125, "permitted|refused|EPERM")


def test_not_root_is_told_the_command_that_works():
    with scratch() as folder:
        folder.chmod(0o777)
        user = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        attempt = Attempt(["--name", "a b'c"], folder=folder, around=user)
        attempt.expect(125, r"(?m)^hint: .*sudo .*cicd-sensor run ")
        # The hint is a line for a shell: quoting brings the same arguments back.
        hint = attempt.stderr.split("\n")[1].removeprefix("hint: ")
        words = subprocess.run(["sh", "-c", hint.replace("sudo ", "printf '%s\\n' ", 1)],
                               capture_output=True, text=True, check=True).stdout.split("\n")
        assert "a b'c" in words and words[-3:-1] == ["touch", "ran"], words


def test_a_damaged_state_file_is_no_danger():
    state = pathlib.Path("/run/cicd-sensor/runs")
    with scratch() as folder:
        precious = folder / "precious"
        precious.write_text("mine")
        contents = ["", "junk", f"cicd-sensor-run 1\nid 1-dead\njournal {precious}\n", "\n" * 70000,
                    f"cicd-sensor-run 1\nid other\ncgroup {own_cgroup()}\njournal {precious}\n",
                    f"cicd-sensor-run 1\nid 4-dead\ncgroup {own_cgroup()}\nparent x\njournal \n"]
        state.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(contents):
            (state / f"{number}-dead").write_text(text)
        try:
            attempt = Attempt(["--quiet"], folder=folder)
            assert attempt.code == 0, attempt.stderr
            assert precious.read_text() == "mine" and own_cgroup().is_dir()
            assert not list(state.glob("*-dead")), "damaged state files are kept for ever"
        finally:
            for path in state.glob("*-dead"):
                path.unlink()


def test_doctor_says_what_is_wrong():
    for around, code, text in [([], 0, "ok +self-check"),
                               (in_mounts("umount -R /sys/fs/cgroup"), 1, "finding +cgroup v2"),
                               (in_mounts("mount -t tmpfs none /sys/kernel/btf"), 1, "finding .*BTF"),
                               (["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"], 1,
                                "finding +permission")]:
        done = subprocess.run([*map(str, around), SENSOR, "doctor"], capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode == code, (around, done.stdout, done.stderr)
        assert re.search(text, done.stdout), done.stdout
        assert code == 0 or "hint:" in done.stdout, done.stdout


if __name__ == "__main__":
    run_tests(globals())
