// SPDX-License-Identifier: Apache-2.0
// The hooks we know: which kernel program, how it attaches, which event types it serves, and what
// its backend cannot see. Adding a hook is an entry here and a program in bpf/programs.
// Pure data; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "event/event_type.h"

namespace cicd {

// One file of bpf/programs per family. All are loaded together; when that fails, family by family,
// and then program by program, so that one that fails costs only itself.
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
  kIoUring,
  kStrict,
  kDns,
  kFileChange,
  kMount,
  kUnixCgroup,
  kUnixSyscall,
  kHttp,
  kLibrary,
  kResolver,
  kTls,
  kCount,
};
inline constexpr std::size_t kHookFamilyCount = static_cast<std::size_t>(HookFamily::kCount);

enum class AttachKind : std::uint8_t {
  kTracing,  // BTF raw tracepoint, at start
  kCgroup,   // cgroup program at the root of the v2 hierarchy, at start
  kSyscall,  // syscall tracepoints, only while a job runs
  kStrict,   // BTF raw tracepoint of every system call, only while a job runs and with --strict
  kUprobe,   // in libraries, while a job runs (library_prober.h)
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
};
std::span<const HookInfo> hooks();

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
};
// The one program of AttachKind::kStrict.
inline constexpr std::string_view kStrictProgram = "compat_returned";
inline constexpr std::string_view kNoBackend = "none";
inline constexpr std::string_view kNotInThisKernel = "not in this kernel";
// The best one of each event type, in their order.
std::span<const EventBackend> event_backends();

}  // namespace cicd
