// SPDX-License-Identifier: Apache-2.0
// The hooks we know: which kernel program, how it attaches, which event types it serves, and what
// its backend cannot see. Adding a hook is an entry here and a program in bpf/programs.
// Pure data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "event/event_type.h"
#include "kernel/kernel_release.h"

namespace cicd {

// One file of bpf/programs with programs per family. All are loaded together; when that fails,
// family by family, and then program by program, so that one that fails costs only itself.
enum class HookFamily : std::uint8_t {
  kProcess,
  kCgroup,
  kNetwork,
  kFileOpen,
  kTarget,
  kSignal,
  kExecMemory,
  kPrivilege,
  kNamespace,
  kKernelUse,
  kSocket,
  kIoUring,
  kStrict,
  kPacket,
  kEgress,
  kFileChange,
  kMount,
  kUnixCgroup,
  kUnixSyscall,
  kLibrary,
  kResolver,
  kTls,
  kCount,
};
inline constexpr std::size_t kHookFamilyCount = static_cast<std::size_t>(HookFamily::kCount);

enum class AttachKind : std::uint8_t {
  kTracing,     // BTF raw tracepoint, at start
  kCgroup,      // cgroup program at the root of the v2 hierarchy, at start
  kSyscall,     // syscall tracepoints, only while a job runs
  kTrampoline,  // at a function of the kernel (fentry, fexit), only while a job runs
  kStrict,      // BTF raw tracepoint of every system call, only while a job runs and with --strict
  kUprobe,      // in libraries, while a job runs (library_prober.h)
};

struct HookInfo {
  std::string_view program;  // name in the object; also of its pin
  HookFamily family;
  AttachKind attach;
  std::string_view loss_name;  // LossEntry::what of samples this hook could not make
  std::span<const std::string_view> tracepoints = {};  // kSyscall: below events/syscalls
  int cgroup_type = 0;                                 // kCgroup: enum bpf_attach_type
  // Type in the kernel's BTF without which the hook is not there, and nothing is missed for it.
  std::string_view needs_type = {};
  // kTrampoline: what it is put at, by its names in the kernels we know; the first that is there.
  // Others: functions of the kernel of which it needs one.
  std::span<const std::string_view> functions = {};
  bool is_optional = false;  // without such a function nothing is missed
  // Does the work of this program when the kernel skips it (bpf/programs/process.bpf.c). Only for
  // kernels that preempt programs at tracepoints.
  std::string_view second_of = {};
};
std::span<const HookInfo> hooks();
// Since this release programs at tracepoints can be preempted, and are skipped meanwhile.
inline constexpr KernelRelease kPreemptsTracepoints{7, 0};

// What `--backend` can force. A type that has no backend of the forced kind keeps its best one.
enum class BackendKind : std::uint8_t { kAny, kSyscall, kTrampoline };

// A way to serve an event type, and the programs without which it does not. A program whose
// tracepoint this kernel does not have counts only when none of them is there.
struct EventBackend {
  EventType type;
  std::string_view backend;
  std::span<const std::string_view> programs;
  std::string_view limits;
  std::string_view strict_limits = {};  // with --strict, where that makes a difference
  // Taken when a program of this one does not attach; then this one's own programs are let go.
  const EventBackend* fallback = nullptr;
  // A file of every kernel that can do such a thing: without it there is nothing to see.
  const char* facility = nullptr;
  BackendKind kind = BackendKind::kAny;
  // Part of what it tells comes from the programs of another type, whichever those are.
  std::optional<EventType> relies_on = {};
};
// The one program of AttachKind::kStrict.
inline constexpr std::string_view kStrictProgram = "compat_returned";
inline constexpr std::string_view kNoBackend = "none";
inline constexpr std::string_view kNotInThisKernel = "not in this kernel";
// The best one of each event type, in their order.
std::span<const EventBackend> event_backends();
// The same for what no event type rests on; their `type` says nothing.
std::span<const EventBackend> helper_backends();

}  // namespace cicd
