// SPDX-License-Identifier: Apache-2.0
#include "dockerd.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace cicd::test {

namespace {

constexpr char kDaemon[] = "/usr/sbin/dockerd";
constexpr char kClient[] = "/usr/bin/docker";
constexpr char kBusybox[] = "/bin/busybox";
constexpr std::chrono::seconds kStartPatience{40};
constexpr std::chrono::seconds kEndPatience{10};
constexpr std::chrono::milliseconds kPoll{50};
constexpr std::size_t kLogEndBytes = 1'500;

// Waits for the end of a child; false when it takes too long.
bool ends_within(pid_t pid, std::chrono::seconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (::waitpid(pid, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

// In a child: mounts and network of its own, with cgroup v2 where an engine looks for it.
bool leave_namespaces() {
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  while (::umount2("/sys/fs/cgroup", MNT_DETACH) == 0) {
  }
  return ::mount("none", "/sys/fs/cgroup", "cgroup2", 0, nullptr) == 0;
}

}  // namespace

Output run_and_read(const std::vector<std::string>& argv) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const pid_t pid = start(nullptr, [&] {
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    std::vector<char*> arguments;
    for (const std::string& each : argv) arguments.push_back(const_cast<char*>(each.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    return 127;
  });
  ::close(ends[1]);
  Output output;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof(buffer))) > 0;) {
    output.text.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  ::waitpid(pid, &output.status, 0);
  return output;
}

std::string Dockerd::missing() {
  for (const char* program : {kDaemon, kClient, "/usr/sbin/runc", "/usr/bin/containerd"}) {
    if (::access(program, X_OK) != 0) return std::string(program) + " (package docker.io)";
  }
  if (::access(kBusybox, X_OK) != 0) return std::string(kBusybox) + " (package busybox-static)";
  return {};
}

Dockerd::Dockerd() {
  char name[] = "/tmp/cicd-docker-XXXXXX";
  if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = name;
  all_ = Cgroup::below_own("cicd-docker");
  containers_ = std::make_unique<Cgroup>(all_->path() + "/docker");
  daemon_ = std::make_unique<Cgroup>(all_->path() + "/daemon");
  ::setenv("DOCKER_CONFIG", folder_.c_str(), 1);
  pid_ = start(daemon_.get(), [this] { return serve(); });
}

int Dockerd::serve() const {
  const int log = ::open((folder_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (log < 0 || nothing < 0) return 1;
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::setsid();
  if (!leave_namespaces()) {
    std::perror("dockerd: its own mounts and network");
    return 1;
  }
  ::setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
  const std::vector<std::string> argv = {kDaemon,
                                         "--data-root",
                                         folder_ + "/data",
                                         "--exec-root",
                                         folder_ + "/exec",
                                         "--pidfile",
                                         folder_ + "/dockerd.pid",
                                         "--host",
                                         socket(),
                                         "--bridge=none",
                                         "--iptables=false",
                                         "--ip-forward=false",
                                         "--ip-masq=false",
                                         "--userland-proxy=false"};
  std::vector<char*> arguments;
  for (const std::string& each : argv) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  ::execv(kDaemon, arguments.data());
  std::perror(kDaemon);
  return 127;
}

Dockerd::~Dockerd() {
  ::kill(pid_, SIGTERM);
  if (!ends_within(pid_, kEndPatience)) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  // The cgroups end what it left behind, containers first.
  for (const auto& entry : std::filesystem::directory_iterator(containers_->path())) {
    if (!entry.is_directory()) continue;
    std::ofstream(entry.path() / "cgroup.kill") << "1";
    for (int i = 0; i < 100 && ::rmdir(entry.path().c_str()) != 0; ++i) {
      std::this_thread::sleep_for(kPoll);
    }
  }
  daemon_.reset();
  containers_.reset();
  all_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Dockerd::log_end() const {
  std::ifstream file(folder_ + "/log");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return text.size() > kLogEndBytes ? text.substr(text.size() - kLogEndBytes) : text;
}

bool Dockerd::wait_until_ready(std::string* why) const {
  const auto end = std::chrono::steady_clock::now() + kStartPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
      *why = "dockerd ended: " + log_end();
      return false;
    }
    const Output info = run_and_read({kClient, "--host", socket(), "version"});
    if (info.status == 0) return true;
    std::this_thread::sleep_for(kPoll);
  }
  *why = "dockerd does not answer: " + log_end();
  return false;
}

bool Dockerd::make_image() const {
  const std::filesystem::path root = folder_ + "/rootfs";
  for (const char* name : {"bin", "etc", "tmp", "proc", "sys", "dev"}) {
    std::filesystem::create_directories(root / name);
  }
  std::filesystem::copy_file(kBusybox, root / "bin/busybox");
  for (const char* applet : {"sh", "cat", "sleep", "nc", "true", "ln"}) {
    std::filesystem::create_symlink("busybox", root / "bin" / applet);
  }
  std::ofstream(root / "etc/passwd") << "root:x:0:0:root:/:/bin/sh\n";
  const std::string archive = folder_ + "/rootfs.tar";
  if (run_and_read({"/bin/tar", "-C", root, "-cf", archive, "."}).status != 0) return false;
  return !docker({"import", archive, "busybox"}).empty();
}

std::string Dockerd::docker(const std::vector<std::string>& arguments) const {
  std::vector<std::string> argv = {kClient, "--host", socket()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Output output = run_and_read(argv);
  if (output.status != 0) {
    ADD_FAILURE() << "docker " << arguments[0] << ": " << output.text << "\n" << log_end();
    return {};
  }
  while (output.text.ends_with('\n')) output.text.pop_back();
  return output.text;
}

void Dockerd::remove(const std::string& container) const { docker({"rm", "--force", container}); }

}  // namespace cicd::test
