#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The world outside of a job, in a network namespace of its own: addresses of many kinds, servers
that write down whatever reaches them, and a real name server (unbound) with a zone of tests.

Started by lab.py, which moves one end of a veth pair here: prints "ready", waits for a line, sets up,
prints "up", and goes when its standard input ends. Arguments: log file, scratch folder.
"""
import ctypes
import json
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import threading

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

V4 = ["198.18.0.1", "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13", "203.0.113.99", "8.8.8.8",
      "1.1.1.1", "169.254.169.254", "10.20.30.40"]
V6 = ["2001:db8:1::1", "2001:db8::10", "fd00:ec2::254"]
TCP_PORTS = [80, 443, 853, 8443]
UDP_PORTS = [443, 5000]

ZONE = """$ORIGIN test.
@ 3600 IN SOA ns.test. root.test. 1 3600 600 86400 60
@ 3600 IN NS ns.test.
ns 3600 IN A 198.18.0.1
allowed 300 IN A 203.0.113.10
allowed 300 IN AAAA 2001:db8::10
denied 300 IN A 203.0.113.99
deep.wild 300 IN A 203.0.113.11
wild 300 IN A 203.0.113.11
chain 300 IN CNAME middle.test.
middle 300 IN CNAME end.test.
end 300 IN A 203.0.113.12
todenied 300 IN CNAME denied.test.
short 1 IN A 203.0.113.11
rebind 300 IN A 10.20.30.40
rebind 300 IN A 203.0.113.13
rebindlocal 300 IN A 127.0.0.1
one 300 IN A 203.0.113.12
two 300 IN A 203.0.113.12
six 300 IN AAAA 2001:db8::10
text 300 IN TXT "a text"
""" + "".join(f"big 300 IN A 203.0.113.{n}\n" for n in range(1, 61)) + "".join(
    f"many{n} 300 IN A 198.51.{100 + n // 250}.{n % 250 + 1}\n" for n in range(600)) + "".join(
        f"n{n}.flood 1 IN A 11.7.{n}.{k}\n" for n in range(70) for k in range(1, 241))

CONF = """server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 0
  do-daemonize: no
  logfile: "{folder}/questions"
  log-queries: yes
  rrset-roundrobin: no
  interface: 0.0.0.0
  interface: ::0
  interface-automatic: yes
  access-control: 0.0.0.0/0 allow
  access-control: ::0/0 allow
  local-zone: "test." nodefault
  module-config: "iterator"
auth-zone:
  name: "test."
  zonefile: "{folder}/test.zone"
  for-upstream: yes
  for-downstream: yes
  fallback-enabled: no
remote-control:
  control-enable: no
"""


class Book:
    """One JSON line for each contact."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", encoding="utf-8", buffering=1)

    def write(self, **what):
        with self.lock:
            self.file.write(json.dumps(what) + "\n")


def plain(address):
    return address.removeprefix("::ffff:")


def echo(connection, book, port):
    with connection:
        try:
            here = plain(connection.getsockname()[0])
            book.write(kind="tcp", ip=here, port=port)
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass


def serve(book):
    selector = selectors.DefaultSelector()
    for kind, ports in ((socket.SOCK_STREAM, TCP_PORTS), (socket.SOCK_DGRAM, UDP_PORTS)):
        for port in ports:
            server = socket.socket(socket.AF_INET6, kind)
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if kind == socket.SOCK_STREAM:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
            else:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            server.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                server.listen(1024)
            selector.register(server, selectors.EVENT_READ, (kind, port))
    # What no server is there for: frames of any kind.
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x88B5))
    selector.register(frames, selectors.EVENT_READ, ("frame", 0))
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    selector.register(icmp, selectors.EVENT_READ, ("icmp", 0))
    while True:
        for key, _ in selector.select():
            kind, port = key.data
            if kind == socket.SOCK_STREAM:
                connection, _ = key.fileobj.accept()
                threading.Thread(target=echo, args=(connection, book, port), daemon=True).start()
            elif kind == socket.SOCK_DGRAM:
                data, control, _, peer = key.fileobj.recvmsg(65536, 256)
                to = socket.inet_ntop(socket.AF_INET6, control[0][2][:16]) if control else "?"
                book.write(kind="udp", ip=plain(to), port=port)
                key.fileobj.sendto(data, peer)
            elif kind == "frame":
                key.fileobj.recv(65536)
                book.write(kind="frame", ip="", port=0)
            else:
                packet = key.fileobj.recv(65536)
                if packet[20] == 8:  # echo request
                    book.write(kind="icmp", ip=socket.inet_ntoa(packet[16:20]), port=0)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def set_up():
    ip("link", "set", "lo", "up")
    ip("link", "set", "world0", "up")
    ip("addr", "add", "198.18.0.1/24", "dev", "world0")
    ip("-6", "addr", "add", "2001:db8:1::1/64", "dev", "world0", "nodad")
    for address in V4[1:]:
        ip("addr", "add", address + "/32", "dev", "lo")
    for address in V6[1:]:
        ip("-6", "addr", "add", address + "/128", "dev", "lo", "nodad")
    for name in ("icmp_echo_ignore_all",):
        pathlib.Path("/proc/sys/net/ipv4", name).write_text("0")


def start_names(folder):
    (folder / "test.zone").write_text(ZONE)
    (folder / "unbound.conf").write_text(CONF.format(folder=folder))
    return subprocess.Popen(["unbound", "-d", "-c", str(folder / "unbound.conf")],
                            stdin=subprocess.DEVNULL,
                            preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL))


def main():
    book = Book(sys.argv[1])
    if LIBC.unshare(CLONE_NEWNET) != 0:
        sys.exit("unshare")
    print("ready", flush=True)
    sys.stdin.readline()
    set_up()
    names = start_names(pathlib.Path(sys.argv[2]))
    threading.Thread(target=serve, args=(book,), daemon=True).start()
    print("up", flush=True)
    sys.stdin.read()
    names.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
