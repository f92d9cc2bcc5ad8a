// SPDX-License-Identifier: Apache-2.0
// ProgramSet: the kernel side, loaded but not attached. Owns the descriptors of maps and programs;
// libbpf's objects (with their BTF and relocations, some ten megabytes) are gone after loading.
// Which programs are loaded is the caller's business: backends that nobody needs cost nothing.
// Threads: one. Processes: descriptors are shared by fork().
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/loss.h"

namespace cicd {

class PinFolder;
struct HookState;

struct ProgramSetOptions {
  std::size_t control_ring_bytes = 0;
  std::size_t bulk_ring_bytes = 0;
  std::uint32_t slots = CICD_SLOTS_DEFAULT;
  std::string btf_path;     // empty: the kernel's own
  bool trampolines = true;  // false: not even tried
};

class ProgramSet {
 public:
  // Finds out what this kernel has; loads nothing.
  static Result<ProgramSet> open(const ProgramSetOptions& options);
  // What an earlier process has loaded and pinned. kNotFound: a map is missing.
  static Result<ProgramSet> adopt(const ProgramSetOptions& options, const PinFolder& folder,
                                  const HookState& state);
  Result<> pin(PinFolder& folder) const;
  // Tells one build of the kernel side, as this kernel gets it, from another.
  static std::string object_id();
  // Loads programs of the catalogue; a name that was loaded before is loaded anew. Maps that are
  // not everybody's belong to the programs that are loaded together. One that does not load costs
  // only itself.
  void load(const std::set<std::string_view>& names);
  // Fails when no program at all was loaded, with the reason.
  Result<> check() const;

  int map_fd(std::string_view name) const { return find(maps_, name); }
  // -1 when it did not load; then program_error() says why.
  int program_fd(std::string_view name) const { return find(programs_, name); }
  // Lets a program go that nobody needs; with it the maps that only it uses.
  void drop(std::string_view name) {
    const auto found = programs_.find(name);
    if (found != programs_.end()) programs_.erase(found);
  }
  std::string program_error(std::string_view name) const {
    const auto found = errors_.find(name);
    return found == errors_.end() ? std::string() : found->second.text;
  }

  // This kernel does not have what the program attaches to; that is no error.
  bool is_absent(std::string_view name) const { return absent_.contains(name); }
  const std::set<std::string, std::less<>>& absent() const { return absent_; }
  // Why no program at a kernel function can be had here, or empty.
  const std::string& trampoline_error() const { return trampoline_error_; }

 private:
  using Fds = std::map<std::string, UniqueFd, std::less<>>;
  static int find(const Fds& fds, std::string_view name) {
    const auto found = fds.find(name);
    return found == fds.end() ? -1 : found->second.get();
  }
  struct Loader;
  void inspect_kernel();
  void refuse(std::string_view program, std::string reason);

  ProgramSetOptions options_;
  bool is_inspected_ = false;
  Fds maps_;
  Fds programs_;
  std::map<std::string, Error, std::less<>> errors_;
  std::set<std::string, std::less<>> absent_;
  std::map<std::string_view, std::string> functions_;  // by program: what it is put at
  std::string trampoline_error_;
};

}  // namespace cicd
