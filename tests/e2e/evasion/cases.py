# SPDX-License-Identifier: Apache-2.0
"""Every case of the evasion suite with what must be seen of it, and what is known not to be."""
import base64
import dataclasses
import os
import re

SEEN, PARTLY, NOT_SEEN = "seen", "seen in part", "not seen"


class Has:
    """There is an event of this type and payload. {f} is the folder of the case; a member of the
    process is named process_x. A value may be a function of the event's value."""

    is_seen = True

    def __init__(self, event_type, tags=(), **payload):
        self.type, self.tags, self.payload = event_type, set(tags), payload

    def matches(self, event, values):
        if event["type"] != self.type or not self.tags <= set(event.get("tags", [])):
            return False
        for name, expected in self.payload.items():
            is_process = name.startswith("process_")
            holder = event["process"] if is_process else event[self.type]
            value = holder.get(name.removeprefix("process_") if is_process else name)
            if isinstance(expected, str):
                expected = expected.format(**values)
            if not (expected(value) if callable(expected) else value == expected):
                return False
        return True

    def find(self, events, outcome, case_id):
        values = {"f": f"{outcome.folder}/{case_id}", "base": outcome.folder}
        return [event for event in events if self.matches(event, values)]

    def __str__(self):
        return f"{self.type} {self.payload} {self.tags or ''}"


class Lacks(Has):
    """There is no such event: the hole in the fence, as it is known."""

    is_seen = False


class OpensOfRace(Has):
    """Each open has a row or is counted as a repeat, whatever its descriptor was made by then: the
    file asked for, the one that was put in its place, or the name as it was asked for."""

    def __init__(self):
        super().__init__("file_open")

    def find(self, events, outcome, case_id):
        folder = f"{outcome.folder}/{case_id}"
        rows = [event for event in events if event["type"] == "file_open"
                and event["file_open"]["path"] in (f"{folder}/secret", f"{folder}/sub")]
        # The decoy and the counter's file are opened besides.
        told = len(rows) + outcome.repeated_opens
        return rows if told >= outcome.swapped_opens > 0 else []


@dataclasses.dataclass
class Case:
    id: str
    verdict: str
    expectations: list
    optional: bool = False  # a kernel may lack what the act needs
    # A kernel may tell less, as the limits of this event type's coverage say with these words and
    # the release that ended it; `expectations` are then replaced by these.
    lesser: tuple = None  # (event type, words, expectations)
    # What is seen instead where trampolines serve this event type. The page says so with the word
    # "trampolines" in the case's row.
    trampolines: tuple = None  # (event type, expectations[, first release])

    def __post_init__(self):
        kinds = {each.is_seen for each in self.expectations}
        allowed = {SEEN: [{True}], PARTLY: [{True, False}, {True}], NOT_SEEN: [{False}]}
        assert kinds in allowed[self.verdict], self.id

    def limit(self, coverage, release):
        """What the coverage says of this kernel that makes the case a lesser one, or None."""
        if self.lesser is None:
            return None
        limits = coverage.get(self.lesser[0], {}).get("limits", "")
        match = re.search(r"Before Linux (\d+)\.(\d+) " + re.escape(self.lesser[1]), limits)
        is_before = match and release < (int(match.group(1)), int(match.group(2)))
        return match.group() if is_before else None

    def expected(self, coverage, release, is_lesser):
        """The expectations that hold for this kernel and its backends."""
        if self.trampolines:
            event_type, expectations, *since = self.trampolines
            is_there = coverage.get(event_type, {}).get("backend") == "trampoline"
            if is_there and release >= (since[0] if since else (0, 0)):
                return expectations
        return self.lesser[2] if is_lesser else self.expectations

    def failure(self, events, outcome, expectations):
        """Why the case is not as it is said to be, or None."""
        for expected in expectations:
            found = expected.find(events, outcome, self.id)
            if bool(found) != expected.is_seen:
                seen = [(e["type"], e.get(e["type"]), e.get("tags")) for e in events]
                word = "no" if expected.is_seen else "there is a"
                return f"{word} {expected} among {seen[-12:]}"
        return None


def opened(path="{f}/secret", **more):
    return Has("file_open", path=path, **more)


def not_opened(path="{f}/secret"):
    return Lacks("file_open", path=path)


def ran(path, **more):
    return Has("process_exec", process_exec_path=path, **more)


def connected(ip="127.0.0.1", protocol="tcp", **more):
    return Has("network_connect", remote_ip=ip, protocol=protocol, **more)


def path_is_true(path):
    return path in ("/usr/bin/true", "/bin/true")


def path_is_shell(path):
    return path in ("/usr/bin/dash", "/bin/dash", "/usr/bin/bash", "/bin/bash")


def is_of_acts(path):
    return os.path.basename(path or "") == "evasion_acts"


TO_HELPER = Has("unix_socket_connect", path="{base}/helper.sock", socket_type="stream")
NO_CONNECT = Lacks("network_connect")
READ = {"is_read": True}

