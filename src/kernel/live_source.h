// SPDX-License-Identifier: Apache-2.0
// LiveSource: the kernel programs, loaded and attached through libbpf; the live EventSource.
//
// Life: open() probes the hooks and attaches those that cost untracked work nothing (process,
// cgroup, network); track_cgroup() puts a job's root cgroup under observation; start_job_hooks()
// attaches what costs everybody (syscall tracepoints) and stop_job_hooks() lets it go. Every link
// is pinned in a bpffs that only this object's descriptor keeps alive: when the last process that
// holds it is gone, however it died, the kernel detaches everything by itself, and nothing stalls.
//
// With LiveOptions::pin_dir the pins are where people see them, and a process that is killed leaves
// everything as it is for the next one; one that ends removes it all.
//
// Threads: one at a time. Processes: the object survives fork(); parent and child then share maps,
// links and ring positions, and exactly one of them may poll (see RingPositions).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "event/step.h"
#include "kernel/egress_control.h"
#include "kernel/event_source.h"
#include "kernel/recording.h"
#include "kernel/tracked_process.h"
#include "wire/loss.h"

namespace cicd {

struct LiveOptions {
  std::uint64_t control_ring_bytes = 0;  // 0: from CPU count and memory; else a power of two
  std::uint64_t bulk_ring_bytes = 0;
  std::string btf_path;  // empty: /sys/kernel/btf/vmlinux
  // Jobs have slots 1 .. slots - 1 (wire/loss.h has the most and the least there are). A slot costs
  // 512 bytes for each CPU, in the kernel.
  std::uint32_t slots = CICD_SLOTS_DEFAULT;
  // Also 32-bit system calls: a program at every system call of the machine while a job runs.
  bool strict = false;
  // Opens that repeat one of the same program in the same way are counted, not reported.
  bool dedup = true;
  // Event type -> backend that is to serve it, instead of the best one that attaches.
  std::map<std::string, std::string> backends = {};
  // "syscall" or "trampoline": that kind for every event type that has one. Empty or "best": the
  // best one that attaches.
  std::string backend_kind = {};
  // Variables of the environment that exec samples carry; names of at most CICD_VARIABLE_MAX - 1.
  std::span<const StepVariable> variables = {};
  bool tls_capture = false;  // look at what is given to TLS libraries to send
  // A busy consumer looks at the rings this often; in between only one that fills up wakes it.
  std::chrono::milliseconds pace{3};
  // poll() hands out at most so many of the rings and leaves what is behind them for the next; when
  // it says so many or more, there may be more. For a reader whose memory must not grow with what
  // happens to be in the rings.
  std::size_t most_samples = SIZE_MAX;
  // A folder of a bpffs (pin_folder.h) in which everything outlives this process when it is killed,
  // for the next one that is opened with it. Not for processes that fork. Empty: nothing does.
  std::string pin_dir = {};
};

// What became of LiveOptions::pin_dir.
struct PinReport {
  bool is_adopted = false;        // the kernel side of a process before this one goes on
  std::size_t attached_anew = 0;  // attachments that this kernel cannot keep: there was a gap
  std::string error = {};         // why nothing will outlive this process
};

class LiveSource : public EventSource {
 public:
  // Errors tell BTF missing, permission, a kernel too old and refused programs apart, each with a
  // hint. A hook that cannot attach is no error; coverage() tells.
  static Result<std::unique_ptr<LiveSource>> open(const LiveOptions& options);

  // A slot (1 .. LiveOptions::slots - 1) is a job's from now on: what was counted for the one
  // before is forgotten.
  virtual Result<void> claim_slot(std::uint32_t slot) = 0;
  // Claims the slot and puts a cgroup (v2 id) and all that is made below it from now on under
  // observation for it.
  virtual Result<void> track_cgroup(std::uint64_t cgroup_id, std::uint32_t slot) = 0;
  // Nothing is observed for the slot any more, and then: what was counted and put in force for it
  // is forgotten. The latter walks through many maps, which takes a while; on any thread, but the
  // slot is not claimed meanwhile.
  virtual void stop_tracking(std::uint32_t slot) = 0;
  virtual void forget_slot(std::uint32_t slot) = 0;
  void untrack_slot(std::uint32_t slot) {
    stop_tracking(slot);
    forget_slot(slot);
  }
  // A cgroup that gets this name, wherever it is made, belongs to `slot` from its first moment on;
  // the first one only. For the container that a job is about to start. kInvalidInput: no name of a
  // cgroup; kResource: too many are waited for.
  virtual Result<void> stage_cgroup(const std::string& basename, std::uint32_t slot) = 0;
  // The cgroup that a name was staged for just now and that had been made before: it is the slot's
  // from now on, if it is still there. The container must never have been started before.
  virtual Result<std::optional<EarlierCgroup>> adopt_earlier(const std::string& basename,
                                                             std::uint32_t slot) = 0;
  // The cgroups that BuildKit makes in this one for steps of docker build belong to `slot` from
  // their first moment on; 0: to nobody. `are_among_others`: cgroups with other names, which are
  // made there, too, do not.
  virtual Result<void> give_builds(std::uint64_t parent_id, bool are_among_others,
                                   std::uint32_t slot) = 0;
  // The processes of a slot that live now, inside its cgroups and outside, as the kernel has them;
  // one that could not be noted (loss members_full) is missing. Any thread.
  virtual std::vector<TrackedProcess> processes(std::uint32_t slot) const = 0;
  // The cgroups of a slot that are there now: the one that was put under observation, those that
  // were staged, and what was made below. Any thread.
  virtual std::vector<TrackedCgroup> cgroups(std::uint32_t slot) const = 0;

  // The next open of each file is reported, also when it repeats one before: somebody new listens.
  virtual Result<void> report_opens_anew() = 0;
  // The slot that a process (initial pid namespace) belongs to now; 0: none. Any thread.
  virtual std::uint32_t slot_of(std::uint32_t pid) const = 0;

  // By which policies of what jobs may reach are put in force. An error: a hook without which they
  // would not be (the text says which and why); nothing may be promised then.
  virtual Result<EgressControl*> egress() = 0;

  virtual Result<void> start_job_hooks() = 0;
  virtual void stop_job_hooks() = 0;

  virtual PinReport pins() const = 0;
  // After a take-over: what there is of these slots stays as it is, all others are forgotten.
  virtual void keep_slots(std::span<const std::uint32_t> slots) = 0;
  // Of a sample of the poll() that goes on: whether it is before these positions of the rings.
  virtual bool is_before(SampleBytes sample, const RingPositions& positions) const = 0;

  // Starts a process of its own in a cgroup below `cgroup_dir` and waits for its exec, open and
  // connect to come through the rings. The error says which did not. Call before any job runs.
  virtual Result<void> self_check(const std::string& cgroup_dir) = 0;

  // Something new to read from `fd` ends a wait in poll(), as a sample does; until it is closed.
  virtual Result<void> wake_also(int fd) = 0;

  virtual RingPositions positions() const = 0;
  virtual void set_positions(const RingPositions& positions) = 0;
};

}  // namespace cicd
