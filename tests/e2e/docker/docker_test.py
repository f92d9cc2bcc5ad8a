#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy before a real dockerd: what the docker command prints is the same as without it, and the
agent knows of a container before it starts."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

from docker_world import World, wait_for
from sensor import Skip, run_tests

WORLD = []
NET = ("--network", "none")


def world():
    """One dockerd for all tests of this file."""
    if not WORLD:
        WORLD.append(World())
    return WORLD[0]


def removed(there, name):
    there.run("rm", "--force", name)


def identifier(there, name):
    return there.docker("inspect", "--format", "{{.Id}}", name)


@contextlib.contextmanager
def container(there, *command, flags=(), path=None):
    """One that runs in the background; its name."""
    name = f"c{os.getpid()}-{time.monotonic_ns()}"
    there.docker("run", "--detach", "--name", name, *NET, *flags, "busybox", *command, socket=path)
    try:
        yield name
    finally:
        removed(there, name)


def same_both_ways(there, proxy, *arguments, **options):
    # Some of what docker tells changes by itself: ask again then.
    for _ in range(5):
        both = [(done.returncode, done.stdout, done.stderr)
                for done in (there.run(*arguments, **options),
                             there.run(*arguments, socket=proxy.socket, **options))]
        if both[0] == both[1]:
            return
    raise AssertionError(f"{arguments}: {both}")


