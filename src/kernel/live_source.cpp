// SPDX-License-Identifier: Apache-2.0
#include "kernel/live_source.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <bitset>
#include <cerrno>
#include <map>
#include <set>

#include "kernel/attach.h"
#include "kernel/btf_file.h"
#include "kernel/hook_catalogue.h"
#include "kernel/job_map.h"
#include "kernel/kernel_losses.h"
#include "kernel/library_prober.h"
#include "kernel/link_pins.h"
#include "kernel/preconditions.h"
#include "kernel/program_set.h"
#include "kernel/ring_consumer.h"
#include "kernel/self_check.h"
#include "wire/loss.h"
#include "wire/shared.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The kernel wakes a paced consumer when a ring is filled to one part in kWakeFraction.
constexpr std::size_t kWakeFraction = 4;

constexpr std::size_t kControlBytesPerCpu = std::size_t{2} << 20;
constexpr std::size_t kBulkBytesPerCpu = std::size_t{4} << 20;
constexpr std::size_t kSmallestRing = std::size_t{256} << 10;
constexpr std::size_t kLargestControl = std::size_t{32} << 20;
constexpr std::size_t kLargestBulk = std::size_t{64} << 20;
constexpr std::size_t kMemoryFraction = 128;  // a ring takes at most this part of the memory

std::size_t ring_bytes(std::uint64_t wanted, std::size_t per_cpu, std::size_t largest) {
  if (wanted != 0) return wanted;
  struct sysinfo info{};
  ::sysinfo(&info);
  const std::size_t memory = std::size_t{info.totalram} * info.mem_unit;
  const auto cpus = static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  const std::size_t size = std::min({per_cpu * cpus, largest, memory / kMemoryFraction});
  return std::bit_floor(std::max(size, kSmallestRing));
}

Result<> check_ring_size(std::uint64_t bytes, const char* name) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (bytes == 0 || (std::has_single_bit(bytes) && bytes >= page && bytes <= (1u << 30))) return {};
  return fail(ErrorCode::kUsage,
              std::string(name) + " ring of " + std::to_string(bytes) + " bytes is not possible",
              "give a power of two from 4096 to 1073741824");
}

// Several programs can share a tracepoint. bpffs allows no dot in a name.
std::string pin_name(const HookInfo& hook, std::string_view tracepoint) {
  return std::string(hook.program) + "-" + std::string(tracepoint);
}

std::int64_t now_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

class SharedMemory {
 public:
  static Result<SharedMemory> map(int map_fd) {
    SharedMemory memory;
    memory.bytes_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* at = ::mmap(nullptr, memory.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (at == MAP_FAILED) return fail_errno(errno, "map the memory shared with the kernel");
    memory.shared_ = static_cast<cicd_shared*>(at);
    return memory;
  }
  SharedMemory(SharedMemory&& other) noexcept
      : shared_(std::exchange(other.shared_, nullptr)), bytes_(other.bytes_) {}
  SharedMemory& operator=(SharedMemory&&) = delete;
  ~SharedMemory() {
    if (shared_ != nullptr) ::munmap(shared_, bytes_);
  }
  cicd_shared* get() const { return shared_; }

 private:
  SharedMemory() = default;
  cicd_shared* shared_ = nullptr;
  std::size_t bytes_ = 0;
};

class KernelSource final : public LiveSource {
 public:
  KernelSource(ProgramSet programs, RingConsumer rings, SharedMemory shared, UniqueFd cgroup_root,
               const LiveOptions& options)
      : programs_(std::move(programs)),
        rings_(std::move(rings)),
        shared_(std::move(shared)),
        cgroup_root_(std::move(cgroup_root)),
        prober_(programs_, options.tls_capture),
        tls_capture_(options.tls_capture),
        strict_(options.strict),
        pace_(options.pace) {}
  ~KernelSource() override = default;

  Result<> watch_rings();
  void attach_cheap_hooks();
  // Before the job hooks, after the others.
  void choose_backends(const std::map<std::string, std::string>& wanted);
  void set_wake_thresholds(std::size_t control_bytes, std::size_t bulk_bytes);
  Result<> remember_opens();

  Result<std::size_t> poll(milliseconds max_wait, SampleSink sink) override;
  void commit() override { rings_.commit(); }
  bool at_end() const override { return false; }
  Result<LossReport> losses(std::uint32_t slot) override;
  std::vector<Coverage> coverage() const override;
  ClockInfo clock() const override { return clock_; }

