// SPDX-License-Identifier: Apache-2.0
#include "kernel/library_prober.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "base/bounded_queue.h"
#include "kernel/attach.h"
#include "kernel/elf_functions.h"
#include "kernel/link_pins.h"
#include "kernel/pin_folder.h"
#include "wire/loss.h"

namespace cicd {

namespace {

constexpr std::size_t kQueueLength = 256;
constexpr std::size_t kMaxFiles = 512;        // of all jobs
constexpr std::uint32_t kMaxFilesOfJob = 64;  // what a job can make us do is bounded
constexpr std::chrono::milliseconds kStopPatience{1000};

struct Target {
  std::string_view symbol;
  std::string_view called;
  std::string_view returned;
  bool is_tls;
};
constexpr std::array<Target, 6> kTargets = {{
    {"getaddrinfo", "getaddrinfo_called", "getaddrinfo_returned", false},
    {"gethostbyname", "gethostbyname_called", "gethostbyname_returned", false},
    {"gethostbyname2", "gethostbyname_called", "gethostbyname_returned", false},
    {"SSL_write", "openssl_write_called", "openssl_write_returned", true},
    {"SSL_write_ex", "openssl_write_ex_called", "openssl_write_returned", true},
    {"gnutls_record_send", "gnutls_send_called", "gnutls_send_returned", true},
}};

// Where hosts have them; those that are not there are left out.
constexpr const char* kHostLibraries[] = {
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/usr/lib/x86_64-linux-gnu/libssl.so.3",
    "/usr/lib/x86_64-linux-gnu/libssl.so.1.1",
    "/usr/lib/aarch64-linux-gnu/libssl.so.3",
    "/usr/lib/aarch64-linux-gnu/libssl.so.1.1",
    "/usr/lib64/libssl.so.3",
    "/usr/lib64/libssl.so.1.1",
    "/usr/lib/libssl.so.3",
    "/usr/lib/x86_64-linux-gnu/libgnutls.so.30",
    "/usr/lib/aarch64-linux-gnu/libgnutls.so.30",
    "/usr/lib64/libgnutls.so.30",
    "/usr/lib/libgnutls.so.30",
};

// A number of an inode alone is used again when a file is gone.
using FileKey = std::tuple<dev_t, ino_t, std::int64_t, std::int64_t>;

// What a probe's pin begins with, so that the next process knows which files have theirs; the last
// one of a file ends with kWhole. A process that was killed on the way has not come to that one.
constexpr std::string_view kWhole = "-whole";

std::string pin_name(const FileKey& file) {
  const auto& [device, inode, time_ns, bytes] = file;
  char text[96];
  std::snprintf(text, sizeof(text), "probe-%llx-%llx-%llx-%llx",
                static_cast<unsigned long long>(device), static_cast<unsigned long long>(inode),
                static_cast<unsigned long long>(time_ns), static_cast<unsigned long long>(bytes));
  return text;
}

std::optional<FileKey> file_of_pin(const std::string& name) {
  unsigned long long device = 0, inode = 0, time_ns = 0, bytes = 0;
  if (std::sscanf(name.c_str(), "probe-%llx-%llx-%llx-%llx-", &device, &inode, &time_ns, &bytes) !=
      4) {
    return std::nullopt;
  }
  return FileKey{device, inode, static_cast<std::int64_t>(time_ns),
                 static_cast<std::int64_t>(bytes)};
}

struct Request {
  std::uint32_t pid = 0;
  std::uint32_t slot = 0;
  bool is_library = false;  // else: a program seen for the first time
  std::string path;         // of the library, for when the process is gone
  std::uint64_t inode = 0;
  std::uint32_t device = 0;
};

// Components from the leaf to the root, each with its NUL (wire/sample.h).
std::string joined(std::string_view components) {
  std::string path;
  while (!components.empty()) {
    const std::size_t end = components.find('\0');
    if (end == std::string_view::npos) break;
    path.insert(0, "/" + std::string(components.substr(0, end)));
    components.remove_prefix(end + 1);
  }
  return path;
}

// One line of /proc/<pid>/maps: "start-end perms offset device inode   path".
struct Mapping {
  unsigned long start = 0;
  unsigned long end = 0;
  std::string_view path;
};

std::optional<Mapping> executable_mapping(const std::string& line) {
  Mapping mapping;
  char permissions[8] = {};
  int path_at = 0;
  if (std::sscanf(line.c_str(), "%lx-%lx %7s %*s %*s %*s %n", &mapping.start, &mapping.end,
                  permissions, &path_at) < 3 ||
      permissions[2] != 'x' || path_at == 0) {
    return std::nullopt;
  }
  mapping.path = std::string_view(line).substr(static_cast<std::size_t>(path_at));
  return mapping;
}

std::optional<FileKey> key_of(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileKey{status.st_dev, status.st_ino,
                 status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec,
                 status.st_size};
}

// The libraries that a process has mapped, as files to read.
void for_each_library(const std::string& pid,
                      const std::function<void(int fd, LibraryName name)>& act) {
  std::ifstream maps("/proc/" + pid + "/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::optional<Mapping> mapping = executable_mapping(line);
    if (!mapping) continue;
    const LibraryName name = library_name(mapping->path);
    if (!name.is_known) continue;
    char range[64];
    std::snprintf(range, sizeof(range), "/map_files/%lx-%lx", mapping->start, mapping->end);
    const UniqueFd fd(::open(("/proc/" + pid + range).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd) act(fd.get(), name);
  }
}

}  // namespace

LibraryName library_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  for (const std::string_view start : {"libc.so", "libc.musl", "libc-2.", "ld-musl-"}) {
    if (name.starts_with(start)) return {true, true};
  }
  for (const std::string_view start : {"libssl.", "libssl-", "libgnutls.", "libgnutls-"}) {
    if (name.starts_with(start)) return {true, false};
  }
  return {};
}

// What the thread works with; it may outlive the prober.
struct LibraryProber::State {
  explicit State(bool tls) : tls_capture(tls) {}

