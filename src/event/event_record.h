// SPDX-License-Identifier: Apache-2.0
// EventRecord: one thing that happened in a job, ready for rules and logs; EventBatch: the unit in
// which records travel from the tracker to a job's worker.
//
// Text in a record points into the arena of its batch (or into its Process): a record must not
// outlive the batch. The memory of batches comes from a pool and goes back at `reset`, so the
// steady state allocates nothing.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/arena.h"
#include "base/block_pool.h"
#include "event/container.h"
#include "event/event_type.h"
#include "event/process.h"
#include "event/record_list.h"
#include "event/step.h"

namespace cicd {

// A payload field: text or a number (a bool is 0 or 1). Which of them is FieldInfo::type's matter;
// asked for the other it says "" or 0.
class FieldValue {
 public:
  FieldValue& operator=(std::string_view text) {
    text_ = text.data();
    bits_ = text.size();
    return *this;
  }
  template <std::integral Number>
  FieldValue& operator=(Number number) {
    text_ = nullptr;
    bits_ = static_cast<std::uint64_t>(static_cast<std::int64_t>(number));
    return *this;
  }

  std::string_view text() const {
    return text_ == nullptr ? std::string_view() : std::string_view(text_, bits_);
  }
  std::int64_t number() const { return text_ == nullptr ? static_cast<std::int64_t>(bits_) : 0; }

 private:
  const char* text_ = nullptr;  // null: a number, or ""
  std::uint64_t bits_ = 0;      // length of the text, or the number
};

// What a reader must know to trust a record. Written as tags "<mark>:<what>" in log rows.
enum EventMark : std::uint32_t {
  kMarkTruncatedPath = 1 << 0,     // truncated:path
  kMarkUnresolvedPath = 1 << 1,    // unresolved:path  joined from cwd or directory fd, not walked
  kMarkDeletedPath = 1 << 2,       // deleted:path     the name was unlinked already
  kMarkTruncatedArgv = 1 << 3,     // truncated:argv
  kMarkUnknownProcess = 1 << 4,    // unknown:process  the start of the process was not seen
  kMarkSendmsg = 1 << 5,           // via:sendmsg      a datagram without connect
  kMarkEscaped = 1 << 6,           // escaped:cgroup   the process is outside the job's cgroups
  kMarkFaultPath = 1 << 7,         // fault:path       memory of the name could not be read
  kMarkAmbiguousDomain = 1 << 8,   // ambiguous:domain several names lead to the address
  kMarkIoUring = 1 << 9,           // via:io_uring     past the system calls
  kMark32Bit = 1 << 10,            // via:32bit        a 32-bit system call
  kMarkTruncate = 1 << 11,         // via:truncate     truncate(2), no open
  kMarkUnreachablePath = 1 << 12,  // unreachable:path not below the root of the process
};

struct EventRecord {
  EventType type = EventType::kProcessExec;
  std::uint32_t marks = 0;         // EventMark bits
  std::uint32_t tid = 0;           // thread that acted
  std::uint64_t time_ns = 0;       // CLOCK_REALTIME, ns since the epoch
  std::uint64_t boot_time_ns = 0;  // CLOCK_BOOTTIME
  std::uint64_t cgroup_id = 0;
  ProcessRef process;      // never null
  ContainerRef container;  // null: none
  StepRef step;            // that of the process; null: not known, or outside of all steps
  std::array<FieldValue, kMaxEventFields> fields;

  std::string_view text(std::uint8_t field) const { return fields[field].text(); }
  std::int64_t number(std::uint8_t field) const { return fields[field].number(); }
};

// Enough for a sensor with one job, unless its worker is far behind.
inline constexpr std::size_t kBatchBytes = std::size_t{16} << 20;

struct EventBatch {
  explicit EventBatch(std::shared_ptr<BlockPool> pool = std::make_shared<BlockPool>(kBatchBytes))
      : records(pool), arena(std::move(pool)) {}

  RecordList<EventRecord> records;
  Arena arena;

  // A cleared record at the end of the batch.
  EventRecord& add(EventType type) {
    EventRecord& record = records.emplace_back();
    record.type = type;
    return record;
  }
  void reset() {
    records.clear();
    arena.reset();
  }
};

}  // namespace cicd