  Result<void> track_cgroup(std::uint64_t cgroup_id, std::uint32_t slot) override;
  void untrack_slot(std::uint32_t slot) override;
  std::vector<TrackedProcess> processes(std::uint32_t slot) const override {
    return members_of(programs_, slot);
  }
  Result<void> start_job_hooks() override;
  void stop_job_hooks() override;
  Result<void> self_check(const std::string& cgroup_dir) override;
  RingPositions positions() const override { return rings_.positions(); }
  void set_positions(const RingPositions& positions) override { rings_.set_positions(positions); }

 private:
  Result<> attach(const HookInfo& hook);
  Result<> attach_at_job_start(const HookInfo& hook, const Result<SyscallTracepoints>& tracepoints);
  bool is_refused(const EventBackend& backend) const;
  bool is_absent(const EventBackend& backend) const;
  void append_errors(const EventBackend& backend, std::string& text) const;
  std::string limits_of(const EventBackend& backend) const;
  Result<> attach_syscalls(const HookInfo& hook, const SyscallTracepoints& tracepoints);
  void add_tls(Coverage& coverage) const;
  void sleep(cicd_consumer_state state, milliseconds time);

  ProgramSet programs_;
  RingConsumer rings_;
  SharedMemory shared_;
  UniqueFd cgroup_root_;
  UniqueFd epoll_;
  LinkPins pins_;
  LibraryProber prober_;  // after programs_, which it uses
  bool tls_capture_;
  std::map<std::string, std::string, std::less<>> attach_errors_;  // by program
  std::array<const EventBackend*, kEventTypeCount> backends_{};    // taken; by event type
  std::set<std::string_view> unused_;                              // programs of none of them
  std::bitset<CICD_SLOTS_MAX> used_slots_;
  bool job_hooks_ = false;
  const bool strict_;
  const milliseconds pace_;
  ClockInfo clock_{now_ns(CLOCK_REALTIME) - now_ns(CLOCK_BOOTTIME)};
  steady_clock::time_point last_drain_{};
};

Result<> KernelSource::watch_rings() {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno(errno, "epoll_create1");
  for (const char* ring : {"control_ring", "bulk_ring"}) {
    // Edge-triggered: samples that came without a wake-up do not end a wait.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, programs_.map_fd(ring), &event) != 0) {
      return fail_errno(errno, std::string("watch ") + ring);
    }
  }
  return {};
}

void KernelSource::set_wake_thresholds(std::size_t control_bytes, std::size_t bulk_bytes) {
  shared_.get()->control_wake_bytes = control_bytes / kWakeFraction;
  shared_.get()->bulk_wake_bytes = bulk_bytes / kWakeFraction;
}

Result<> KernelSource::remember_opens() {
  std::uint64_t secret = 0;
  if (::getrandom(&secret, sizeof(secret), 0) != sizeof(secret)) {
    return fail_errno(errno, "getrandom");
  }
  shared_.get()->open_secret = secret | 1;  // 0 would be: none
  return {};
}

Result<> KernelSource::attach(const HookInfo& hook) {
  const int program = programs_.program_fd(hook.program);
  if (program < 0) {
    return fail(ErrorCode::kUnsupported, programs_.program_error(hook.program));
  }
  Result<UniqueFd> link = hook.attach == AttachKind::kCgroup
                              ? attach_cgroup(program, cgroup_root_.get(), hook.cgroup_type)
                              : attach_tracing(program);
  if (!link) return std::unexpected(std::move(link).error());
  pins_.keep(hook.program, std::move(*link));
  return {};
}

void KernelSource::attach_cheap_hooks() {
  for (const HookInfo& hook : hooks()) {
    if (programs_.is_absent(hook.program) || hook.attach == AttachKind::kStrict) continue;
    if (hook.attach == AttachKind::kSyscall || hook.attach == AttachKind::kUprobe) {
      const bool is_wanted = hook.family != HookFamily::kTls || tls_capture_;
      if (is_wanted && programs_.program_fd(hook.program) < 0) {
        attach_errors_[std::string(hook.program)] = programs_.program_error(hook.program);
      }
    } else if (Result<> attached = attach(hook); !attached) {
      attach_errors_[std::string(hook.program)] = attached.error().text;
    }
  }
}

bool KernelSource::is_absent(const EventBackend& backend) const {
  return !backend.programs.empty() &&
         std::ranges::all_of(backend.programs, [&](std::string_view program) {
           return programs_.is_absent(program);
         });
}

