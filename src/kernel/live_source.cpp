// SPDX-License-Identifier: Apache-2.0
#include "kernel/live_source.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <bitset>
#include <cerrno>
#include <optional>

#include "base/time_format.h"
#include "base/version.h"
#include "kernel/btf_file.h"
#include "kernel/egress_maps.h"
#include "kernel/hook_set.h"
#include "kernel/hook_state.h"
#include "kernel/job_map.h"
#include "kernel/kernel_losses.h"
#include "kernel/library_prober.h"
#include "kernel/pin_folder.h"
#include "kernel/preconditions.h"
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

constexpr std::uint32_t kOtherDescriptor = 1;  // what epoll says of those of wake_also()

constexpr std::size_t kControlBytesPerCpu = std::size_t{4} << 20;
constexpr std::size_t kBulkBytesPerCpu = std::size_t{4} << 20;
constexpr std::size_t kSmallestRing = std::size_t{256} << 10;
constexpr std::size_t kLargestControl = std::size_t{64} << 20;
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

// Where the kernel side is to outlive this process, and what is kept there beside it.
struct Pins {
  std::unique_ptr<PinFolder> folder;  // null: nowhere
  HookState state;
  std::string error;
};

std::string identity_of(const LiveOptions& options) {
  std::string text = std::string(version()) + " " + ProgramSet::object_id();
  for (const std::uint64_t number :
       {options.control_ring_bytes, options.bulk_ring_bytes, std::uint64_t{options.slots},
        std::uint64_t{options.strict}, std::uint64_t{options.dedup},
        std::uint64_t{options.tls_capture}}) {
    text += " " + std::to_string(number);
  }
  text += " " + options.backend_kind;
  for (const auto& variable : options.variables) text += " " + std::string(variable.name);
  for (const auto& [type, backend] : options.backends) text += " " + type + "=" + backend;
  return text;
}

// With the state of an earlier process only when it fits.
std::unique_ptr<Pins> open_pins(const LiveOptions& options) {
  auto pins = std::make_unique<Pins>();
  if (options.pin_dir.empty()) return pins;
  Result<std::unique_ptr<PinFolder>> folder = PinFolder::open(options.pin_dir);
  if (!folder) {
    pins->error = folder.error().text;
    return pins;
  }
  pins->folder = std::move(*folder);
  const std::string identity = identity_of(options);
  std::optional<HookState> earlier = parse_hook_state(pins->folder->read_state());
  if (earlier && earlier->identity == identity) {
    pins->state = std::move(*earlier);
  } else {
    pins->folder->clear();
    pins->state.identity = identity;
  }
  return pins;
}

// Of a ring or of what is the same for all; 0 when it cannot be told.
std::size_t entries_of(int map_fd) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  return ::bpf_obj_get_info_by_fd(map_fd, &info, &size) == 0 ? info.max_entries : 0;
}

class KernelSource final : public LiveSource {
 public:
  KernelSource(std::unique_ptr<Pins> pins, std::unique_ptr<HookSet> hooks, RingConsumer rings,
               SharedMemory shared, const LiveOptions& options)
      : pins_(std::move(pins)),
        hooks_(std::move(hooks)),
        programs_(hooks_->programs()),
        rings_(std::move(rings)),
        shared_(std::move(shared)),
        egress_(programs_, shared_.get(), options.slots),
        prober_(programs_, options.tls_capture, pins_->folder.get()),
        slots_(options.slots),
        pace_(options.pace),
        most_samples_(options.most_samples) {
    if (hooks_->is_adopted()) clock_.realtime_offset_ns = pins_->state.realtime_offset_ns;
    pins_->state.realtime_offset_ns = clock_.realtime_offset_ns;
    save_pins();
  }
  ~KernelSource() override = default;

  Result<> watch_rings();
  void set_wake_thresholds(std::size_t control_bytes, std::size_t bulk_bytes);
  Result<> remember_opens();
  cicd_shared* shared() const { return shared_.get(); }

