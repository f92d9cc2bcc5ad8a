# SPDX-License-Identifier: Apache-2.0
"""What jobs of the egress tests do; run inside of a job: `acts.py NAME...` prints a JSON object
{name: outcome}. An outcome is "ok", the name of an error, or what the act says of itself."""
import ctypes
import errno
import itertools
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
FAR, WILD, SHARED, DENIED = "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.99"


def outcome(act):
    try:
        return act() or "ok"
    except socket.timeout:
        return "timeout"
    except socket.gaierror as error:
        return f"gai {error.errno}"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def tcp(host, port, family=0):
    def act():
        last = OSError(errno.EADDRNOTAVAIL, "no address")
        for kind, _, _, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
            with socket.socket(kind, socket.SOCK_STREAM) as s:
                s.settimeout(3)
                try:
                    s.connect(address)
                    s.sendall(b"hello")
                    return "ok" if s.recv(16) == b"hello" else "no echo"
                except OSError as error:
                    last = error
        raise last
    return act


def udp(ip, port):
    def act():
        with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(3)
            s.sendto(b"hello", (ip, port))
            return "ok" if s.recv(16) == b"hello" else "no echo"
    return act


def query(name, kind=1, number=7):
    return struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + b"".join(
        bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack(
            ">HH", kind, 1)


def rcode(name, server="8.8.8.8", kind=1):
    """What a program that asks a server of its own choice is told."""
    def act():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(4)
            s.sendto(query(name, kind), (server, 53))
            answer, peer = s.recvfrom(4096)
            assert peer == (server, 53), peer
            return f"rcode {answer[3] & 15} answers {struct.unpack('>H', answer[6:8])[0]}"
    return act


# Not those of an earlier run, of which connection tracking may know where they led.
RAW_PORTS = itertools.count(random.randrange(10_000, 60_000))


def insisting(send):
    """A first packet can come before the namespace has its table of nftables; it is denied then."""
    end = time.monotonic() + 3
    while True:
        try:
            return send()
        except PermissionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def raw_rcode(name, has_header=False, server="8.8.8.8"):
    """The same over a raw socket, which no hook of connect or sendmsg sees; with an IP header of its own."""
    def act():
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        port = next(RAW_PORTS)
        packet = query(name, number=port)
        packet = struct.pack(">HHHH", port, 53, 8 + len(packet), 0) + packet
        if has_header:
            packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(packet), 0, 0, 64, socket.IPPROTO_UDP, 0,
                                 bytes(4), socket.inet_aton(server)) + packet
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP) as heard, socket.socket(
                family, socket.SOCK_RAW, socket.IPPROTO_RAW if has_header else socket.IPPROTO_UDP) as s:
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)
            heard.settimeout(4)
            insisting(lambda: s.sendto(packet, (server, 0)))
            while True:
                answer, peer = heard.recvfrom(4096)
                datagram = answer if family == socket.AF_INET6 else answer[(answer[0] & 15) * 4:]
                if datagram[:4] == struct.pack(">HH", 53, port):
                    assert peer[0] == server, peer
                    return f"rcode {datagram[11] & 15} answers {struct.unpack('>H', datagram[14:16])[0]}"
    return act


