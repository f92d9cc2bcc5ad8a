// SPDX-License-Identifier: Apache-2.0
#include "kernel/kernel_losses.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <vector>

#include "kernel/hook_catalogue.h"
#include "wire/decode.h"
#include "wire/loss.h"
#include "wire/shared.h"

namespace cicd {

namespace {

struct ReasonInfo {
  std::uint32_t reason;
  const char* what;
  const char* text;
};
// Besides "ring_full" of every sample type.
constexpr ReasonInfo kReasons[] = {
    {CICD_LOSS_TRACKED_FULL, "tracked_cgroups", "map_full"},
    {CICD_LOSS_ESCAPED_FULL, "escaped", "map_full"},
    {CICD_LOSS_SCRATCH, "scratch", "no_memory"},
    {CICD_LOSS_MEMBERS_FULL, "members", "map_full"},
};

class LossMap {
 public:
  explicit LossMap(const ProgramSet& programs)
      : fd_(programs.map_fd("loss")), per_cpu_(static_cast<std::size_t>(cpus())) {}

  Result<std::uint64_t> read(std::uint32_t slot, std::uint32_t reason) {
    const std::uint32_t index = slot * CICD_LOSS_STRIDE + reason;
    if (::bpf_map_lookup_elem(fd_, &index, per_cpu_.data()) != 0) {
      return fail_errno(errno, "read the loss counters");
    }
    return std::accumulate(per_cpu_.begin(), per_cpu_.end(), std::uint64_t{0});
  }

  void clear(std::uint32_t slot) {
    per_cpu_.assign(per_cpu_.size(), 0);
    for (std::uint32_t reason = 0; reason < CICD_LOSS_STRIDE; ++reason) {
      const std::uint32_t index = slot * CICD_LOSS_STRIDE + reason;
      ::bpf_map_update_elem(fd_, &index, per_cpu_.data(), BPF_ANY);
    }
  }

 private:
  static int cpus() {
    const int count = ::libbpf_num_possible_cpus();
    return count > 0 ? count : 1;
  }

  int fd_;
  std::vector<std::uint64_t> per_cpu_;
};

std::uint64_t recursion_misses(int program_fd) {
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) return 0;
  return info.recursion_misses;
}

// The second programs need the map `members` for what they do.
bool second_programs_work(const ProgramSet& programs) {
  const std::uint32_t zero = 0;
  cicd_shared shared{};
  return ::bpf_map_lookup_elem(programs.map_fd("shared"), &zero, &shared) == 0 &&
         shared.members_missing == 0;
}

// Events that no program was run for. Where there are two for each, both must have been skipped for
// the same one; how often that was is not known, but not more often than the rarer of the two.
std::uint64_t skipped(const ProgramSet& programs, const HookInfo& hook) {
  const int fd = programs.program_fd(hook.program);
  if (fd < 0) return 0;
  std::uint64_t count = recursion_misses(fd);
  if (count == 0 || !second_programs_work(programs)) return count;
  for (const HookInfo& other : hooks()) {
    if (other.second_of != hook.program) continue;
    const int second = programs.program_fd(other.program);
    if (second >= 0) count = std::min(count, recursion_misses(second));
  }
  return count;
}

void add(LossReport& report, std::string_view what, const char* reason, std::uint64_t count) {
  if (count == 0) return;
  for (LossEntry& entry : report.entries) {
    if (entry.what == what && entry.reason == reason) {
      entry.count += count;
      return;
    }
  }
  report.entries.push_back({std::string(what), reason, count});
}

}  // namespace

Result<LossReport> read_kernel_losses(const ProgramSet& programs, std::uint32_t slot) {
  LossReport report;
  LossMap map(programs);
  const auto read = [&](std::uint32_t reason, std::string_view what, const char* text) -> Result<> {
    Result<std::uint64_t> count = map.read(slot, reason);
    if (!count) return std::unexpected(std::move(count).error());
    add(report, what, text, *count);
    return {};
  };
  for (std::uint32_t type = 1; type < CICD_SAMPLE_TYPES; ++type) {
    if (Result<> done = read(type, name_of_sample_type(type), "ring_full"); !done) {
      return std::unexpected(std::move(done).error());
    }
  }
  for (const ReasonInfo& reason : kReasons) {
    if (Result<> done = read(reason.reason, reason.what, reason.text); !done) {
      return std::unexpected(std::move(done).error());
    }
  }
  const std::pair<std::uint32_t, std::uint64_t*> no_losses[] = {
      {CICD_LOSS_REPEATED_SENDMSG, &report.repeated_sendmsg},
      {CICD_LOSS_REPEATED_ACT, &report.repeated_acts},
      {CICD_LOSS_REPEATED_OPEN, &report.repeated_opens},
      {CICD_LOSS_SLOWED, &report.slowed_acts}};
  for (const auto& [reason, count] : no_losses) {
    Result<std::uint64_t> counted = map.read(slot, reason);
    if (!counted) return std::unexpected(std::move(counted).error());
    *count = *counted;
  }
  for (const HookInfo& hook : hooks()) {
    if (!hook.second_of.empty()) continue;
    add(report, hook.loss_name, "recursion", skipped(programs, hook));
  }
  return report;
}

void clear_kernel_losses(const ProgramSet& programs, std::uint32_t slot) {
  LossMap(programs).clear(slot);
}

}  // namespace cicd
