// SPDX-License-Identifier: Apache-2.0
// Inside of the Tracker, shared by tracker.cpp (jobs, decoding, counting), tracker_process.cpp
// (who a sample belongs to; fork, exec, exit) and tracker_events.cpp (connect, open,
// cgroups), tracker_files.cpp (names of files), tracker_dns.cpp (DNS, names of addresses),
// tracker_names.cpp (other names of hosts), tracker_targets.cpp and tracker_acts.cpp (what
// attackers do), tracker_steps.cpp (the step of the CI job that a program belongs to).
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "names/dns_message.h"
#include "names/dns_stream.h"
#include "names/name_table.h"
#include "names/query_memory.h"
#include "track/cgroup_table.h"
#include "track/exec_image.h"
#include "track/tracker.h"
#include "wire/decode.h"
#include "wire/loss.h"

namespace cicd {

struct Tracker::Impl {
 public:
  Impl(ClockInfo clock, TrackerOptions options)
      : clock_(clock),
        proc_reader_(std::move(options.proc_reader)),
        image_budget_{options.limits.max_image_bytes},
        processes_(options.limits),
        read_step_(options.step_of) {}

  void add_cgroup(std::uint32_t slot, std::uint64_t cgroup_id, std::string_view path);
  void register_job(std::uint32_t slot, std::uint64_t root_cgroup_id, std::string_view root_path);
  void remove_job(std::uint32_t slot);
  void handle(SampleBytes bytes, BatchOf batch_of);
  JobActivity activity(std::uint32_t slot) const;
  std::vector<std::uint64_t> cgroups(std::uint32_t slot) const { return cgroups_.of_slot(slot); }
  LossReport losses(std::uint32_t slot) const;

 private:
  struct DecodeLosses {
    std::array<std::uint64_t, CICD_SAMPLE_TYPES> malformed{};  // by type; 0: type unknown
    std::uint64_t unknown_type = 0;
  };
  struct JobNames {
    NameTable table;
    DnsStreams streams;
    PendingQueries pending;
    RecentNames recent;
    std::uint64_t malformed = 0;   // messages that are no DNS, or wrong somewhere
    std::uint64_t incomplete = 0;  // datagrams cut in the kernel
    std::uint64_t unasked = 0;     // answers to no question that was seen
  };
  struct JobState {
    JobActivity activity;
    std::unordered_set<std::uint64_t> outside;  // cgroups that escapes of this job led to
    DecodeLosses decode_losses;
    std::uint64_t unknown_processes = 0;
    std::uint64_t unknown_images = 0;
    std::uint64_t evicted = 0;
    std::uint64_t cgroups_dropped = 0;
    JobNames names;
    std::unordered_map<std::string, StepRef> steps;  // by id and name, a NUL between them
    std::uint64_t steps_dropped = 0;
    std::uint64_t steps_cut = 0;
  };
  // What every handler of a sample needs.
  struct Context {
    const cicd_sample_header& header;
    JobState& job;
    EventBatch* batch;  // null: nobody wants records
  };
  // Why a process is seen without its fork.
  enum class Appearance { kForked, kJoined, kUnexplained };
  // A process and the picture of it that a sample belongs to.
  struct Owner {
    ProcessEntry& entry;
    const ProcessRef& picture;  // valid until the entry changes
  };

  // tracker.cpp
  JobState* job_of(std::uint32_t slot) const {
    return slot < jobs_.size() ? jobs_[slot].get() : nullptr;
  }
  void count_malformed(SampleBytes bytes, DecodeError error);
  bool is_outside(const Context& context, const ProcessEntry& entry) const;
  EventRecord* add_record(EventType type, const Context& context, const ProcessEntry& entry,
                          const ProcessRef& picture);

