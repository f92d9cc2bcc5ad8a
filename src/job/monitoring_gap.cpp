// SPDX-License-Identifier: Apache-2.0
#include "job/monitoring_gap.h"

#include <unistd.h>

#include <filesystem>

namespace cicd {

namespace {

// The sensor itself: no process of the job stands behind a gap.
ProcessRef own_process() {
  auto image = std::make_shared<ExecImage>();
  std::error_code error;
  image->exec_path = std::filesystem::read_symlink("/proc/self/exe", error).string();
  image->argv = {"cicd-sensor"};
  auto process = std::make_shared<Process>();
  process->pid = static_cast<std::uint32_t>(::getpid());
  process->uid = ::getuid();
  process->image = std::move(image);
  return process;
}

}  // namespace

void add_gap_record(EventBatch& batch, const MonitoringGap& gap, ClockInfo clock,
                    std::uint64_t root_cgroup_id) {
  EventRecord& record = batch.add(EventType::kMonitoringGap);
  record.time_ns = gap.start_ns;
  const auto offset = static_cast<std::uint64_t>(clock.realtime_offset_ns);
  record.boot_time_ns = gap.start_ns > offset ? gap.start_ns - offset : 0;
  record.cgroup_id = root_cgroup_id;
  record.process = own_process();
  record.fields[field::monitoring_gap::kReason] = batch.arena.store(gap.reason);
  record.fields[field::monitoring_gap::kDurationMs] =
      gap.end_ns > gap.start_ns ? static_cast<std::int64_t>((gap.end_ns - gap.start_ns) / 1'000'000)
                                : 0;
}

}  // namespace cicd
