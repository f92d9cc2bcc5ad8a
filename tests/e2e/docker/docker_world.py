# SPDX-License-Identifier: Apache-2.0
"""A real dockerd with mounts and a network of its own, the proxy before it, and an agent that writes
down what it is told. Nothing of the machine's own Docker is touched; close() ends everything.
"""
import contextlib
import http.server
import json
import os
import pathlib
import random
import shutil
import signal
import socket as sockets
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))

from sensor import SENSOR, Skip  # noqa: E402

PROGRAMS = ("dockerd", "docker", "runc", "containerd", "busybox", "unshare")
APPLETS = ("sh", "cat", "sleep", "true", "echo", "seq", "wc", "dd", "head", "rm", "false", "tr", "grep",
           "nc", "nslookup", "touch")
NO_NETWORK = "--bridge=none --iptables=false --ip-forward=false --ip-masq=false"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
DAEMON = """
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 none /sys/fs/cgroup
if [ "$3" = systemd ]; then
  # Enough for dockerd to start; only BuildKit's steps run then, as it does not ask systemd for them.
  mount -t tmpfs none /run
  mkdir -p /run/systemd/system
  mkdir "/sys/fs/cgroup$2/daemon"
  echo 0 >"/sys/fs/cgroup$2/daemon/cgroup.procs"
  set -- "$1" system.slice systemd
fi
exec dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "unix://$1/up.sock" \
  $NETWORK --userland-proxy=false \
  --exec-opt "native.cgroupdriver=$3" --cgroup-parent "$2"
"""


def cgroup_root():
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return pathlib.Path(fields[4])
    raise Skip("needs cgroup v2")


def wait_for(ready, timeout_s, what):
    end = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


class Agent:
    """Answers staging requests and remembers them: the agent's side of the interface."""

    def __init__(self, path):
        self.path = path
        self.calls = []  # (time, route, body)
        self.status = 200
        self.delay_s = 0
        self.lock = threading.Lock()
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self):
                return "unix"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(agent.delay_s)
                with agent.lock:
                    agent.calls.append((time.monotonic(), self.path, body))
                text = b'{"status":"staged"}\n' if agent.status == 200 else b'{"error":"no"}\n'
                self.send_response(agent.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                # Who asked may have stopped waiting.
                with contextlib.suppress(BrokenPipeError):
                    self.end_headers()
                    self.wfile.write(text)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 512

        self.server = Server(str(path), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def basenames(self):
        with self.lock:
            return [body["basename"] for _, _, body in self.calls]

    def bodies(self):
        with self.lock:
            return [body for _, _, body in self.calls]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.path.unlink(missing_ok=True)


class Proxy:
    def __init__(self, world, *flags, provider="github", socket="proxy.sock"):
        self.socket = world.folder / socket
        self.log_path = world.folder / f"{socket}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(SENSOR), "proxy", "dockerd", "--provider", provider, "--upstream-socket",
                 str(world.upstream), "--listen-socket", str(self.socket), "--agent-socket",
                 str(world.agent_path), *flags], stdin=subprocess.DEVNULL, stderr=log)
        wait_for(self.is_up, 10, "the proxy")

    def is_up(self):
        assert self.process.poll() is None, self.log_path.read_text()
        with sockets.socket(sockets.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0

    def log(self, msg):
        rows = [json.loads(line) for line in self.log_path.read_text().splitlines()]
        return [row for row in rows if row["msg"] == msg]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.log_path.read_text()
        assert not self.socket.exists()


class World:
    def __init__(self, driver="cgroupfs", network=""):
        """`network`: flags of dockerd's; it is then in the network namespace of whoever calls."""
        self.driver, self.network = driver, network
        path = f"{PATH}:{os.environ['PATH']}"
        missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
        if os.geteuid() != 0 or missing:
            raise Skip("needs " + (" ".join(missing) or "root"))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-docker-"))
        self.upstream = self.folder / "up.sock"
        self.agent_path = self.folder / "agent.sock"
        self.env = {**os.environ, "PATH": path, "DOCKER_CONFIG": str(self.folder / "config")}
        self.daemon = None
        root = cgroup_root()
        own = [line[3:] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()
               if line.startswith("0::")][0]
        self.cgroup = f"{own.rstrip('/')}/cicd-docker-{os.getpid()}-{random.randrange(1 << 30)}"
        self.cgroup_folder = root / self.cgroup.lstrip("/")
        self.cgroup_folder.mkdir()
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        with open(self.folder / "log", "wb") as log:
            self.daemon = subprocess.Popen(
                ["unshare", "--mount", *([] if self.network else ["--net"]), "--propagation", "private",
                 "/bin/sh", "-ec", DAEMON, "dockerd", str(self.folder), self.cgroup, self.driver],
                env={**self.env, "NETWORK": self.network or NO_NETWORK}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        wait_for(self.is_up, 60, "dockerd")
        rootfs = self.folder / "rootfs"
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            (rootfs / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), rootfs / "bin/busybox")
        for applet in APPLETS:
            (rootfs / "bin" / applet).symlink_to("busybox")
        (rootfs / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        archive = self.folder / "rootfs.tar"
        subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
        self.docker("import", archive, "busybox")

    def is_up(self):
        assert self.daemon.poll() is None, self.log_end()
        return subprocess.run(["docker", "--host", f"unix://{self.upstream}", "version"],
                              env=self.env, capture_output=True, check=False).returncode == 0

    def log_end(self):
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def run(self, *arguments, socket=None, **options):
        """`docker ARGUMENTS...`, through the socket, or directly."""
        options = {"stdin": subprocess.DEVNULL, **options}
        if "input" in options:
            del options["stdin"]
        return subprocess.run(
            ["docker", "--host", f"unix://{socket or self.upstream}", *map(str, arguments)],
            env={**self.env, **options.pop("env", {})}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=120, check=False, **options)

    def popen(self, *arguments, socket=None, **options):
        return subprocess.Popen(
            ["docker", "--host", f"unix://{socket or self.upstream}", *map(str, arguments)],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    def docker(self, *arguments, socket=None, **options):
        done = self.run(*arguments, socket=socket, **options)
        assert done.returncode == 0, f"docker {arguments}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    @contextlib.contextmanager
    def agent(self):
        agent = Agent(self.agent_path)
        try:
            yield agent
        finally:
            agent.close()

    @contextlib.contextmanager
    def proxy(self, *flags, **options):
        proxy = Proxy(self, *flags, **options)
        try:
            yield proxy
        finally:
            proxy.close()

    def shims(self):
        """Processes that hold containers of this dockerd. While it runs, it ends those whose container
        is over; when it ends in the middle of that, they stay, as they would for its next start."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if b"containerd-shim" in words and bytes(self.folder) in words:
                    found.append(int(entry.name))
        return found

    def close(self):
        if self.daemon:
            self.daemon.terminate()
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        (self.cgroup_folder / "cgroup.kill").write_text("1")
        for pid in self.shims():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            for folder in sorted(self.cgroup_folder.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                self.cgroup_folder.rmdir()
            if not self.cgroup_folder.exists():
                break
            time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)