  const bool tls_capture;
  std::array<std::pair<int, int>, kTargets.size()> programs{};  // called, returned
  std::optional<Uprobes> uprobes;
  BoundedQueue<Request> queue{kQueueLength};
  std::array<std::atomic<std::uint64_t>, CICD_SLOTS_MAX> not_probed{};
  std::array<std::atomic<std::uint64_t>, CICD_SLOTS_MAX> pending{};
  std::array<std::atomic<std::uint32_t>, CICD_SLOTS_MAX> files_of_job{};
  std::atomic<bool> is_stopped = false;

  // The thread's, or the owner's while there is no thread.
  LinkPins pins;
  std::vector<std::string> pin_names;
  std::set<FileKey> files;
  std::set<FileKey> half;  // an earlier process was killed while it probed them

  std::mutex mutex;
  std::condition_variable ended;
  bool has_ended = false;

  void take_over(const std::vector<std::string>& names);
  void run();
  void look_at(const Request& request);
  bool scan_process(std::uint32_t pid, std::uint32_t slot);
  bool probe_path(const Request& request);
  bool probe_file(int fd, LibraryName name, std::uint32_t slot);
  void probe_half();
  std::size_t probe_offsets(int fd, const std::vector<std::uint64_t>& offsets, const FileKey& file);
  Result<> attach(int program, int fd, std::uint64_t offset, bool is_return, std::string pin);
  void drop_pins() {
    for (const std::string& name : pin_names) pins.drop(name);
    pin_names.clear();
    files.clear();
  }
};

Result<> LibraryProber::State::attach(int program, int fd, std::uint64_t offset, bool is_return,
                                      std::string pin) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  Result<UniqueFd> link = uprobes->attach(program, path, offset, is_return);
  if (!link) return std::unexpected(std::move(link).error());
  pin_names.push_back(std::move(pin));
  pins.keep(pin_names.back(), std::move(*link));
  return {};
}

// Of a file without its last probe all go: it is probed anew.
void LibraryProber::State::take_over(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto file = file_of_pin(name);
    if (file && name.ends_with(kWhole)) files.insert(*file);
  }
  for (const std::string& name : names) {
    const auto file = file_of_pin(name);
    if (!file || files.contains(*file)) {
      pin_names.push_back(name);
      continue;
    }
    pins.drop(name);
    half.insert(*file);
  }
}

