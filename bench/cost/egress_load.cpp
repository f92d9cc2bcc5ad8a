// SPDX-License-Identifier: Apache-2.0
// Load for bench/cost/egress: what a program does with sockets, timed by itself.
//   egress_load serve PORT              accepts and drains TCP, drops UDP, until it is killed
//   egress_load connect IP PORT COUNT   "median p99" of a connect, in nanoseconds
//   egress_load refused IP PORT COUNT   the same of connects that may fail
//   egress_load tcp IP PORT SECONDS     bytes a second
//   egress_load udp IP PORT SECONDS     datagrams of 64 bytes a second, on a connected socket; both
//                                       with the nanoseconds of CPU that each byte or datagram took
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in address_of(const char* ip, int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, ip, &out.sin_addr);
  return out;
}

int connected(int type, const sockaddr_in& to) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    std::perror("connect");
    std::exit(1);
  }
  return fd;
}

// What is there at each: the listener first, then the socket of datagrams, then connections. The
// last first, so that one may be closed.
void drain(std::vector<pollfd>& polled, std::vector<char>& buffer) {
  for (std::size_t i = polled.size(); i-- > 0;) {
    if (polled[i].revents == 0) continue;
    if (i == 0) {
      const int taken = ::accept4(polled[0].fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (taken >= 0) polled.push_back({taken, POLLIN, 0});
      continue;
    }
    ssize_t got = 1;
    while (got > 0) got = ::recv(polled[i].fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (i == 1 || (got < 0 && errno == EAGAIN)) continue;
    ::close(polled[i].fd);
    polled[i] = polled.back();
    polled.pop_back();
  }
}

int serve(int port) {
  const sockaddr_in any = address_of("0.0.0.0", port);
  const int on = 1;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const int datagrams = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int room = 64 << 20;
  ::setsockopt(datagrams, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0 ||
      ::listen(listener, 4096) != 0 ||
      ::bind(datagrams, reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0) {
    std::perror("serve");
    return 1;
  }
  std::vector<pollfd> polled = {{listener, POLLIN, 0}, {datagrams, POLLIN, 0}};
  std::vector<char> buffer(1 << 20);
  std::puts("up");
  std::fflush(stdout);
  // It looks now and then and never waits at a socket: what it takes to wake a receiver depends on
  // how long it has slept, thus on how fast the sender is, and would be counted as the sensor's.
  // Nor does it go round without end, which takes from the sender what their CPUs share.
  for (;;) {
    while (::poll(polled.data(), polled.size(), 0) > 0) drain(polled, buffer);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

int time_connects(const sockaddr_in& to, int count, bool may_fail) {
  std::vector<long> times;
  times.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const linger reset{1, 0};  // no port is left waiting
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    const auto begin = Clock::now();
    const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    times.push_back((Clock::now() - begin).count());
    if (result != 0 && !may_fail) {
      std::perror("connect");
      return 1;
    }
    ::close(fd);
  }
  std::ranges::sort(times);
  std::printf("%ld %ld\n", times[times.size() / 2], times[times.size() * 99 / 100]);
  return 0;
}

int time_sends(int type, const sockaddr_in& to, double seconds) {
  const int fd = connected(type, to);
  const std::size_t bytes = type == SOCK_STREAM ? 128 * 1024 : 64;
  const std::vector<char> data(bytes, 'x');
  const auto begin = Clock::now();
  const auto end =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  unsigned long done = 0;
  while (Clock::now() < end) {
    for (int i = 0; i < 16; ++i) {
      const ssize_t sent = ::send(fd, data.data(), bytes, MSG_NOSIGNAL);
      if (sent > 0) done += type == SOCK_STREAM ? static_cast<unsigned long>(sent) : 1;
    }
  }
  const double taken = std::chrono::duration<double>(Clock::now() - begin).count();
  // With what the kernel does for a datagram on its way to the other side; others do not count.
  timespec cpu{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  const double cpu_ns = static_cast<double>(cpu.tv_sec) * 1e9 + static_cast<double>(cpu.tv_nsec);
  std::printf("%.0f %.3f\n", static_cast<double>(done) / taken, cpu_ns / static_cast<double>(done));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "serve" && argc == 3) return serve(std::atoi(argv[2]));
  if (argc != 5) return 2;
  const sockaddr_in to = address_of(argv[2], std::atoi(argv[3]));
  if (what == "connect") return time_connects(to, std::atoi(argv[4]), false);
  if (what == "refused") return time_connects(to, std::atoi(argv[4]), true);
  if (what == "tcp") return time_sends(SOCK_STREAM, to, std::atof(argv[4]));
  if (what == "udp") return time_sends(SOCK_DGRAM, to, std::atof(argv[4]));
  return 2;
}
