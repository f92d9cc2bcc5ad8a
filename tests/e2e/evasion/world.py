# SPDX-License-Identifier: Apache-2.0
"""What the acts of the evasion suite find around them: a folder for each with its secret, echo
servers on loopback, a cgroup that is not the job's, and a helper outside the job that opens files,
makes connections and runs programs when it is asked to, as a container engine's socket does."""
import array
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading


def v2_mount():
    return next(line.split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8")
                if " - cgroup2 " in line)


def own_cgroup():
    own = next(line[3:].strip() for line in open("/proc/self/cgroup", encoding="utf-8")
               if line.startswith("0::"))
    return pathlib.Path(v2_mount() + own)


class World:
    def __init__(self, cases):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cicd-evasion-"))
        self.outside = own_cgroup() / f"cicd-evasion-outside-{os.getpid()}"
        self.closing = contextlib.ExitStack()
        try:
            self.outside.mkdir()
            (self.folder / "outside").symlink_to(self.outside)
            (self.folder / "v2").symlink_to(v2_mount())
            for case in cases:
                (self.folder / case / "sub").mkdir(parents=True)
                (self.folder / case / "secret").write_text(f"secret of {case}\n")
            self.listener = self._server(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0),
                                         self._accept_echo)
            self.port = self.listener.getsockname()[1]
            self._server(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", self.port), self._udp_echo)
            self._server(socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "helper.sock"),
                         self._accept_helper)
        except BaseException:
            self.close()
            raise

    def _server(self, family, kind, address, serve):
        server = self.closing.enter_context(socket.socket(family, kind))
        if kind == socket.SOCK_STREAM and family == socket.AF_INET:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen(16)
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        return server

    def _accept_echo(self, server):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._echo, args=(server.accept()[0],), daemon=True).start()

    @staticmethod
    def _echo(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(64):
                connection.sendall(data)

    @staticmethod
    def _udp_echo(server):
        with contextlib.suppress(OSError):
            while True:
                server.sendto(*server.recvfrom(64))

    def _accept_helper(self, server):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._help, args=(server.accept()[0],), daemon=True).start()

    def _connected(self, port):
        connection = socket.create_connection(("127.0.0.1", port), 5)
        connection.settimeout(None)  # what is passed on must block
        return self.closing.enter_context(connection)

    @staticmethod
    def _pass(connection, number):
        rights = array.array("i", [number]).tobytes()
        connection.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def _help(self, connection):
        with connection, contextlib.suppress(OSError):
            # Byte by byte: what follows the line is for the proxied peer.
            line = b""
            while not line.endswith(b"\n"):
                line += connection.recv(1) or b"\n"
            word, _, argument = line.decode().strip().partition(" ")
            if word in ("open", "hold"):
                file = self.closing.enter_context(open(argument, "rb"))
                if word == "open":
                    self._pass(connection, file.fileno())
                else:
                    connection.sendall(f"{os.getpid()} {file.fileno()}\0".encode())
            elif word == "connect":
                self._pass(connection, self._connected(self.port).fileno())
            elif word == "socket":
                self._pass(connection, self.closing.enter_context(socket.socket()).fileno())
            elif word == "cat":
                connection.sendall(subprocess.run(["cat", argument], capture_output=True,
                                                  check=True).stdout)
            elif word == "proxy":
                onward = self._connected(self.port)
                while data := connection.recv(64):
                    onward.sendall(data)
                    connection.sendall(onward.recv(64))
            elif word == "call":
                self._echo(self._connected(int(argument)))

    def close(self):
        self.closing.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.outside.rmdir()
        if self.folder.exists():
            # A name too deep for rmtree.
            subprocess.run(["rm", "-rf", str(self.folder)], check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