FILES = [
    *(Case(name, SEEN, [opened(**READ)]) for name in (
        "relative-path", "dotdot-path", "symlink-file", "symlink-directory", "rename-after-open",
        "proc-self-root", "proc-self-cwd", "proc-fd-reopen", "o-path-reopen", "openat2-beneath",
        "openat2-in-root", "openat2-no-xdev", "openat2-no-symlinks", "openat2-no-magiclinks",
        "openat2-cached", "mmap-read", "copy-calls")),
    Case("open-by-handle", SEEN, [opened(**READ)], optional=True),
    Case("shell-builtin-read", SEEN, [opened(process_exec_path=path_is_shell)]),
    Case("unlinked-file", SEEN, [opened(), opened("{f}/secret (deleted)", tags=["deleted:path"])]),
    Case("name-newline", SEEN, [opened("{f}/a\nb\r\x1b[2K")]),
    Case("name-quotes", SEEN, [Has("file_open", path=lambda path: path.endswith("/\"},\\\"{'`$(x)"))]),
    Case("name-invalid-utf8", SEEN, [
        Has("file_open", path_base64=lambda text: base64.b64decode(text or "").endswith(
            b"/name-invalid-utf8/\xff\xc3(\xed\xa0\x80"))]),
    Case("rename-before-open", PARTLY, [
        Has("file_move", from_path="{f}/secret", to_path="{f}/harmless"),
        opened("{f}/harmless"), not_opened()]),
    Case("hard-link", PARTLY, [
        Has("file_link", existing_path="{f}/secret", created_path="{f}/harmless", is_hardlink=True),
        opened("{f}/harmless"), not_opened()]),
    *(Case(name, PARTLY, [
        Has("file_open", tags=["truncated:path"], is_read=True,
            path=lambda path: path.startswith(".../d") and path.endswith("/leaf")),
        Lacks("file_open", path=lambda path: path.startswith("/") and path.endswith("/leaf"))])
      for name in ("long-path", "deep-path")),
    Case("remove-through-link", PARTLY, [
        Has("file_remove", path="{f}/alias/secret", tags=["unresolved:path"]),
        Lacks("file_remove", path="{f}/secret")],
         trampolines=("file_remove", [Has("file_remove", path="{f}/secret"),
                                      Lacks("file_remove", tags=["unresolved:path"])])),
    Case("fd-swap-race", PARTLY, [OpensOfRace()]),
    Case("file-attributes", NOT_SEEN, [not_opened(), Lacks("file_open", path="{f}/fifo")]),
    Case("truncate-path", SEEN, [opened(tags=["via:truncate"], is_write=True)]),
]

MOUNTS = [
    Case("bind-mount", PARTLY, [
        Has("mount", source_path="{f}/secret", target_path="{f}/harmless", operation="bind"),
        opened("{f}/harmless", **READ), not_opened()]),
    Case("overlay-mount", PARTLY, [
        Has("mount", target_path="{f}/sub", operation="new"), opened("{f}/sub/secret"),
        not_opened()], optional=True),
    Case("chroot", PARTLY, [opened("/secret"), not_opened()]),
    Case("pivot-root", PARTLY, [
        Has("mount", operation="pivot_root"), opened("/secret"), not_opened()]),
    *(Case(name, PARTLY, [
        Has("namespace_change", operation="unshare", flags="mnt"),
        opened("/secret", tags=["unreachable:path"]), not_opened()])
      for name in ("detached-mount", "lazy-unmount")),
    Case("detached-exec", PARTLY, [
        ran("/true", tags=["unreachable:exec_path"]),
        Lacks("process_exec", process_exec_path=path_is_true)]),
    Case("chroot-outside", SEEN, [opened(tags=["unreachable:path"])]),
    Case("user-namespace", SEEN, [
        Has("namespace_change", operation="unshare", flags=lambda flags: "user" in flags), opened(),
        ran(path_is_true)]),
    Case("setns-mount", SEEN, [
        Has("namespace_change", operation="setns", flags="mnt"), opened("{f}/sub/secret")]),
]

EXECS = [
    Case("script", SEEN, [
        ran(path_is_shell, script_path="{f}/script",
            process_argv=lambda argv: argv[1] == "-e" and argv[-1] == "one")]),
    Case("script-nested", SEEN, [
        ran(path_is_shell, script_path="{f}/outer", process_argv=lambda argv: len(argv) == 4)]),
    Case("ld-so-program", PARTLY, [
        ran(lambda path: "/ld-linux" in path, process_argv=["ld.so", "/bin/true"]),
        Has("file_open", path=path_is_true), Lacks("process_exec", process_exec_path=path_is_true)]),
    Case("memfd-exec", SEEN, [
        ran("/memfd:jit-cache (deleted)", is_memfd=True, process_argv=["harmless"])]),
    Case("execveat-empty-path", SEEN, [ran(path_is_true, process_argv=["harmless"])]),
    Case("exec-deleted", SEEN, [ran("{f}/gone (deleted)", process_argv=["harmless"])]),
    Case("thread-exec", SEEN, [ran(path_is_true, process_argv=["true", "by-thread"])]),
    Case("argc-zero", SEEN, [ran(path_is_true, process_argv=[""])]),
    Case("argv-empty", SEEN, [ran(path_is_true, process_argv=["", ""])]),
    Case("argv-false", SEEN, [ran(path_is_true, process_argv=["[kworker/0]"])]),
    Case("argv-rewrite", SEEN, [opened(process_argv=lambda argv: argv[1].startswith("case-"))]),
    Case("ld-preload", SEEN, [
        opened(process_exec_path=path_is_true),
        Has("file_open", path=lambda path: path.endswith("/evasion_preload.so"))]),
]