bool KernelSource::is_refused(const EventBackend& backend) const {
  return std::ranges::any_of(
      backend.programs, [&](std::string_view program) { return attach_errors_.contains(program); });
}

void KernelSource::choose_backends(const std::map<std::string, std::string>& wanted) {
  std::set<std::string_view> used;
  for (const EventBackend& best : event_backends()) {
    const auto choice = wanted.find(std::string(info_of(best.type).name));
    const auto is_other = [&](const EventBackend& backend) {
      return choice == wanted.end() ? is_refused(backend) : backend.backend != choice->second;
    };
    const EventBackend* taken = &best;
    while (taken->fallback != nullptr && is_other(*taken)) taken = taken->fallback;
    backends_[static_cast<std::size_t>(best.type)] = taken;
    used.insert(taken->programs.begin(), taken->programs.end());
  }
  for (const EventBackend& best : event_backends()) {
    for (const EventBackend* backend = &best; backend != nullptr; backend = backend->fallback) {
      for (const std::string_view program : backend->programs) {
        if (used.contains(program)) continue;
        unused_.insert(program);
        pins_.drop(program);
        programs_.drop(program);
      }
    }
  }
}

Result<> KernelSource::attach_syscalls(const HookInfo& hook,
                                       const SyscallTracepoints& tracepoints) {
  const int program = programs_.program_fd(hook.program);
  if (program < 0) return fail(ErrorCode::kUnsupported, programs_.program_error(hook.program));
  bool any = false;
  for (const std::string_view name : hook.tracepoints) {
    Result<UniqueFd> link = tracepoints.attach(name, program);
    if (link) {
      pins_.keep(pin_name(hook, name), std::move(*link));
      any = true;
    } else if (link.error().code != ErrorCode::kNotFound) {
      return std::unexpected(std::move(link).error());
    }
  }
  if (!any) return fail(ErrorCode::kUnsupported, "this kernel has no syscall tracepoints");
  return {};
}

Result<> KernelSource::attach_at_job_start(const HookInfo& hook,
                                           const Result<SyscallTracepoints>& tracepoints) {
  if (programs_.is_absent(hook.program)) return {};
  if (hook.attach == AttachKind::kStrict) return strict_ ? attach(hook) : Result<>();
  if (hook.attach != AttachKind::kSyscall) return {};
  if (!tracepoints) return std::unexpected(tracepoints.error());
  return attach_syscalls(hook, *tracepoints);
}

Result<void> KernelSource::start_job_hooks() {
  if (job_hooks_) return {};
  job_hooks_ = true;
  Result<SyscallTracepoints> tracepoints = SyscallTracepoints::open();
  for (const HookInfo& hook : hooks()) {
    if (unused_.contains(hook.program)) continue;
    const Result<> attached = attach_at_job_start(hook, tracepoints);
    if (!attached) attach_errors_[std::string(hook.program)] = attached.error().text;
  }
  if (Result<> started = prober_.start(); !started) {
    for (const HookInfo& hook : hooks()) {
      const bool is_wanted = hook.family != HookFamily::kTls || tls_capture_;
      if (hook.attach != AttachKind::kUprobe || !is_wanted) continue;
      attach_errors_[std::string(hook.program)] = started.error().text;
    }
  }
  return {};
}

Result<LossReport> KernelSource::losses(std::uint32_t slot) {
  Result<LossReport> report = read_kernel_losses(programs_, slot);
  if (!report) return report;
  // Libraries of the host are those of every job.
  const std::uint64_t host_libraries = slot == 0 ? 0 : prober_.not_probed(0);
  const std::uint64_t libraries = prober_.not_probed(slot) + host_libraries;
  if (libraries > 0) report->entries.push_back({"library", "not_probed", libraries});
  return report;
}

void KernelSource::stop_job_hooks() {
  for (const HookInfo& hook : hooks()) {
    for (const std::string_view name : hook.tracepoints) pins_.drop(pin_name(hook, name));
    if (hook.attach == AttachKind::kStrict) pins_.drop(hook.program);
  }
  prober_.stop();
  job_hooks_ = false;
}

Result<void> KernelSource::self_check(const std::string& cgroup_dir) {
  const bool were_attached = job_hooks_;
  if (Result<> started = start_job_hooks(); !started) return started;
  Result<> outcome = run_self_check(*this, cgroup_dir);
  if (!were_attached) stop_job_hooks();
  return outcome;
}