def raw_spoofed():
    """Questions in the name of an address outside: the answer, with the question in it, must not go there."""
    try:
        for name in ("all", "out0"):
            with open(f"/proc/sys/net/ipv4/conf/{name}/route_localnet", "w", encoding="ascii") as file:
                file.write("1")
    except OSError as error:
        return str(error)
    packet = query("a-secret.denied.test")
    segment = struct.pack(">HHIIBBHHH", 443, 53, 1, 0, 0x50, 2, 1024, 0, 0)
    for kind, payload in ((socket.IPPROTO_UDP, struct.pack(">HHHH", 5000, 53, 8 + len(packet), 0) + packet),
                          (socket.IPPROTO_TCP, segment)):
        for to in ("9.9.9.9", "127.0.0.1"):
            data = bytearray(payload)
            if to == "127.0.0.1":
                data[2:4] = struct.pack(">H", 15353)
            header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 0, 0, 64, kind, 0, socket.inet_aton(DENIED),
                                 socket.inet_aton(to))
            if kind == socket.IPPROTO_TCP:
                data[16:18] = struct.pack(">H", checksum(header[12:] + struct.pack(">BBH", 0, kind, len(data)) + data))
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
                insisting(lambda: s.sendto(header + data, (to, 0)))
    source, servers = socket.inet_pton(socket.AF_INET6, "2001:db8::10"), ("2001:db8:7::7", "::1")
    for to in servers:
        target = socket.inet_pton(socket.AF_INET6, to)
        data = bytearray(struct.pack(">HHHH", 5000, 53 if to != "::1" else 15353, 8 + len(packet), 0) + packet)
        data[6:8] = struct.pack(">H", checksum(source + target + struct.pack(">II", len(data), 17) + data))
        header = struct.pack(">IHBB", 6 << 28, len(data), 17, 64) + source + target
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            insisting(lambda: s.sendto(header + data, (to, 0)))
    time.sleep(0.5)


def checksum(data):
    data = bytes(data) + bytes(len(data) % 2)
    return ~(sum(struct.unpack(f">{len(data) // 2}H", data)) % 0xffff) & 0xffff


def raw_connection():
    """The first segment of a connection to port 53, and whether somebody there takes it."""
    port = next(RAW_PORTS)
    segment = struct.pack(">HHIIBBHHH", port, 53, 1, 0, 0x50, 2, 1024, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as s, socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(("203.0.113.10", 443))
        pseudo = socket.inet_aton(way.getsockname()[0]) + socket.inet_aton("8.8.8.8") + struct.pack(
            ">BBH", 0, socket.IPPROTO_TCP, len(segment))
        segment = segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:]
        s.settimeout(4)
        insisting(lambda: s.sendto(segment, ("8.8.8.8", 0)))
        while True:
            answer, peer = s.recvfrom(4096)
            answer = answer[(answer[0] & 15) * 4:]
            if answer[:4] == struct.pack(">HH", 53, port):
                assert peer[0] == "8.8.8.8", peer
                return {0x12: "taken", 0x14: "closed"}.get(answer[13], f"flags {answer[13]:x}")


def rcode_over_tcp(name):
    def act():
        with socket.create_connection(("8.8.8.8", 53), timeout=4) as s:
            assert s.getpeername()[0] == "8.8.8.8"
            message = query(name)
            s.sendall((struct.pack(">H", len(message)) + message) * 2)
            data = b""
            while len(data) < 2 or len(data) < 2 * (2 + struct.unpack(">H", data[:2])[0]):
                part = s.recv(65536)
                if not part:
                    return "closed"
                data += part
            return f"rcode {data[5] & 15} answers {struct.unpack('>H', data[8:10])[0]}"
    return act


def fast_open():
    with socket.socket() as s:
        s.sendto(b"x", 0x20000000, (DENIED, 80))


def mptcp():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as s:
        s.settimeout(3)
        s.connect((DENIED, 80))


