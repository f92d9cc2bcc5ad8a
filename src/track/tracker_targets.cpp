// SPDX-License-Identifier: Apache-2.0
// What one process does to another, and memory that became executable.
#include <charconv>

#include "track/ip_text.h"
#include "track/path_text.h"
#include "track/tracker_impl.h"

namespace cicd {

namespace {

struct Name {
  std::uint64_t value;
  std::string_view text;
};

// By number: which of them <sys/ptrace.h> has depends on the C library and the machine.
constexpr Name kPtraceRequests[] = {
    {0, "PTRACE_TRACEME"},
    {1, "PTRACE_PEEKTEXT"},
    {2, "PTRACE_PEEKDATA"},
    {3, "PTRACE_PEEKUSER"},
    {4, "PTRACE_POKETEXT"},
    {5, "PTRACE_POKEDATA"},
    {6, "PTRACE_POKEUSER"},
    {13, "PTRACE_SETREGS"},
    {15, "PTRACE_SETFPREGS"},
    {16, "PTRACE_ATTACH"},
    {19, "PTRACE_SETFPXREGS"},
    {0x4205, "PTRACE_SETREGSET"},
    {0x4206, "PTRACE_SEIZE"},
    {0x4212, "PTRACE_SET_SYSCALL_INFO"},
    {CICD_PTRACE_PIDFD_GETFD, "pidfd_getfd"},
};
constexpr Name kMemoryMethods[] = {
    {CICD_MEMORY_PROC_MEM, "proc_mem"},           {CICD_MEMORY_VM_READV, "process_vm_readv"},
    {CICD_MEMORY_VM_WRITEV, "process_vm_writev"}, {CICD_MEMORY_PROC_ENVIRON, "proc_environ"},
    {CICD_MEMORY_PROC_MAPS, "proc_maps"},
};
constexpr Name kExecMemoryKinds[] = {
    {CICD_EXEC_MEMORY_MMAP, "mmap"},
    {CICD_EXEC_MEMORY_MPROTECT, "mprotect"},
};

// The number when it has no name.
std::string_view name_or_number(std::span<const Name> names, std::uint64_t value, Arena& arena) {
  for (const Name& name : names) {
    if (name.value == value) return name.text;
  }
  char text[20];
  const char* end = std::to_chars(text, text + sizeof(text), value).ptr;
  return arena.store({text, static_cast<std::size_t>(end - text)});
}

EventType type_of(std::uint16_t sample_type) {
  switch (sample_type) {
    case CICD_SAMPLE_PTRACE:
      return EventType::kPtrace;
    case CICD_SAMPLE_MEMORY:
      return EventType::kMemoryRead;
    default:
      return EventType::kSignal;
  }
}

}  // namespace

void Tracker::Impl::on(const TargetSample& sample, const Context& context) {
  // The three types have the same fields in the same places.
  namespace f = field::ptrace;
  static_assert(+f::kTargetExecPath == +field::memory_read::kTargetExecPath &&
                +f::kTargetExecPath == +field::signal::kTargetExecPath &&
                +f::kError == +field::memory_read::kError && +f::kError == +field::signal::kError);
  const cicd_sample_target& fixed = sample.fixed;
  const EventType type = type_of(fixed.header.type);
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(type, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  if (type == EventType::kSignal) {
    record->fields[field::signal::kSignal] = static_cast<std::int64_t>(fixed.value);
  } else if (type == EventType::kPtrace) {
    record->fields[f::kRequest] = name_or_number(kPtraceRequests, fixed.value, arena);
  } else {
    record->fields[field::memory_read::kMethod] =
        name_or_number(kMemoryMethods, fixed.value, arena);
  }
  record->fields[f::kTargetPid] = fixed.target_pid;
  record->fields[f::kTargetExecPath] = target_program(sample, *record, arena);
  if (fixed.error != 0) {
    record->fields[f::kError] = errno_text(static_cast<int>(fixed.error), arena);
  }
}

// What the kernel saw; for a target that had ended, what we know of it.
std::string_view Tracker::Impl::target_program(const TargetSample& sample, EventRecord& record,
                                               Arena& arena) const {
  const WireString& seen = sample.target_exec_path;
  if (!seen.bytes.empty() || seen.has(CICD_STRING_COMPONENTS)) {
    const PathText path = path_text(seen, 0, arena);
    record.marks |= path.marks;
    return path.text;
  }
  const ProcessEntry* target =
      processes_.find(sample.fixed.target_pid, sample.fixed.target_start_time_ns);
  return target == nullptr ? std::string_view{} : arena.store(target->current->exec_path());
}

void Tracker::Impl::on(const ExecMemorySample& sample, const Context& context) {
  namespace f = field::exec_memory;
  const Owner owner = owner_of(context);
  EventRecord* record = add_record(EventType::kExecMemory, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  record->fields[f::kKind] = name_or_number(kExecMemoryKinds, sample.fixed.kind, arena);
  record->fields[f::kSizeBytes] = static_cast<std::int64_t>(sample.fixed.size_bytes);
  record->fields[f::kCount] = static_cast<std::int64_t>(sample.fixed.count);
}

}  // namespace cicd
