# SPDX-License-Identifier: Apache-2.0
"""A Debian system in a folder of its own, with mounts that only its processes see, and with systemd
in there when that is wanted. close() ends every process of it and removes the folder."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from sensor import Skip  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
# What each of the systems is made of, beside what that depends on.
BASE = ["base-files", "base-passwd", "coreutils", "dash", "diffutils", "dpkg", "grep", "gzip",
        "libc-bin", "sed", "tar"]
PACKAGES = {
    "bullseye": BASE,
    "bookworm": [*BASE, "bash", "docker.io", "mount", "procps", "systemd", "systemd-sysv", "util-linux"],
}
# What is tested here needs no network, and iptables may be missing.
DOCKER = '{"bridge": "none", "iptables": false, "ip-forward": false, "ip-masq": false}'
MOUNTS = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount --rbind /sys "$1/sys"
mount -t bpf none "$1/sys/fs/bpf"
mount -t tmpfs -o mode=755 none "$1/dev"
for name in null zero full random urandom; do
  touch "$1/dev/$name"
  mount --bind "/dev/$name" "$1/dev/$name"
done
ln -s /proc/self/fd "$1/dev/fd"
mount -t tmpfs none "$1/run"
mount -t tmpfs none "$1/tmp"
mount -t proc proc "$1/proc"
"""
# Not its business: devices, clocks and settings of the kernel, which are the machine's.
SYSTEMD = MOUNTS + """
while umount -l "$1/sys/fs/cgroup" 2>/dev/null; do :; done
mount -t cgroup2 none "$1/sys/fs/cgroup"
mount --bind "$1/proc/sys" "$1/proc/sys"
mount -o remount,bind,ro "$1/proc/sys"
cd "$1"
mount --move . /
# As systemd expects of whoever starts it in a container: its services' credentials need it.
chroot . mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . \
  /lib/systemd/systemd --unit=basic.target --log-target=console --show-status=no </dev/null
"""
MASKED = ["dev-hugepages.mount", "dev-mqueue.mount", "proc-sys-fs-binfmt_misc.automount",
          "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
          "sys-fs-fuse-connections.mount", "systemd-modules-load.service", "systemd-sysctl.service",
          "systemd-binfmt.service", "systemd-random-seed.service", "systemd-tmpfiles-setup-dev.service",
          "systemd-remount-fs.service", "systemd-pstore.service", "kmod-static-nodes.service",
          "systemd-journald-audit.socket"]


def cgroup_root():
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return pathlib.Path(fields[4])
    raise Skip("needs cgroup v2")


def wait_until(condition, what, limit_s=30):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.1)


class Debian:
    """One system. `run` starts a command in it; `boot` starts systemd."""

    def __init__(self, suite):
        made = subprocess.run([HERE / "debian_root", suite, *PACKAGES[suite]], capture_output=True,
                              text=True, check=False)
        if made.returncode != 0:
            raise Skip(f"no packages of {suite}: {made.stderr.strip()}")
        self.suite = suite
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"cicd-{suite}-"))
        self.root, self.log_path = self.folder / "root", self.folder / "log"
        self.holder, self.inside, self.cgroup = None, None, None
        try:
            subprocess.run(["cp", "-a", made.stdout.strip(), self.root], check=True)
            self._enter()
        except BaseException:
            self.close()
            raise

    def _enter(self):
        """Mounts, in a namespace that a sleeping process holds."""
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "bash", "-c", MOUNTS + "touch \"$1/old/ready\"; exec sleep 100000",
             "mounts", self.root], stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(self._is_entered, "mounts")
        self.inside = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "chroot", self.root]

    def _is_entered(self):
        assert self.holder.poll() is None, "the mounts of the system cannot be made"
        return (self.root / "old/ready").exists()

    def boot_once(self):
        if "systemd" in PACKAGES[self.suite] and self.cgroup is None:
            self.boot()

    def boot(self):
        """Ends what holds the mounts and has systemd be the first process, with mounts, processes,
        cgroups and a network of its own."""
        self._end(self.holder)
        for name in MASKED:
            (self.root / "etc/systemd/system" / name).symlink_to("/dev/null")
        (self.root / "etc/docker").mkdir(exist_ok=True)
        (self.root / "etc/docker/daemon.json").write_text(DOCKER)
        with open(self.root / "etc/group", "a", encoding="ascii") as groups:
            groups.write("docker:x:990:\n")  # which the package makes when it is configured
        base = next(line[3:].strip() for line in open("/proc/self/cgroup", encoding="utf-8")
                    if line.startswith("0::"))
        self.cgroup = pathlib.Path(f"{cgroup_root()}{base}") / f"cicd-systemd-{os.getpid()}"
        self.cgroup.mkdir()

        def move():
            (self.cgroup / "cgroup.procs").write_text("0", encoding="ascii")
        with open(self.log_path, "wb") as log:
            self.holder = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net", "--fork",
                 "--kill-child", "bash", "-c", SYSTEMD, "boot", self.root], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, preexec_fn=move)
        children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        wait_until(children.read_text, "a first process")
        first = children.read_text(encoding="ascii").split()[0]
        self.inside = ["nsenter", f"--target={first}", "--mount", "--pid", "--cgroup", "--uts", "--ipc",
                       "--net", "--root", "--wdns=/"]
        wait_until(self._is_booted, f"systemd is up; {self.log_path.read_text(errors='replace')}")

    def _is_booted(self):
        assert self.holder.poll() is None, self.log_path.read_text(errors="replace")
        state = self.run("systemctl", "is-system-running", ok=None).stdout.strip()
        return state in ("running", "degraded")

    def start(self, *command, **options):
        return subprocess.Popen([*map(str, self.inside), *map(str, command)],
                                stdin=subprocess.DEVNULL, start_new_session=True,
                                **{"env": self.environment(), **options})

    def run(self, *command, ok=0, env=None, input=None):
        """Runs a command in there. `ok` is the exit code that is right, None: any."""
        done = subprocess.run([*map(str, self.inside), *map(str, command)], input=input,
                              capture_output=True, text=True, check=False, timeout=120,
                              env={**self.environment(), **(env or {})})
        assert ok is None or done.returncode == ok, (command, done)
        return done

    @staticmethod
    def environment():
        return {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}

    def install(self, deb):
        """What `dpkg -i` prints."""
        shutil.copy(deb, self.root / "old")
        return self.run("dpkg", "-i", f"/old/{deb.name}").stdout

    @staticmethod
    def _end(process):
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def close(self):
        self._end(self.holder)
        if self.cgroup is not None:
            (self.cgroup / "cgroup.kill").write_text("1", encoding="ascii")
            wait_until(self._is_cgroup_gone, "the end of all that systemd started")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_cgroup_gone(self):
        folders = sorted((path for path in self.cgroup.rglob("*") if path.is_dir()), reverse=True)
        try:
            for path in [*folders, self.cgroup]:
                path.rmdir()
        except OSError:
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