def sendmmsg():
    """Three datagrams at once; the world says whether one came through."""
    class Iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]

    class Msghdr(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("namelen", ctypes.c_uint),
                    ("iov", ctypes.POINTER(Iovec)), ("iovlen", ctypes.c_size_t),
                    ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                    ("flags", ctypes.c_int)]

    class Mmsghdr(ctypes.Structure):
        _fields_ = [("hdr", Msghdr), ("len", ctypes.c_uint)]

    name = struct.pack("=H", socket.AF_INET) + struct.pack(">H", 5000) + socket.inet_aton(DENIED)
    name += bytes(8)
    vector = Iovec(b"data", 4)
    messages = (Mmsghdr * 3)()
    for message in messages:
        message.hdr = Msghdr(name, len(name), ctypes.pointer(vector), 1, None, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if LIBC.sendmmsg(s.fileno(), messages, 3, 0) < 0:
            raise OSError(ctypes.get_errno(), "sendmmsg")


def raw_icmp():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.sendto(struct.pack(">BBHHH", 8, 0, 0xF7FF, 0, 0), (DENIED, 0))


def packet_socket():
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as s:
        s.sendto(b"a frame", ("job0", 0x88B5, 0, 0, b"\xff" * 6))


def given_socket():
    """An unconnected socket that a process outside of the job has made; it is connected here."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.environ["GIVER"])
        _, descriptors, _, _ = socket.recv_fds(s, 16, 1)
        with socket.socket(fileno=descriptors[0]) as given:
            given.connect((DENIED, 80))


def flushed():
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    return rcode("denied.test")()


def nft(*words):
    """What nft says, and the code it ends with."""
    done = subprocess.run(["nft", *words], capture_output=True, text=True, check=False)
    return done.stdout or done.stderr, done.returncode


def many_first_acts():
    """200 processes whose first act is a connect to what is denied."""
    code = ("import socket\ns = socket.socket()\ntry:\n  s.connect(('%s', 80))\nexcept PermissionError:\n"
            "  raise SystemExit(7)\n" % DENIED)
    running = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(200)]
    codes = [each.wait() for each in running]
    return f"{codes.count(7)} denied"


ACTS = {
    "allowed": tcp("allowed.test", 443),
    "allowed6": tcp("six.test", 443),
    "wrong_port": tcp("allowed.test", 80),
    "denied": tcp("denied.test", 443),
    "wild": tcp("deep.wild.test", 443),
    "chain": tcp("chain.test", 443),
    "chain_to_denied": tcp("todenied.test", 443),
    "big": tcp("big.test", 443, socket.AF_INET),
    "rebind": tcp("rebind.test", 443),
    "rebind_local": tcp("rebindlocal.test", 443),
    "direct": tcp(DENIED, 80),
    "direct6": tcp("fd00:ec2::253", 80),
    "mapped": tcp("::ffff:" + DENIED, 80),
    "direct_udp": udp(DENIED, 5000),
    "range": udp("203.0.113.11", 5000),
    "metadata": tcp("169.254.169.254", 80),
    "metadata6": tcp("fd00:ec2::254", 80),
    "dot": tcp("1.1.1.1", 853),
    "doh": tcp("1.1.1.1", 443),
    "own_server": rcode("denied.test"),
    "own_server_allowed": rcode("allowed.test"),
    "text": rcode("text.test", kind=16),
    "dns_tcp": rcode_over_tcp("allowed.test"),
    "dns_tcp_denied": rcode_over_tcp("denied.test"),
    "fast_open": fast_open,
    "mptcp": mptcp,
    "sendmmsg": sendmmsg,
    "raw_icmp": raw_icmp,
    "packet_socket": packet_socket,
    "given_socket": given_socket,
    "nft_flush": flushed,
    "first_acts": many_first_acts,
    "two_names": lambda: "one %s, two %s" % (outcome(tcp("one.test", 443)),
                                             outcome(tcp("two.test", 443))),
}

# Of raw_question_test.py, in a namespace where the resolver is a guest.
RAW_ACTS = {
    "raw_question": raw_rcode("allowed.test"),
    "raw_question_denied": raw_rcode("denied.test"),
    "raw_header": raw_rcode("allowed.test", has_header=True),
    "raw_header_denied": raw_rcode("denied.test", has_header=True),
    "raw_question6": raw_rcode("allowed.test", server="2001:db8:1::1"),
    "raw_question6_denied": raw_rcode("denied.test", server="2001:db8:1::1"),
    "raw_connection": raw_connection,
    "raw_spoofed": raw_spoofed,
    "nft_table": lambda: nft("list", "table", "inet", "cicd_sensor")[0],
    "nft_tables": lambda: f"tables: {nft('list', 'tables')[0]}",
    "nft_attack": lambda: " ".join(str(nft(*words.split())[1]) for words in (
        "flush ruleset", "flush table inet cicd_sensor", "delete table inet cicd_sensor",
        "add rule inet cicd_sensor output accept")),
}

if __name__ == "__main__":
    print(json.dumps({name: outcome((ACTS | RAW_ACTS)[name]) for name in sys.argv[1:]}))