def raw(path, data, until=b"\r\n\r\n", ends=False):
    """Sends bytes; returns what comes, until it holds `until` or the other side closes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        got = b""
        # Who closes with something unread resets, after what it has said.
        with contextlib.suppress(ConnectionResetError):
            with contextlib.suppress(BrokenPipeError):
                client.sendall(data)
            while ends or until not in got:
                more = client.recv(65536)
                if not more:
                    break
                got += more
        return got


def create_request(body, head="", target="/containers/create"):
    return (f"POST {target} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
            f"{head}\r\n").encode() + body


CREATE = json.dumps({"Image": "busybox", "Cmd": ["true"],
                     "HostConfig": {"NetworkMode": "none"}}).encode()
LENGTH = f"Content-Length: {len(CREATE)}\r\n"


def created_id(answer):
    return re.search(rb'"Id":"([0-9a-f]{64})"', answer).group(1).decode()


def test_a_container_is_staged_before_it_starts():
    there = world()
    with there.agent() as agent, there.proxy() as proxy:
        agent.delay_s = 0.4
        name = f"staged-{os.getpid()}"
        output = there.docker("run", "--name", name, *NET, "busybox", "cat", "/proc/uptime",
                              socket=proxy.socket)
        full = identifier(there, name)
        removed(there, name)
        assert sorted(agent.basenames()) == sorted([f"docker-{full}.scope", full])
        assert all(route == "/v1/github/staging/put" for _, route, _ in agent.calls)
        assert all(set(body) == {"basename", "peer_pid", "container"} and body["container"] == "new"
                   for body in agent.bodies()), agent.calls
        # CLOCK_MONOTONIC and uptime are the same but for suspends.
        offset = time.monotonic() - float(pathlib.Path("/proc/uptime").read_text().split()[0])
        ran = float(output.split()[0]) + offset
        assert all(when < ran + 0.02 for when, _, _ in agent.calls), (agent.calls, ran)
        assert len(proxy.log("container_staged")) == 1


def test_output_is_the_same_as_direct():
    there = world()
    with there.agent(), there.proxy() as proxy, container(
            there, "sh", "-c", "echo out; echo err >&2; cat", flags=["-i"]) as name:
        until = str(time.time())
        there.docker("exec", name, "true")
        for arguments in (("info",), ("version",), ("ps", "--all", "--no-trunc"), ("images",),
                          ("system", "df"), ("inspect", name), ("top", name, "-eo", "pid,comm"), ("diff", name),
                          ("events", "--since", "1", "--until", until), ("logs", name),
                          ("logs", "--tail", "1", "--timestamps", name), ("port", name),
                          ("history", "busybox"), ("inspect", "nothing-of-this-name"),
                          ("start", "nothing-of-this-name"), ("exec", name, "sh", "-c", "exit 7"),
                          ("exec", "nothing-of-this-name", "true"), ("network", "ls"),
                          ("volume", "ls"), ("stats", "--no-stream", "--format", "{{.Name}}", name),
                          ("run", "--rm", *NET, "no-such-image:here", "true")):
            same_both_ways(there, proxy, *arguments)


def test_streams():
    there = world()
    data = os.urandom(1 << 20) * 5
    want = hashlib.sha256(data).hexdigest()
    with there.agent(), there.proxy() as proxy:
        done = there.run("run", "--rm", "-i", *NET, "busybox", "cat", socket=proxy.socket,
                         input=data)
        assert done.returncode == 0 and hashlib.sha256(done.stdout).hexdigest() == want, done.stderr
        with container(there, "sleep", "1000", path=proxy.socket) as name:
            # The end of the input has to arrive, or wc never ends.
            done = there.run("exec", "-i", name, "wc", "-c", socket=proxy.socket, input=data)
            assert done.stdout.strip() == str(len(data)).encode(), done
            big = there.folder / "big"
            big.write_bytes(data * 4)
            there.docker("cp", big, f"{name}:/tmp/big", socket=proxy.socket)
            there.docker("cp", f"{name}:/tmp/big", there.folder / "back", socket=proxy.socket)
            assert (there.folder / "back").read_bytes() == data * 4
            for verb in (("export", name), ("save", "busybox")):
                direct = there.run(*verb).stdout
                through = there.run(*verb, socket=proxy.socket).stdout
                assert len(direct) > 500_000 and len(direct) == len(through), verb
            saved = there.folder / "saved.tar"
            saved.write_bytes(there.run("save", "busybox").stdout)
            assert "Loaded" in there.docker("load", "--input", saved, socket=proxy.socket)
            assert there.docker("import", there.folder / "rootfs.tar", "again",
                                socket=proxy.socket).startswith("sha256:")


def test_attach_and_logs_follow():
    there = world()
    script = "head -n 1; for i in $(seq 200); do echo line $i; done"
    want = "go\n" + "".join(f"line {i}\n" for i in range(1, 201))
    with there.agent(), there.proxy() as proxy, container(there, "sh", "-c", script, flags=["-i"],
                                                          path=proxy.socket) as name:
        with there.popen("logs", "--follow", name, socket=proxy.socket) as follower, there.popen(
                "attach", name, socket=proxy.socket, stdin=subprocess.PIPE) as attached:
            time.sleep(0.5)
            attached.stdin.write(b"go\n")
            attached.stdin.flush()
            # Its input stays open: the docker command ends with its input.
            assert attached.stdout.read().decode() == want
            assert follower.communicate(timeout=20)[0].decode() == want


def test_a_client_that_goes_frees_what_it_had():
    there = world()
    with there.agent(), there.proxy() as proxy, container(there, "sleep", "1000") as name:
        before = proxy.descriptors()
        clients = [there.popen(*what, socket=proxy.socket, stdin=subprocess.PIPE)
                   for what in (("logs", "--follow", name), ("events",), ("stats", name),
                                ("exec", "-i", name, "cat"), ("attach", name), ("wait", name))]
        wait_for(lambda: proxy.descriptors() >= before + 2 * len(clients), 20, "the clients")
        for client in clients:
            client.kill()
            client.communicate()
        wait_for(lambda: proxy.descriptors() == before, 20, "the proxy to let go")


def build(there, path, folder, kit):
    return there.run("build", "--no-cache", "--network", "none", "--tag", "built", folder,
                     socket=path, env={"DOCKER_BUILDKIT": kit})


def context(there):
    folder = there.folder / "context"
    folder.mkdir(exist_ok=True)
    (folder / "big").write_bytes(os.urandom(3 << 20))
    (folder / "Dockerfile").write_text(
        "FROM busybox\nCOPY big /big\nRUN wc -c /big && echo made > /made\n")
    return folder


def test_build():
    there = world()
    with there.agent(), there.proxy() as proxy:
        done = build(there, proxy.socket, context(there), "0")
        assert done.returncode == 0, done.stderr.decode()
        assert b"3145728 /big" in done.stdout and b"Successfully tagged" in done.stdout, done.stdout
        assert there.docker("run", "--rm", *NET, "built", "cat", "/made") == "made"


def test_build_with_buildkit():
    there = world()
    with there.agent(), there.proxy() as proxy:
        done = build(there, proxy.socket, context(there), "1")
        if b"buildx" in done.stderr and done.returncode != 0:
            raise Skip("this docker command needs docker-buildx")
        assert done.returncode == 0, done.stderr.decode()
        assert there.docker("run", "--rm", *NET, "built", "cat", "/made") == "made"


def test_switch_to_http2():
    """What BuildKit's clients do: dockerd's own HTTP/2 answers to ours, in either place."""
    there = world()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    ping = b"\0\0\x08\6\0\0\0\0\0cicd1234"
    upgrade = b"POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with there.agent(), there.proxy() as proxy:
        for path in (there.upstream, proxy.socket):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(path))
                client.sendall(upgrade)
                assert client.recv(4096).startswith(b"HTTP/1.1 101 "), path
                client.sendall(preface + ping)
                got = b""
                while b"\0\0\x08\6\1\0\0\0\0cicd1234" not in got:
                    more = client.recv(4096)
                    assert more, (path, got)
                    got += more


def test_fifty_at_once():
    there = world()
    with there.agent() as agent, there.proxy() as proxy:
        names = [f"p{os.getpid()}-{i}" for i in range(50)]
        results = {}

        def one(name):
            results[name] = there.run("run", "--name", name, *NET, "busybox", "echo", name,
                                      socket=proxy.socket)

        threads = [threading.Thread(target=one, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in names:
            assert results[name].stdout.decode() == name + "\n", results[name]
        ids = there.docker("inspect", "--format", "{{.Id}}", *names).split()
        removed_all = there.run("rm", "--force", *names)
        assert removed_all.returncode == 0
        want = sorted([f"docker-{each}.scope" for each in ids] + ids)
        # A busy machine may make the proxy ask twice.
        assert sorted(set(agent.basenames())) == want, (proxy.log("agent_down"), agent.basenames(), want)


def test_without_an_agent_containers_pass():
    there = world()
    with there.proxy() as proxy:
        output = there.docker("run", "--rm", *NET, "busybox", "echo", "hi", socket=proxy.socket)
        assert output == "hi"
        rows = proxy.log("agent_down")
        assert rows and rows[0]["level"] == "ERROR" and rows[0]["policy"] == "pass", rows
        assert "NOT watched" in rows[0]["hint"]


def test_without_an_agent_containers_are_refused():
    there = world()
    with there.proxy("--on-agent-down", "refuse") as proxy, container(there, "sleep", "9") as name:
        before = there.docker("ps", "--all", "--quiet")
        done = there.run("run", "--rm", *NET, "busybox", "echo", "hi", socket=proxy.socket)
        assert done.returncode != 0 and b"start cicd-sensor-agent" in done.stderr, done
        there.docker("stop", "--time", "0", name)
        done = there.run("start", name, socket=proxy.socket)
        assert done.returncode != 0 and b"start cicd-sensor-agent" in done.stderr, done
        assert there.docker("ps", "--all", "--quiet") == before
        # Nothing else is.
        assert there.docker("ps", "--all", "--quiet", socket=proxy.socket) == before
        # The connection lives on after a refusal.
        two = create_request(CREATE, LENGTH) + b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
        got = raw(proxy.socket, two, until=b"OK")
        assert got.startswith(b"HTTP/1.1 503") and b"HTTP/1.1 200 OK" in got, got


def test_a_container_that_the_agent_refuses():
    there = world()
    with there.agent() as agent, there.proxy("--on-agent-down", "refuse") as proxy:
        before = there.docker("ps", "--all", "--quiet")
        agent.status = 500
        done = there.run("run", "--rm", *NET, "busybox", "echo", "hi", socket=proxy.socket)
        assert done.returncode != 0 and b"cannot be watched" in done.stderr, done
        wait_for(lambda: there.docker("ps", "--all", "--quiet") == before, 10, "its removal")
        agent.status = 200
        assert there.docker("run", "--rm", *NET, "busybox", "echo", "hi",
                            socket=proxy.socket) == "hi"


def test_an_agent_that_hangs():
    there = world()
    with there.agent() as agent, there.proxy() as proxy:
        agent.delay_s = 3
        began = time.monotonic()
        there.docker("create", "--name", "hang", *NET, "busybox", "true", socket=proxy.socket)
        took = time.monotonic() - began
        assert 0.9 < took < 2.9, took
        agent.delay_s = 0
        there.docker("start", "hang", socket=proxy.socket)
        removed(there, "hang")
        assert len(proxy.log("agent_down")) == 1
        assert len(proxy.log("container_staged")) == 1, "a start asks again"


def test_starts_of_what_was_made_elsewhere():
    there = world()
    with there.agent() as agent, there.proxy() as proxy:
        for spell in (lambda full, name: full, lambda full, name: full[:12],
                      lambda full, name: name):
            name = f"other{time.monotonic_ns()}"
            full = there.docker("create", "--name", name, *NET, "busybox", "true")
            there.docker("start", spell(full, name), socket=proxy.socket)
            assert sorted(agent.basenames()) == sorted([f"docker-{full}.scope", full])
            agent.calls.clear()
            # A second start makes a second cgroup.
            there.docker("wait", name)
            there.docker("restart", name, socket=proxy.socket)
            assert sorted(agent.basenames()) == sorted([f"docker-{full}.scope", full])
            agent.calls.clear()
            removed(there, name)


def test_a_name_that_moves():
    there = world()
    with there.agent() as agent, there.proxy() as proxy:
        there.docker("create", "--name", "first", *NET, "busybox", "true", socket=proxy.socket)
        other = there.docker("create", "--name", "second", *NET, "busybox", "true")
        there.docker("rename", "first", "third", socket=proxy.socket)
        there.docker("rename", "second", "first", socket=proxy.socket)
        agent.calls.clear()
        there.docker("start", "first", socket=proxy.socket)
        removed(there, "first")
        removed(there, "third")
        assert other in agent.basenames(), agent.calls
        assert not any("container" in body for body in agent.bodies()), "it may have run before"


def test_gitlab_labels():
    there = world()
    prefix = "com.gitlab.gitlab-runner.job."
    labels = {"id": "77", "url": "https://GitLab.Example.com:8443/group/sub/project/-/jobs/77",
              "sha": "deadbeef", "ref": "main"}
    flags = [f"--label={prefix}{name}={value}" for name, value in labels.items()]
    with there.agent() as agent, there.proxy(provider="gitlab") as proxy:
        there.docker("run", "--rm", *NET, *flags, "busybox", "true", socket=proxy.socket)
        assert len(agent.calls) == 2
        for _, route, body in agent.calls:
            assert route == "/v1/gitlab/staging/put"
            assert body["job_identity"] == {
                "provider": "gitlab", "provider_host": "gitlab.example.com",
                "project_path": "group/sub/project", "gitlab_job_id": "77"}, body
            assert body["metadata"] == {"commit_sha": "deadbeef", "ref_name": "main"}, body
            assert body["peer_pid"] > 0
        agent.calls.clear()
        there.docker("run", "--rm", *NET, "busybox", "true", socket=proxy.socket)
        assert [set(body) for body in agent.bodies()] == [{"basename", "peer_pid", "container"}] * 2


def test_spellings_of_create():
    """However the request is spelled: dockerd makes a container, so the agent is told."""
    there = world()
    chunked = (b"%x;ext=1\r\n" % 10 + CREATE[:10] + b"\r\n%X\r\n" % len(CREATE[10:]) + CREATE[10:] +
               b"\r\n0\r\n\r\n")
    cases = {
        "plain": create_request(CREATE, LENGTH),
        "version": create_request(CREATE, LENGTH, "/v1.41/containers/create"),
        "escaped": create_request(CREATE, LENGTH, "/%76%31.41/%63ontainers/cre%61te?a=b"),
        "url": create_request(CREATE, LENGTH, "http://docker/v1.41/containers/create"),
        "chunked": create_request(chunked, "Transfer-Encoding: chunked\r\n"),
        "line feeds": create_request(CREATE, LENGTH).replace(b"\r\n", b"\n"),
        "http 1.0": create_request(CREATE, LENGTH).replace(b"HTTP/1.1", b"HTTP/1.0"),
    }
    for provider in ("github", "gitlab"):
        with there.agent() as agent, there.proxy(provider=provider) as proxy:
            for what, request in cases.items():
                ping = b"HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
                for before in (b"", ping * 3):
                    agent.calls.clear()
                    got = raw(proxy.socket, before + request, until=b'"Warnings"')
                    full = created_id(got)
                    there.docker("rm", full)
                    assert full in agent.basenames(), (what, got)


def test_expect_continue():
    there = world()
    with there.agent() as agent, there.proxy() as proxy, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(proxy.socket))
        client.sendall(create_request(b"", LENGTH + "Expect: 100-continue\r\n"))
        assert client.recv(4096).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(CREATE)
        answer = b""
        while b'"Warnings"' not in answer:
            answer += client.recv(4096)
        there.docker("rm", created_id(answer))
        assert len(agent.calls) == 2


def test_what_two_readers_would_read_differently():
    there = world()
    hidden = create_request(CREATE, LENGTH)
    cases = {
        "length and chunks": b"POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(hidden) + 5) + hidden,
        "two lengths": b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n"
                       b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden,
        "space before colon": b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length : %d\r\n\r\n"
                              % len(hidden) + hidden,
        "folded": b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: y\r\n Content-Length: %d\r\n\r\n"
                  % len(hidden) + hidden,
        "other encoding": b"GET /_ping HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
                          + hidden,
        "plus": b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: +%d\r\n\r\n" % len(hidden) + hidden,
        "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden,
    }
    with there.agent() as agent, there.proxy() as proxy:
        before = there.docker("ps", "--all", "--quiet")
        for what, request in cases.items():
            got = raw(proxy.socket, request, ends=True)
            assert re.match(rb"HTTP/1.1 (400|505) ", got), (what, got)
        assert there.docker("ps", "--all", "--quiet") == before
        assert not agent.calls
        # A head that never ends costs a bounded room and is answered.
        got = raw(proxy.socket, b"GET /_ping HTTP/1.1\r\nX: " + b"x" * (1_100_000), ends=True)
        assert got.startswith(b"HTTP/1.1 431 "), got


def test_without_dockerd():
    there = world()
    real, there.upstream = there.upstream, there.folder / "nobody.sock"
    try:
        with there.proxy() as proxy:
            done = there.run("ps", socket=proxy.socket)
            assert done.returncode != 0 and b"dockerd does not answer" in done.stderr, done
            assert proxy.log("dockerd_down")
    finally:
        there.upstream = real


if __name__ == "__main__":
    try:
        run_tests(globals())
    finally:
        for each in WORLD:
            each.close()
