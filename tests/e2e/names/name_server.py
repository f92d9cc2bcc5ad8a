# SPDX-License-Identifier: Apache-2.0
"""A name server for tests, on port 53 of a network namespace that this process moves to, and the files
that make the C library ask it. Zones are a dict: name -> list of (type, data), or a function of the
query that gives the bytes of the answer (None: none comes)."""
import ctypes
import fcntl
import os
import pathlib
import socket
import socketserver
import struct
import tempfile
import threading

A, CNAME, TXT, AAAA, HTTPS = 1, 5, 16, 28, 65
CLONE_NEWNS, CLONE_NEWNET, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x40000000, 4096, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter_private_namespaces():
    """Network and mounts of our own: loopback is up, and names come from 127.0.0.1 alone."""
    check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
    check(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", 1 | 64))  # SIOCSIFFLAGS
    folder = tempfile.mkdtemp(prefix="cicd-names-")
    for path, text in (("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n"),
                       ("/etc/nsswitch.conf", "hosts: files dns\n")):
        ours = pathlib.Path(folder, pathlib.Path(path).name)
        ours.write_text(text)
        os.chmod(ours, 0o644)
        check(LIBC.mount(str(ours).encode(), os.path.realpath(path).encode(), None, MS_BIND, None),
              path)
        ours.unlink()
    os.rmdir(folder)


def wire(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(name, kind, data, ttl=60):
    if kind == A:
        data = socket.inet_aton(data)
    elif kind == AAAA:
        data = socket.inet_pton(socket.AF_INET6, data)
    elif kind == CNAME:
        data = wire(data)
    return wire(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def query_of(message):
    """Name in lower case, type, and where the question ends."""
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("ascii", "replace").lower())
        at += 1 + message[at]
    return ".".join(labels), struct.unpack(">H", message[at + 1:at + 3])[0], at + 5


class Zones:
    def __init__(self, zones, only_tcp=()):
        self.zones = zones
        self.only_tcp = set(only_tcp)

    def answer(self, message, is_tcp):
        name, kind, end = query_of(message)
        zone = self.zones.get(name)
        if callable(zone):
            return zone(message)
        flags, records = 0x8180, []
        if zone is None:
            flags |= 3
        elif name in self.only_tcp and not is_tcp:
            flags |= 0x0200
        else:
            records = self.collect(name, kind)
        head = message[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
        return head + message[12:end] + b"".join(records)

    def collect(self, name, kind):
        out = []
        for each, data in self.zones.get(name, ()):
            if each == CNAME:
                out += [record(name, CNAME, data), *self.collect(data, kind)]
            elif each == kind:
                out.append(record(name, each, data))
        return out


def serve(zones):
    """Answers in the background, until the process ends."""
    class Datagram(socketserver.BaseRequestHandler):
        def handle(self):
            answer = zones.answer(self.request[0], False)
            if answer is not None:
                self.request[1].sendto(answer, self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        def handle(self):
            while len(length := self.rfile.read(2)) == 2:
                answer = zones.answer(self.rfile.read(int.from_bytes(length, "big")), True)
                if answer is None:
                    continue
                framed = len(answer).to_bytes(2, "big") + answer
                for at in range(0, len(framed), 700):  # in pieces
                    self.request.sendall(framed[at:at + 700])

    class Server6(socketserver.ThreadingUDPServer):
        address_family = socket.AF_INET6

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    for server in (socketserver.ThreadingUDPServer(("127.0.0.1", 53), Datagram),
                   Server6(("::1", 53), Datagram),
                   socketserver.ThreadingTCPServer(("127.0.0.1", 53), Stream)):
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