  Result<void> wake_also(int fd) override;
  Result<std::size_t> poll(milliseconds max_wait, SampleSink sink) override;
  void commit() override { rings_.commit(); }
  bool at_end() const override { return false; }
  Result<LossReport> losses(std::uint32_t slot) override;
  std::vector<Coverage> coverage() const override { return hooks_->coverage(); }
  ClockInfo clock() const override { return clock_; }

  Result<void> claim_slot(std::uint32_t slot) override;
  Result<void> track_cgroup(std::uint64_t cgroup_id, std::uint32_t slot) override;
  void stop_tracking(std::uint32_t slot) override;
  void forget_slot(std::uint32_t slot) override { egress_.clear(slot); }
  Result<void> stage_cgroup(const std::string& basename, std::uint32_t slot) override {
    return put_staged(programs_, shared_.get(), basename, slot);
  }
  Result<std::optional<EarlierCgroup>> adopt_earlier(const std::string& basename,
                                                     std::uint32_t slot) override;
  Result<void> give_builds(std::uint64_t parent_id, bool are_among_others,
                           std::uint32_t slot) override {
    return put_builds(programs_, parent_id, are_among_others, slot);
  }
  std::vector<TrackedProcess> processes(std::uint32_t slot) const override {
    return members_of(programs_, slot);
  }
  std::vector<TrackedCgroup> cgroups(std::uint32_t slot) const override {
    return cgroups_of(programs_, hooks_->cgroup_root(), slot);
  }
  Result<void> report_opens_anew() override {
    return shared_.get()->open_secret == 0 ? Result<void>{} : remember_opens();
  }
  std::uint32_t slot_of(std::uint32_t pid) const override {
    return slot_of_process(programs_, pid);
  }
  Result<EgressControl*> egress() override;
  Result<void> start_job_hooks() override;
  void stop_job_hooks() override;
  Result<void> self_check(const std::string& cgroup_dir) override;
  RingPositions positions() const override { return rings_.positions(); }
  void set_positions(const RingPositions& positions) override { rings_.set_positions(positions); }
  bool is_before(SampleBytes sample, const RingPositions& positions) const override {
    return rings_.is_before(sample, positions);
  }
  PinReport pins() const override {
    return {hooks_->is_adopted(), hooks_->attached_anew(), pins_->error};
  }
  void keep_slots(std::span<const std::uint32_t> slots) override;

 private:
  bool sleep(cicd_consumer_state state, milliseconds time);
  void save_pins();

