// SPDX-License-Identifier: Apache-2.0
// ProgramSet: the kernel side, loaded but not attached. Owns the descriptors of maps and programs;
// libbpf's objects (with their BTF and relocations, some ten megabytes) are gone after load().
// Threads: one. Processes: descriptors are shared by fork().
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

struct ProgramSetOptions {
  std::size_t control_ring_bytes = 0;
  std::size_t bulk_ring_bytes = 0;
  std::string btf_path;      // empty: the kernel's own
  bool strict = false;       // with the programs of AttachKind::kStrict
  bool tls_capture = false;  // without it those programs are not loaded
};

class ProgramSet {
 public:
  // Fails when the shared maps cannot be made or no program at all loads. A single program that
  // does not load is absent.
  static Result<ProgramSet> load(const ProgramSetOptions& options);

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

 private:
  using Fds = std::map<std::string, UniqueFd, std::less<>>;
  static int find(const Fds& fds, std::string_view name) {
    const auto found = fds.find(name);
    return found == fds.end() ? -1 : found->second.get();
  }
  struct Loader;

  Result<> explain_nothing_loaded(const std::string& btf_path) const;

  Fds maps_;
  Fds programs_;
  std::map<std::string, Error, std::less<>> errors_;
  std::set<std::string, std::less<>> absent_;
};

}  // namespace cicd