void KernelSource::sleep(cicd_consumer_state state, milliseconds time) {
  std::uint32_t* consumer = &shared_.get()->consumer;
  __atomic_store_n(consumer, state, __ATOMIC_SEQ_CST);
  epoll_event events[2];
  // A sample that came between the last look and the store above came without a wake-up.
  if (state != CICD_CONSUMER_IDLE || !rings_.has_data()) {
    ::epoll_wait(epoll_.get(), events, 2, static_cast<int>(time.count()));
  }
  __atomic_store_n(consumer, CICD_CONSUMER_AWAKE, __ATOMIC_SEQ_CST);
}

Result<std::size_t> KernelSource::poll(milliseconds max_wait, SampleSink out) {
  const auto sink = [&](SampleBytes sample) {
    prober_.note(sample);
    out(sample);
  };
  const steady_clock::time_point begin = steady_clock::now();
  const auto since_last = std::chrono::duration_cast<milliseconds>(begin - last_drain_);
  if (max_wait.count() > 0 && since_last < pace_) {
    sleep(CICD_CONSUMER_PACED, std::min(pace_ - since_last, max_wait));
  }
  std::size_t count = rings_.drain(sink);
  if (count == 0) {
    const auto spent = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
    if (spent < max_wait) {
      sleep(CICD_CONSUMER_IDLE, max_wait - spent);
      count = rings_.drain(sink);
    }
  }
  if (count != 0) last_drain_ = steady_clock::now();
  return count;
}

Result<void> KernelSource::track_cgroup(std::uint64_t cgroup_id, std::uint32_t slot) {
  if (slot == 0 || slot >= CICD_SLOTS_MAX) {
    return fail(ErrorCode::kInternal, "job slot " + std::to_string(slot) + " does not exist");
  }
  if (!used_slots_.test(slot)) {
    clear_kernel_losses(programs_, slot);
    prober_.forget(slot);
  }
  used_slots_.set(slot);
  return put_cgroup(programs_, cgroup_root_.get(), cgroup_id, slot);
}

void KernelSource::untrack_slot(std::uint32_t slot) {
  if (slot == 0 || slot >= CICD_SLOTS_MAX) return;
  remove_slot(programs_, shared_.get(), slot);
  used_slots_.reset(slot);
}

std::string KernelSource::limits_of(const EventBackend& backend) const {
  if (!strict_ || backend.strict_limits.empty()) return std::string(backend.limits);
  const auto error = attach_errors_.find(kStrictProgram);
  if (error == attach_errors_.end()) return std::string(backend.strict_limits);
  return std::string(backend.limits) + " --strict is not in force: " + error->second;
}

// What --tls-capture adds, and what is missing of it.
void KernelSource::add_tls(Coverage& coverage) const {
  for (const HookInfo& hook : hooks()) {
    if (hook.family != HookFamily::kTls) continue;
    const auto error = attach_errors_.find(hook.program);
    if (error == attach_errors_.end()) continue;
    coverage.reason += (coverage.reason.empty() ? "" : "; ") + error->first + ": " + error->second;
    return;
  }
  coverage.backend = coverage.available ? coverage.backend + ", uprobe" : "uprobe";
  coverage.available = true;
}

void KernelSource::append_errors(const EventBackend& backend, std::string& text) const {
  for (const std::string_view program : backend.programs) {
    const auto error = attach_errors_.find(program);
    if (error == attach_errors_.end()) continue;
    if (!text.empty()) text += "; ";
    text += std::string(program) + ": " + error->second;
  }
}

std::vector<Coverage> KernelSource::coverage() const {
  std::vector<Coverage> out;
  for (const EventBackend& best : event_backends()) {
    const EventBackend& taken = *backends_[static_cast<std::size_t>(best.type)];
    Coverage coverage;
    coverage.type = best.type;
    coverage.available = taken.backend != kNoBackend && !is_refused(taken);
    if (taken.backend == kNoBackend) coverage.reason = "this version has no hook for it";
    // Those that were tried before, and this one when it failed as well.
    for (const EventBackend* backend = &best; backend != nullptr; backend = backend->fallback) {
      append_errors(*backend, coverage.reason);
      if (backend == &taken) break;
    }
    const bool is_none_there = is_absent(taken);
    const bool is_needed = taken.facility == nullptr || ::access(taken.facility, F_OK) == 0;
    if (is_none_there && is_needed) {
      coverage.available = false;
      coverage.reason = "this kernel has no tracepoint for it";
    }
    coverage.backend = coverage.available ? taken.backend : kNoBackend;
    if (is_none_there && !is_needed) coverage.backend = kNotInThisKernel;
    if (coverage.available && !is_none_there) coverage.limits = limits_of(taken);
    if (best.type == EventType::kHttpRequest && tls_capture_) add_tls(coverage);
    // Not its backend, but where some of its names come from.
    const auto resolver = attach_errors_.find("getaddrinfo_called");
    if (best.type == EventType::kNetworkConnect && resolver != attach_errors_.end()) {
      coverage.reason += (coverage.reason.empty() ? "" : "; ") +
                         ("names of the C library are not seen: " + resolver->second);
    }
    out.push_back(std::move(coverage));
  }
  return out;
}