  // tracker_process.cpp
  void on(const ForkSample& sample, const Context& context);
  void on(const ExecSample& sample, const Context& context);
  void on(const ExitSample& sample, const Context& context);
  Owner owner_of(const Context& context, Appearance appearance = Appearance::kUnexplained);
  const ProcessRef& picture_of(ProcessEntry& entry, std::uint32_t exec_id, JobState& job);
  ProcessEntry& adopt(std::uint32_t pid, std::uint64_t start_time_ns, std::uint32_t exec_id,
                      const Context& context, Appearance appearance);
  // `is_gone`: it has ended already, as far as is known.
  ProcessEntry& add_process(std::shared_ptr<Process> picture, const Context& context,
                            bool is_gone = false);
  static void count_alive(JobActivity& activity);
  // The process belongs to the job of the context from now on.
  void move_process(ProcessEntry& entry, const Context& context);
  void end_process(ProcessEntry& entry);
  ProcessRef parent_of(const ForkSample& sample, const Context& context);
  // `picture` of `entry` as the parent of another one: cut when its chain is at its longest.
  ProcessRef as_parent(ProcessEntry& entry, const ProcessRef& picture);

  // tracker_steps.cpp; null: none, that of the parent or of the program before is kept
  StepRef step_of(std::string_view environment, std::span<const std::string> argv, JobState& job);

  // tracker_events.cpp
  void on(const ConnectSample& sample, const Context& context);
  void on(const OpenSample& sample, const Context& context);
  void on(const CgroupSample& sample, const Context& context);
  void on_escape(const CgroupSample& sample, const Context& context);
  std::string_view cgroup_text(std::uint64_t id, std::string_view path, Arena& arena) const;

  // tracker_files.cpp
  void on(const PathsSample& sample, const Context& context);
  void on(const UnixConnectSample& sample, const Context& context);

  // tracker_dns.cpp
  void on(const DnsSample& sample, const Context& context);
  void on_dns_message(std::span<const std::uint8_t> bytes, bool is_whole, const DnsSample& sample,
                      const Context& context);
  void on_dns_answer(const OpenQuestion& question, const Context& context);
  void add_domain(const DnsQuestion& question, bool is_answer, const Context& context);
  Owner nobody();
  void fill_answer(EventRecord& record, Arena& arena);
  // What the process connects to, as a name: fields domain and domain_source.
  void fill_domain(EventRecord& record, const IpAddress& address, const Context& context);
  static void add_name_losses(const JobNames& names, LossReport& report);

  // tracker_names.cpp
  void on(const GetaddrinfoSample& sample, const Context& context);

  // tracker_http.cpp
  void on(const HttpSample& sample, const Context& context);
  void on(const LibrarySample& sample, const Context& context);

  // tracker_targets.cpp
  void on(const TargetSample& sample, const Context& context);
  void on(const ExecMemorySample& sample, const Context& context);
  void on(const EgressSample& sample, const Context& context);
  std::string_view target_program(const TargetSample& sample, EventRecord& record,
                                  Arena& arena) const;

  // tracker_acts.cpp
  void on(const PrivilegeSample& sample, const Context& context);
  void on(const NamespaceSample& sample, const Context& context);
  void on(const ModuleSample& sample, const Context& context);
  void on(const BpfSample& sample, const Context& context);
  void on(const SocketSample& sample, const Context& context);
  void on(const IoUringSample& sample, const Context& context);

  ClockInfo clock_;
  std::unique_ptr<ProcReader> proc_reader_;
  ImageBudget image_budget_;
  ProcessTable processes_;
  const StepOf read_step_;
  CgroupTable cgroups_;
  std::array<std::unique_ptr<JobState>, CICD_SLOTS_MAX> jobs_;
  DecodeLosses stray_losses_;
  std::uint64_t unregistered_ = 0;
  std::uint64_t now_ns_ = 0;   // latest time of a sample
  std::uint64_t next_id_ = 1;  // of pictures
  Arena scratch_;              // text on its way into a picture
  DnsMessage dns_;             // in work
  ProcessEntry nobody_;        // tracker_dns.cpp
  std::string list_text_;      // of answers and candidates
  std::shared_ptr<const ExecImage> unknown_image_ = [] {
    auto image = std::make_shared<ExecImage>();
    image->is_known = false;
    return image;
  }();
};

}  // namespace cicd
