#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What attackers do in a job, one act for each baseline rule, done for real.

  acts.py all FOLDER WHERE       every act in which WHERE ("job", "install") is the place, one after
                                 the other, each in a process of its own
  PROGRAM acts.py act-NNN FOLDER the act with this number; PROGRAM may be a copy of python by another
                                 name, as some rules go by the program

The folder holds world.json (ports and processes outside of the job) and bin/ with the copies.
"""
import http.client
import json
import mmap
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys

import kernel_calls as k

ACTS = []


class Act:
    def __init__(self, rule, function, program, also, where):
        self.rule, self.function, self.program, self.where = rule, function, program, where
        self.expected = {rule, *also}


def act(rule, program="python3", also=(), where="job"):
    def register(function):
        ACTS.append(Act(rule, function, program, also, where))
        return function
    return register


def ask(*names):
    for name in names:
        question = struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, 0)
        question += b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(question + b"\0\0\x01\0\x01", ("127.0.0.1", 53))


def request(method, path, host="x.test"):
    client = http.client.HTTPConnection("127.0.0.1", 80, timeout=5)
    client.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    client.putheader("Host", host)
    client.putheader("Content-Length", "0")
    client.endheaders()
    client.getresponse().read()
    client.close()


def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            pass


def read(path):
    with open(path, "rb", buffering=0) as file:
        try:
            file.read(1)
        except OSError:
            pass


def made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def simple(rule, function, **options):
    act(rule, **options)(function)


def process_acts():
    simple("runner_memory_accessed", lambda w: read(f"/proc/{w.runner}/mem"))
    simple("runner_environment_read", lambda w: read(f"/proc/{w.runner}/environ"))
    simple("runner_memory_map_read", lambda w: read(f"/proc/{w.runner}/maps"))
    simple("process_memory_opened", lambda w: read(f"/proc/{w.other}/mem"))
    simple("process_environment_read", lambda w: read(f"/proc/{w.other}/environ"))
    simple("process_memory_map_read", lambda w: read(f"/proc/{w.other}/maps"))
    simple("process_memory_copied", lambda w: k.vm_call("process_vm_readv", w.other))
    simple("process_memory_written", lambda w: k.vm_call("process_vm_writev", w.other))
    simple("runner_traced", lambda w: k.call("ptrace", k.PTRACE_SEIZE, w.runner, 0, 0))
    simple("process_traced", lambda w: k.call("ptrace", k.PTRACE_SEIZE, w.other, 0, 0))
    simple("process_changed_by_tracer", change_by_tracer, also=["process_traced"])
    simple("descriptor_taken", lambda w: k.call(
        "pidfd_getfd", k.call("pidfd_open", w.other, 0), 0, 0))
    simple("runner_signalled", lambda w: os.kill(w.runner, signal.SIGWINCH))
    simple("security_tool_signalled", lambda w: os.kill(w.sensor, signal.SIGWINCH))
    simple("machine_service_signalled", lambda w: os.kill(w.engine, signal.SIGWINCH))
    simple("outside_process_ended", lambda w: os.kill(w.spare, signal.SIGKILL))


def change_by_tracer(world):
    k.call("ptrace", k.PTRACE_SEIZE, world.other, 0, 0)
    k.call("ptrace", k.PTRACE_INTERRUPT, world.other, 0, 0)
    os.waitpid(world.other, 0x40000000)  # __WALL
    k.call("ptrace", k.PTRACE_POKEDATA, world.other, 4096, 0)


def file_acts():
    def removed(path):
        made(path).unlink()

    def moved(source, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        made(source).rename(target)
    root = pathlib.Path("/")
    programs, libraries = root / "usr/sbin", root / "usr/lib/tmpfiles.d"
    sensor = root / "run/cicd-sensor"
    simple("shell_history_removed", lambda w: removed(w.folder / ".bash_history"))
    simple("shell_history_replaced", lambda w: (w.folder / ".zsh_history").symlink_to("/dev/null"))
    simple("logs_removed", lambda w: removed(w.folder / "_diag/Worker_1.log"))
    simple("logs_moved", lambda w: moved(w.folder / "_diag/Worker_2.log", w.folder / "x1"))
    simple("sensor_files_removed", lambda w: removed(sensor / "x"))
    simple("sensor_files_moved", lambda w: moved(sensor / "a", sensor / "b"))
    simple("lock_file_removed", lambda w: removed(w.folder / "package-lock.json"))
    simple("lock_file_moved", lambda w: moved(w.folder / "yarn.lock", w.folder / "x2"))
    simple("system_program_replaced", lambda w: moved(programs / ".new", programs / "auditctl"))
    simple("system_program_removed", lambda w: removed(programs / "auditctl"))
    simple("system_program_linked", lambda w: (programs / "ip").symlink_to("/tmp/x"))
    simple("system_library_replaced", lambda w: moved(libraries / ".x", libraries / "libx.so.1"))
    simple("credential_file_linked", lambda w: os.link(made(w.folder / "h1/.npmrc"), w.folder / "x3"))
    simple("credential_file_moved", lambda w: moved(w.folder / "h2/.pypirc", w.folder / "x4"))
    simple("git_hook_moved_into_place",
           lambda w: moved(w.folder / "x5", w.folder / "r/.git/hooks/post-checkout"))
    simple("workflow_file_moved_into_place",
           lambda w: moved(w.folder / "x6", w.folder / "r/.github/workflows/ci.yml"))
    simple("startup_file_moved_into_place", lambda w: moved(w.folder / "x7", w.folder / ".bashrc"))
    simple("startup_file_linked", lambda w: (w.folder / ".profile").symlink_to("/tmp/x"))
    simple("kernel_helper_written", lambda w: made(w.folder / "cgroup/release_agent"))


def hide_process(_world):
    k.mount("/tmp", f"/proc/{os.getpid()}", None, k.MS_BIND)


def isolation_acts():
    def mounted(source, target, kind=None, flags=0):
        def do(world):
            (world.folder / "mnt").mkdir(exist_ok=True)
            k.mount(source, target or world.folder / "mnt", kind, flags)
        return do
    simple("system_folder_covered", mounted("tmpfs", "/var/log", "tmpfs"))
    simple("host_disk_mounted", mounted("/dev/sda1", None, "tmpfs"))
    simple("process_hidden_by_mount", hide_process)
    simple("kernel_files_bound_elsewhere", mounted("/sys/kernel", None, None, k.MS_BIND))
    simple("sensor_covered_by_mount", mounted("tmpfs", "/run/cicd-sensor/covered", "tmpfs"))
    simple("engine_socket_used_by_hand", lambda w: connect_unix(w.folder / "docker.sock"), program="curl")
    simple("engine_socket_used", lambda w: connect_unix(w.folder / "docker.sock"))
    simple("shim_socket_used", lambda w: connect_unix("\0/containerd-shim/x.sock"))
    simple("systemd_socket_used", lambda w: connect_unix(w.folder / "systemd/private"))
    simple("ssh_agent_used", lambda w: connect_unix(w.folder / "ssh-agent.sock"))
    simple("gpg_agent_used", lambda w: connect_unix(w.folder / "S.gpg-agent"))
    simple("user_namespace_made", lambda w: k.call("unshare", k.CLONE_NEWUSER))
    simple("namespace_entered", lambda w: k.call(
        "setns", os.open("/proc/self/ns/mnt", os.O_RDONLY), k.CLONE_NEWNS))
    # Whether it is allowed does not matter.
    simple("host_entered_with_nsenter", lambda w: subprocess.call(
        ["/usr/bin/nsenter", "--target=1", "--uts", "/bin/true", sys.argv[1]],
        stderr=subprocess.DEVNULL))


def kernel_acts():
    def executable(_world):
        mmap.mmap(-1, 4096, prot=7).close()

    def root_again(_world):
        os.seteuid(65534)
        os.seteuid(0)

    def connect(_world):
        with socket.socket() as sock:
            k.Ring().connect(sock.fileno(), 80)
    simple("kernel_module_loaded", lambda w: k.call("init_module", b"no module", 9, b""))
    simple("bpf_program_loaded", lambda w: k.bpf(5))
    simple("bpf_object_taken", lambda w: k.bpf(11))
    simple("io_uring_opens_credentials", lambda w: k.Ring().open(made(w.folder / "h3/.npmrc")),
           also=["io_uring_opens_files"])
    simple("io_uring_opens_files", lambda w: k.Ring().open("/etc/hostname"))
    simple("io_uring_network", connect)
    simple("executable_memory_in_plain_tool", executable, program="cat")
    simple("executable_memory_in_interpreter", executable)
    simple("program_became_root", root_again)
    simple("dangerous_capability_gained", lambda w: k.regain_capabilities())


def name_acts():
    for rule, name in (("drop_site_asked", "webhook.site"), ("out_of_band_site_asked", "a1.oast.fun"),
                       ("tunnel_service_asked", "a.ngrok-free.app"), ("paste_site_asked", "pastebin.com"),
                       ("chat_service_asked", "discord.com"), ("mining_pool_asked", "pool.supportxmr.com"),
                       ("encrypted_dns_asked", "dns.google"), ("onion_name_asked", "abc.onion.ly"),
                       ("dynamic_name_asked", "x.duckdns.org"), ("own_address_asked", "api.ipify.org"),
                       ("metadata_name_asked", "metadata.google.internal")):
        simple(rule, lambda w, name=name: ask(name))
    simple("name_asked_by_tool", lambda w: ask(*(f"{i}d41d8cd98f00b204.t.test" for i in range(30))),
           program="dig")
    simple("metadata_path_requested", lambda w: request("GET", "/latest/meta-data/iam/"))
    simple("chat_webhook_posted", lambda w: request("POST", "/api/webhooks/1/x", "discord.com"))
    simple("script_fetched_in_clear", lambda w: request("GET", "/install.sh"))
    simple("program_fetched_in_clear", lambda w: request("GET", "/a.exe"))
    simple("data_sent_in_clear", lambda w: request("POST", "/collect"), program="curl")
    simple("packet_socket_made", lambda w: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close())
    simple("engine_asked_over_tcp", lambda w: request("POST", "/v1.41/containers/create"))


def install_acts():
    def below(rule, function, **options):
        simple(rule, function, where="install", **options)

    def mounted(world):
        (world.folder / "mnt2").mkdir(exist_ok=True)
        k.mount("tmpfs", world.folder / "mnt2", "tmpfs")

    def home_removed(_world):
        made(pathlib.Path("/home/runner/.ssh/x")).unlink()
    below("package_install_reads_process_memory", lambda w: read(f"/proc/{w.runner}/mem"),
          also=["runner_memory_accessed"])
    below("package_install_traces_process", lambda w: k.call("ptrace", k.PTRACE_SEIZE, w.other, 0, 0),
          also=["process_traced"])
    below("package_install_signals_outside", lambda w: os.kill(w.other, signal.SIGWINCH))
    below("package_install_uses_engine_socket", lambda w: connect_unix(w.folder / "docker.sock"),
          also=["engine_socket_used"])
    below("package_install_uses_session_socket", lambda w: connect_unix(w.folder / "user/bus"))
    below("package_install_asks_drop_site", lambda w: ask("pastebin.com"),
          also=["paste_site_asked", "package_install_script_asks_name"])
    below("package_install_script_asks_name",
          lambda w: ask(*(f"{i}d41d8cd98f00b204.t.test" for i in range(30))))
    below("package_install_removes_home_files", home_removed)
    below("package_install_removes_lock_file", lambda w: made(w.folder / "p/yarn.lock").unlink(),
          also=["lock_file_removed"])
    below("package_install_mounts", mounted)
    below("package_install_makes_namespace", lambda w: k.call("unshare", k.CLONE_NEWNS))
    below("package_install_uses_kernel", lambda w: k.bpf(0))
    below("package_install_uses_io_uring", lambda w: k.Ring().open("/etc/hostname"),
          also=["io_uring_opens_files"])
    below("package_install_requests_over_http", lambda w: request("POST", "/collect"))


for group in (process_acts, file_acts, isolation_acts, kernel_acts, name_acts, install_acts):
    group()


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for name, value in json.loads((self.folder / "world.json").read_text()).items():
            setattr(self, name, value)


def do_all(folder, where):
    for number, one in enumerate(ACTS):
        if one.where != where:
            continue
        program = os.path.join(folder, "bin", one.program)
        if subprocess.call([program, sys.argv[0], f"act-{number:03}", folder], timeout=20,
                           env={**os.environ, "PYTHONHOME": "/usr"}) != 0:
            print(f"failed: {one.rule}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "all":
        do_all(*sys.argv[2:4])
    else:
        ACTS[int(sys.argv[1][4:])].function(World(sys.argv[2]))
