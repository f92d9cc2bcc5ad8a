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

// One compiled object per family; a family that fails to load costs only itself.
enum class HookFamily : std::uint8_t {
  kProcess,
  kCgroup,
  kNetwork,
  kFileOpen,
  kFileChange,
  kMount,
  kUnixCgroup,
  kUnixSyscall,
};
inline constexpr std::size_t kHookFamilyCount = 8;

enum class AttachKind : std::uint8_t {
  kTracing,  // BTF raw tracepoint, at start
  kCgroup,   // cgroup program at the root of the v2 hierarchy, at start
  kSyscall,  // syscall tracepoints, only while a job runs
};

struct HookInfo {
  std::string_view program;  // name in the object; also of its pin
  HookFamily family;
  AttachKind attach;
  std::string_view loss_name;  // LossEntry::what of samples this hook could not make
  std::span<const std::string_view> tracepoints = {};  // kSyscall: below events/syscalls
  int cgroup_type = 0;                                 // kCgroup: enum bpf_attach_type
};
std::span<const HookInfo> hooks();

// A way to serve an event type, and the programs without which it does not.
struct EventBackend {
  EventType type;
  std::string_view backend;
  std::span<const std::string_view> programs;
  std::string_view limits;
  // Taken when a program of this one does not attach; then this one's own programs are let go.
  const EventBackend* fallback = nullptr;
};
inline constexpr std::string_view kNoBackend = "none";
// The best one of each event type, in their order.
std::span<const EventBackend> event_backends();

}  // namespace cicd