  std::unique_ptr<Pins> pins_;  // goes last
  std::unique_ptr<HookSet> hooks_;
  const ProgramSet& programs_;
  RingConsumer rings_;
  SharedMemory shared_;
  UniqueFd epoll_;
  EgressMaps egress_;
  LibraryProber prober_;  // after programs_, which it uses
  std::bitset<CICD_SLOTS_MAX> used_slots_;
  bool job_hooks_ = false;
  const std::uint32_t slots_;
  const milliseconds pace_;
  const std::size_t most_samples_;
  ClockInfo clock_{static_cast<std::int64_t>(realtime_now_ns() - boottime_now_ns())};
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

// Edge-triggered: what is not read, and a peer that has gone, end one wait and not all of them.
Result<void> KernelSource::wake_also(int fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u32 = kOtherDescriptor;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return fail_errno(errno, "watch another descriptor");
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

Result<void> KernelSource::start_job_hooks() {
  if (job_hooks_) return {};
  job_hooks_ = true;
  shared_.get()->is_egress_on = 1;
  hooks_->attach_for_job();
  save_pins();
  if (Result<> started = prober_.start(); !started) hooks_->note_no_probes(started.error().text);
  return {};
}

void KernelSource::save_pins() {
  if (!pins_->folder || !pins_->error.empty()) return;
  if (const Result<> saved = hooks_->save(*pins_->folder, pins_->state); !saved) {
    pins_->error = saved.error().text;
    pins_->folder->forget();
  }
}

void KernelSource::keep_slots(std::span<const std::uint32_t> slots) {
  for (const std::uint32_t slot : slots) used_slots_.set(slot);
  for (const std::uint32_t slot : used_slots(programs_)) {
    if (slot < slots_ && !used_slots_.test(slot)) untrack_slot(slot);
  }
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

Result<std::optional<EarlierCgroup>> KernelSource::adopt_earlier(const std::string& basename,
                                                                 std::uint32_t slot) {
  auto earlier = take_earlier(programs_, shared_.get(), hooks_->cgroup_root(), basename);
  if (earlier && !earlier->path.empty()) CICD_TRY(track_cgroup(earlier->id, slot));
  return earlier;
}

void KernelSource::stop_job_hooks() {
  hooks_->detach_after_job();
  shared_.get()->is_egress_on = 0;
  prober_.stop();
  job_hooks_ = false;
}

Result<EgressControl*> KernelSource::egress() {
  CICD_TRY(hooks_->check_egress());
  return &egress_;
}

Result<void> KernelSource::self_check(const std::string& cgroup_dir) {
  const bool were_attached = job_hooks_;
  if (Result<> started = start_job_hooks(); !started) return started;
  Result<> outcome = run_self_check(*this, cgroup_dir);
  if (!were_attached) stop_job_hooks();
  return outcome;
}

// True when a descriptor of wake_also() ended it.
bool KernelSource::sleep(cicd_consumer_state state, milliseconds time) {
  std::uint32_t* consumer = &shared_.get()->consumer;
  __atomic_store_n(consumer, state, __ATOMIC_SEQ_CST);
  epoll_event events[3];
  // A sample that came between the last look and the store above came without a wake-up.
  int count = 0;
  if (state != CICD_CONSUMER_IDLE || !rings_.has_data()) {
    count = ::epoll_wait(epoll_.get(), events, 3, static_cast<int>(time.count()));
  }
  __atomic_store_n(consumer, CICD_CONSUMER_AWAKE, __ATOMIC_SEQ_CST);
  return std::any_of(events, events + std::max(count, 0),
                     [](const epoll_event& event) { return event.data.u32 == kOtherDescriptor; });
}

Result<std::size_t> KernelSource::poll(milliseconds max_wait, SampleSink out) {
  const auto sink = [&](SampleBytes sample) {
    prober_.note(sample);
    out(sample);
  };
  const steady_clock::time_point begin = steady_clock::now();
  const auto since_last = std::chrono::duration_cast<milliseconds>(begin - last_drain_);
  bool is_wanted = false;  // elsewhere: each such event ends one sleep, so there is none after it
  if (max_wait.count() > 0 && since_last < pace_) {
    is_wanted = sleep(CICD_CONSUMER_PACED, std::min(pace_ - since_last, max_wait));
  }
  std::size_t count = rings_.drain(sink, most_samples_);
  if (count == 0 && !is_wanted) {
    const auto spent = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
    if (spent < max_wait) {
      sleep(CICD_CONSUMER_IDLE, max_wait - spent);
      count = rings_.drain(sink, most_samples_);
    }
  }
  count += egress_.drain_told(sink);
  if (count >= most_samples_) {
    last_drain_ = {};  // there is more: no pause
  } else if (count != 0) {
    last_drain_ = steady_clock::now();
  }
  return count;
}

Result<void> KernelSource::claim_slot(std::uint32_t slot) {
  if (slot == 0 || slot >= slots_) {
    return fail(ErrorCode::kInternal, "job slot " + std::to_string(slot) + " does not exist");
  }
  if (!used_slots_.test(slot)) {
    clear_kernel_losses(programs_, slot);
    egress_.begin(slot);
    prober_.forget(slot);
  }
  used_slots_.set(slot);
  return {};
}

Result<void> KernelSource::track_cgroup(std::uint64_t cgroup_id, std::uint32_t slot) {
  CICD_TRY(claim_slot(slot));
  return put_cgroup(programs_, hooks_->cgroup_root(), cgroup_id, slot);
}

void KernelSource::stop_tracking(std::uint32_t slot) {
  if (slot == 0 || slot >= slots_) return;
  remove_slot(programs_, shared_.get(), slot);
  egress_.end(slot);
  used_slots_.reset(slot);
}

}  // namespace

namespace {

ProgramSetOptions program_options(const LiveOptions& options) {
  ProgramSetOptions programs;
  programs.control_ring_bytes =
      ring_bytes(options.control_ring_bytes, kControlBytesPerCpu, kLargestControl);
  programs.bulk_ring_bytes = ring_bytes(options.bulk_ring_bytes, kBulkBytesPerCpu, kLargestBulk);
  programs.slots = options.slots;
  programs.btf_path = options.btf_path;
  return programs;
}

// Those of an earlier process when there are some that fit, else new ones.
Result<std::unique_ptr<HookSet>> open_hooks(const LiveOptions& options, UniqueFd root, Pins& pins) {
  const ProgramSetOptions programs = program_options(options);
  if (pins.folder && !pins.state.backends.empty()) {
    UniqueFd same_root(::fcntl(root.get(), F_DUPFD_CLOEXEC, 3));
    auto adopted =
        HookSet::adopt(options, programs, std::move(same_root), *pins.folder, pins.state);
    if (adopted) return adopted;
    pins.error.clear();
    pins.state = {.identity = pins.state.identity};
    pins.folder->clear();
  }
  return HookSet::open(options, programs, std::move(root), pins.folder.get());
}

Result<std::unique_ptr<LiveSource>> make_source(const LiveOptions& options,
                                                std::unique_ptr<Pins> pins,
                                                std::unique_ptr<HookSet> hooks) {
  const ProgramSet& programs = hooks->programs();
  const std::size_t control_bytes = entries_of(programs.map_fd("control_ring"));
  const std::size_t bulk_bytes = entries_of(programs.map_fd("bulk_ring"));
  CICD_ASSIGN(SharedMemory shared, SharedMemory::map(programs.map_fd("shared")));
  CICD_ASSIGN(MappedRing control, MappedRing::map(programs.map_fd("control_ring"), control_bytes));
  CICD_ASSIGN(MappedRing bulk, MappedRing::map(programs.map_fd("bulk_ring"), bulk_bytes));
  const bool is_adopted = hooks->is_adopted();
  auto source = std::make_unique<KernelSource>(std::move(pins), std::move(hooks),
                                               RingConsumer(std::move(control), std::move(bulk)),
                                               std::move(shared), options);
  source->set_wake_thresholds(control_bytes, bulk_bytes);
  if (options.dedup && !is_adopted) CICD_TRY(source->remember_opens());
  if (!is_adopted) CICD_TRY(put_wanted(programs, source->shared(), options.variables));
  CICD_TRY(source->watch_rings());
  return source;
}

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
  if (Result<> host = check_preconditions(options.btf_path); !host) {
    return std::unexpected(std::move(host).error());
  }
  Result<UniqueFd> root = open_cgroup_root();
  if (!root) return std::unexpected(std::move(root).error());

  if (options.slots < CICD_SLOTS_DEFAULT || options.slots > CICD_SLOTS_MAX) {
    return fail(ErrorCode::kUsage, std::to_string(options.slots) + " slots are not possible",
                "give a number from " + std::to_string(CICD_SLOTS_DEFAULT) + " to " +
                    std::to_string(CICD_SLOTS_MAX));
  }
  std::unique_ptr<Pins> pins = open_pins(options);
  Result<std::unique_ptr<HookSet>> hooks = open_hooks(options, std::move(*root), *pins);
  if (!hooks) return std::unexpected(std::move(hooks).error());
  return make_source(options, std::move(pins), std::move(*hooks));
}

}  // namespace cicd