Result<> check_backends(const std::map<std::string, std::string>& wanted) {
  for (const auto& [type, name] : wanted) {
    bool is_known = false;
    for (const EventBackend& best : event_backends()) {
      if (info_of(best.type).name != type) continue;
      const EventBackend* backend = &best;
      while (backend != nullptr && backend->backend != name) backend = backend->fallback;
      is_known = backend != nullptr;
    }
    if (!is_known) {
      return fail(ErrorCode::kUsage, "there is no backend '" + name + "' for " + type,
                  "`cicd-sensor doctor` names the backends in use");
    }
  }
  return {};
}

}  // namespace

namespace {

Result<std::unique_ptr<LiveSource>> open_with_btf_file(const LiveOptions& options) {
  if (Result<> host = check_preconditions(options.btf_path); !host) {
    return std::unexpected(std::move(host).error());
  }
  LiveOptions with_own = options;
  with_own.btf_path.clear();
  Result<std::unique_ptr<LiveSource>> source;
  const Result<> placed =
      with_btf_file(options.btf_path, [&] { source = LiveSource::open(with_own); });
  if (!placed) return std::unexpected(placed.error());
  if (source) return source;
  Error error = std::move(source).error().with_context("with the BTF of " + options.btf_path);
  error.hint = "check that this is the BTF file of the running kernel, or leave the option out";
  return std::unexpected(std::move(error));
}

}  // namespace

Result<std::unique_ptr<LiveSource>> LiveSource::open(const LiveOptions& options) {
  if (!options.btf_path.empty()) return open_with_btf_file(options);
  if (Result<> size = check_ring_size(options.control_ring_bytes, "control"); !size) {
    return std::unexpected(std::move(size).error());
  }
  if (Result<> size = check_ring_size(options.bulk_ring_bytes, "bulk"); !size) {
    return std::unexpected(std::move(size).error());
  }
  if (Result<> known = check_backends(options.backends); !known) {
    return std::unexpected(std::move(known).error());
  }
  if (Result<> host = check_preconditions(options.btf_path); !host) {
    return std::unexpected(std::move(host).error());
  }
  Result<UniqueFd> root = open_cgroup_root();
  if (!root) return std::unexpected(std::move(root).error());

  const std::size_t control_bytes =
      ring_bytes(options.control_ring_bytes, kControlBytesPerCpu, kLargestControl);
  const std::size_t bulk_bytes =
      ring_bytes(options.bulk_ring_bytes, kBulkBytesPerCpu, kLargestBulk);
  Result<ProgramSet> programs = ProgramSet::load(
      {control_bytes, bulk_bytes, options.btf_path, options.strict, options.tls_capture});
  if (!programs) return std::unexpected(std::move(programs).error());
  Result<SharedMemory> shared = SharedMemory::map(programs->map_fd("shared"));
  if (!shared) return std::unexpected(std::move(shared).error());
  Result<MappedRing> control = MappedRing::map(programs->map_fd("control_ring"), control_bytes);
  if (!control) return std::unexpected(std::move(control).error());
  Result<MappedRing> bulk = MappedRing::map(programs->map_fd("bulk_ring"), bulk_bytes);
  if (!bulk) return std::unexpected(std::move(bulk).error());

  auto source = std::make_unique<KernelSource>(std::move(*programs),
                                               RingConsumer(std::move(*control), std::move(*bulk)),
                                               std::move(*shared), std::move(*root), options);
  source->set_wake_thresholds(control_bytes, bulk_bytes);
  if (Result<> remembered = options.dedup ? source->remember_opens() : Result<>(); !remembered) {
    return std::unexpected(std::move(remembered).error());
  }
  if (Result<> watched = source->watch_rings(); !watched) {
    return std::unexpected(std::move(watched).error());
  }
  source->attach_cheap_hooks();
  source->choose_backends(options.backends);
  return source;
}

}  // namespace cicd