// How many functions have their probes now; 0: at least one has not.
std::size_t LibraryProber::State::probe_offsets(int fd, const std::vector<std::uint64_t>& offsets,
                                                const FileKey& file) {
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < kTargets.size(); ++i) {
    const auto [called, returned] = programs[i];
    if (offsets[i] != 0 && called >= 0 && returned >= 0) wanted.push_back(i);
  }
  for (const std::size_t i : wanted) {
    if (is_stopped) return 0;
    // Several processes in a row may use the same pins.
    const std::string pin = pin_name(file) + "-" + std::to_string(::getpid()) + "-";
    const std::string mark(i == wanted.back() ? kWhole : "");
    // The return first: a call that was not seen is then counted, not one that never returns.
    if (!attach(programs[i].second, fd, offsets[i], true, pin + std::to_string(pin_names.size())) ||
        !attach(programs[i].first, fd, offsets[i], false,
                pin + std::to_string(pin_names.size()) + mark)) {
      return 0;
    }
  }
  return wanted.size();
}

// True: nothing is left to do for this file.
bool LibraryProber::State::probe_file(int fd, LibraryName name, std::uint32_t slot) {
  const std::optional<FileKey> key = key_of(fd);
  if (!key) return false;
  if (files.contains(*key)) return true;
  if (!name.is_libc && !tls_capture) return true;
  if (!uprobes || files.size() >= kMaxFiles || files_of_job[slot] >= kMaxFilesOfJob) return false;
  std::array<std::string_view, kTargets.size()> symbols;
  for (std::size_t i = 0; i < kTargets.size(); ++i) symbols[i] = kTargets[i].symbol;
  const Result<std::vector<std::uint64_t>> offsets = find_elf_functions(fd, symbols);
  if (!offsets) return false;
  files.insert(*key);
  ++files_of_job[slot];
  if (probe_offsets(fd, *offsets, *key) == 0) return false;
  half.erase(*key);
  return true;
}

// Files that only a container sees: a process that has them mapped already gives no sample of it.
// What no process has any more is nobody's loss.
void LibraryProber::State::probe_half() {
  if (half.empty()) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (half.empty() || is_stopped) return;
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for_each_library(pid, [this](int fd, LibraryName name) {
      const std::optional<FileKey> key = key_of(fd);
      if (!key || !half.contains(*key)) return;
      if (!probe_file(fd, name, 0)) ++not_probed[0];
      half.erase(*key);
    });
  }
}

bool LibraryProber::State::scan_process(std::uint32_t pid, std::uint32_t slot) {
  bool is_done = false;
  for_each_library(std::to_string(pid), [&](int fd, LibraryName name) {
    if (probe_file(fd, name, slot)) {
      is_done = true;
    } else {
      ++not_probed[slot];
    }
  });
  return is_done;
}

// The process is gone: its file may be where we see it too.
bool LibraryProber::State::probe_path(const Request& request) {
  const UniqueFd fd(::open(request.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) return false;
  const auto device = static_cast<std::uint32_t>(major(status.st_dev) << 20 | minor(status.st_dev));
  if (status.st_ino != request.inode || device != request.device) return false;
  return probe_file(fd.get(), library_name(request.path), request.slot);
}

void LibraryProber::State::look_at(const Request& request) {
  const std::uint64_t before = not_probed[request.slot];
  const bool is_done = scan_process(request.pid, request.slot);
  if (!request.is_library || is_done || not_probed[request.slot] != before) return;
  if (!library_name(request.path).is_libc && !tls_capture) return;
  if (!probe_path(request)) ++not_probed[request.slot];
}

void LibraryProber::State::run() {
  probe_half();
  while (std::optional<Request> request = queue.pop()) {
    if (!is_stopped) look_at(*request);
    if (request->is_library) --pending[request->slot];
    queue.done(1);
  }
  drop_pins();
  const std::lock_guard lock(mutex);
  has_ended = true;
  ended.notify_all();
}

LibraryProber::LibraryProber(const ProgramSet& programs, bool tls_capture, const PinFolder* pins)
    : programs_(programs), pins_(pins), tls_capture_(tls_capture) {}

LibraryProber::~LibraryProber() { stop(); }

Result<> LibraryProber::start() {
  stop();
  state_ = std::make_shared<State>(tls_capture_);
  if (pins_ != nullptr) {
    CICD_ASSIGN(UniqueFd folder, pins_->open_kind("probes"));
    state_->pins = LinkPins(std::move(folder));
    state_->take_over(pins_->names("probes"));
  }
  seen_programs_ = {};
  for (std::size_t i = 0; i < kTargets.size(); ++i) {
    state_->programs[i] = {programs_.program_fd(kTargets[i].called),
                           programs_.program_fd(kTargets[i].returned)};
  }
  Result<Uprobes> uprobes = Uprobes::open();
  if (!uprobes) return std::unexpected(std::move(uprobes).error());
  state_->uprobes = *uprobes;
  for (const char* path : kHostLibraries) {
    const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd) continue;
    if (!state_->probe_file(fd.get(), library_name(path), 0)) ++state_->not_probed[0];
  }
  return {};
}