PROCESSES = [
    Case("vfork-exec", SEEN, [ran(path_is_true)]),
    *(Case(name, SEEN, [opened(process_exec_path=is_of_acts)])
      for name in ("clone-vm", "double-fork", "daemon-reparented", "prctl-name", "cgroup-child")),
    Case("ptrace-swap", SEEN, [opened(**READ), Has("ptrace", request="PTRACE_POKEDATA")]),
    Case("process-vm-read", SEEN, [
        Has("memory_read", method="process_vm_readv", target_exec_path=is_of_acts)]),
    Case("proc-mem-read", SEEN, [
        Has("memory_read", method="proc_mem", target_exec_path=is_of_acts)]),
    Case("exec-memory", SEEN, [Has("exec_memory", kind="mprotect", size_bytes="4096")]),
    Case("exec-memfd-mapping", SEEN, [Has("exec_memory", kind="mmap", size_bytes="4096")]),
    *(Case(name, SEEN, [Has("cgroup_escape"), opened(tags=["escaped:cgroup"])])
      for name in ("cgroup-move", "cgroup-clone-into")),
]

NETWORK = [
    *(Case(name, SEEN, [connected(family="ipv4")])
      for name in ("tcp-connect", "tcp-fastopen", "dup-socket", "scm-rights-unconnected")),
    Case("int80-connect", SEEN, [connected(family="ipv4")], optional=True),
    Case("tcp-connect-mapped", SEEN, [connected(family="ipv6")], optional=True),
    Case("mptcp-connect", SEEN, [connected()], optional=True),
    Case("udp-connect", SEEN, [connected(protocol="udp")]),
    Case("udp-sendto", SEEN, [connected(protocol="udp", tags=["via:sendmsg"])]),
    Case("udp-sendmmsg", SEEN, [connected("127.0.0.2", "udp"), connected("127.0.0.1", "udp")]),
    *(Case(name, SEEN, [connected()], optional=True)
      for name in ("io-uring-connect", "io-uring-connect-async")),
    Case("io-uring-sendmsg", SEEN, [connected(protocol="udp")], optional=True),
    Case("inbound-accept", NOT_SEEN, [NO_CONNECT]),
    *(Case(name, PARTLY, [Has("socket_create", family=family, protocol=protocol), NO_CONNECT])
      for name, family, protocol in (("raw-icmp", "AF_INET", "icmp"), ("raw-packet", "AF_INET", "raw"),
                                     ("af-packet", "AF_PACKET", "0x0000"))),
    Case("unix-dotdot", PARTLY, [
        Has("unix_socket_connect", path="{f}/../helper.sock", tags=["unresolved:path"]),
        Lacks("unix_socket_connect", path="{base}/helper.sock")]),
    # What was passed in is not seen, but from whom.
    *(Case(name, PARTLY, [TO_HELPER, NO_CONNECT]) for name in ("scm-rights-connected", "unix-proxy")),
]

PAST_THE_SENSOR = [
    Case("int80-open", NOT_SEEN, [not_opened()], optional=True,
         trampolines=("file_open", [opened(tags=["via:32bit"], **READ)])),
    Case("int80-exec", SEEN, [ran(path_is_true, process_argv=["compat"])], optional=True),
    Case("int80-fork", SEEN, [opened()], optional=True),
    *(Case(name, SEEN, [
        Has("io_uring_op", operation=operation, path="{f}/secret")], optional=True,
        # Linux 6.0 tells the path of a request; an io_uring of before 5.12 opens by other threads.
        trampolines=("file_open", [
            Has("io_uring_op", operation=operation, path="{f}/secret"),
            opened(tags=["via:io_uring"], **READ)], (6, 0)),
        lesser=("io_uring_op", "without path and address", [
            Has("io_uring_op", operation=operation, path=None)]))
      for name, operation in (
          ("io-uring-open", "openat"), ("io-uring-open-async", "openat"),
          ("io-uring-open-sqpoll", "openat"), ("io-uring-openat2", "openat2"))),
    Case("inherited-fd", NOT_SEEN, [not_opened()]),
    Case("scm-rights-file", PARTLY, [TO_HELPER, not_opened()]),
    Case("pidfd-getfd", PARTLY, [Has("ptrace", request="pidfd_getfd"), not_opened()]),
    Case("exec-outside", PARTLY, [TO_HELPER, not_opened(), Lacks("process_exec", process_argv=lambda argv:
                                                       argv[:1] == ["cat"])]),
]

CASES = [*FILES, *MOUNTS, *EXECS, *PROCESSES, *NETWORK, *PAST_THE_SENSOR]
assert len({case.id for case in CASES}) == len(CASES), "an id stands there twice"