void LibraryProber::stop() {
  if (!state_) return;
  const std::shared_ptr<State> state = std::move(state_);
  state_.reset();
  if (!is_threaded_) {
    state->drop_pins();
    return;
  }
  is_threaded_ = false;
  state->is_stopped = true;
  state->queue.close();
  std::unique_lock lock(state->mutex);
  state->ended.wait_for(lock, kStopPatience, [&] { return state->has_ended; });
}

void LibraryProber::start_thread() {
  is_threaded_ = true;
  // An earlier process with these programs may have died with its probes.
  const int known = programs_.map_fd("known_libraries");
  std::array<std::uint64_t, 2> key{};
  while (::bpf_map_get_next_key(known, nullptr, key.data()) == 0 &&
         ::bpf_map_delete_elem(known, key.data()) == 0) {
  }
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([state = state_] { state->run(); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LibraryProber::note(SampleBytes sample) {
  cicd_sample_header header{};
  if (!state_ || sample.size() < sizeof(header)) return;
  std::memcpy(&header, sample.data(), sizeof(header));
  if (header.slot >= CICD_SLOTS_MAX) return;
  if (header.type == CICD_SAMPLE_EXEC) note_exec(sample);
  if (header.type == CICD_SAMPLE_LIBRARY) note_library(sample);
}

void LibraryProber::note_exec(SampleBytes sample) {
  cicd_sample_exec exec{};
  if (sample.size() < sizeof(exec)) return;
  std::memcpy(&exec, sample.data(), sizeof(exec));
  // The number of an inode is used again when its file is gone: the path counts too, and after a
  // while (2^34 ns) a program is looked at again.
  const std::string_view rest(reinterpret_cast<const char*>(sample.data()) + sizeof(exec),
                              sample.size() - sizeof(exec));
  const std::uint64_t file = exec.inode ^ (std::uint64_t{exec.device} << 32);
  const std::uint64_t path = std::hash<std::string_view>()(rest.substr(0, exec.exec_path.length));
  const std::uint64_t program = (file ^ path ^ exec.header.time_ns >> 34) * 0x9e3779b97f4a7c15u;
  std::uint64_t& seen = seen_programs_[program >> 52];
  if (seen == program) return;
  seen = program;
  if (!is_threaded_) start_thread();
  state_->queue.push({.pid = exec.header.pid, .slot = exec.header.slot}, 1);
}

void LibraryProber::note_library(SampleBytes sample) {
  cicd_sample_library library{};
  if (sample.size() < sizeof(library)) return;
  std::memcpy(&library, sample.data(), sizeof(library));
  if (sample.size() - sizeof(library) < library.path.length) return;
  if (!is_threaded_) start_thread();
  const auto* text = reinterpret_cast<const char*>(sample.data() + sizeof(library));
  const std::uint32_t slot = library.header.slot;
  ++state_->pending[slot];
  Request request{.pid = library.header.pid,
                  .slot = slot,
                  .is_library = true,
                  .path = joined({text, library.path.length}),
                  .inode = library.inode,
                  .device = library.device};
  if (!state_->queue.push(std::move(request), 1)) {
    --state_->pending[slot];
    ++state_->not_probed[slot];
  }
}

void LibraryProber::forget(std::uint32_t slot) {
  if (!state_ || slot >= CICD_SLOTS_MAX) return;
  state_->not_probed[slot] = 0;
  state_->files_of_job[slot] = 0;
}

std::uint64_t LibraryProber::not_probed(std::uint32_t slot) const {
  if (!state_ || slot >= CICD_SLOTS_MAX) return 0;
  return state_->not_probed[slot] + state_->pending[slot];
}

}  // namespace cicd
