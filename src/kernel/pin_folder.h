// SPDX-License-Identifier: Apache-2.0
// PinFolder: a folder in a bpffs that people see, in which the kernel side outlives the process
// that loaded it: maps, programs, attachments, and a map with what the next process must know of
// them. A process that ends as it should removes the folder; one that is killed leaves it to the
// next.
//
//   maps/<name>  programs/<name>  links/<name>  probes/<name>  state
//
// Threads: one. Two processes must not use a folder at once; who may is the caller's business.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

// Where an agent's folders are.
inline constexpr const char* kPinRoot = "/sys/fs/bpf/cicd-sensor";

class PinFolder {
 public:
  // Makes the folder and those above it, below /sys/fs/bpf or wherever `path` says; mounts a bpffs
  // at /sys/fs/bpf when it is there without one.
  static Result<std::unique_ptr<PinFolder>> open(const std::string& path);
  // Removes everything.
  ~PinFolder();
  PinFolder(const PinFolder&) = delete;
  PinFolder& operator=(const PinFolder&) = delete;

  // What an earlier process wrote with write_state(); empty: nothing, or nothing that is whole.
  std::string read_state() const;
  Result<> write_state(std::string_view state);

  // `kind`: "maps", "programs", "links", "probes".
  std::vector<std::string> names(std::string_view kind) const;
  Result<UniqueFd> get(std::string_view kind, std::string_view name) const;
  // In the place of what had the name before.
  Result<> put(std::string_view kind, std::string_view name, int fd);
  // A descriptor of the folder of a kind.
  Result<UniqueFd> open_kind(std::string_view kind) const;

  // Everything in it, so that what was attached by it is detached.
  void clear();
  // Only what the next process would go by; attachments stay.
  void forget();

 private:
  explicit PinFolder(std::string path) : path_(std::move(path)) {}
  Result<> make_kinds();
  std::string path_of(std::string_view kind, std::string_view name) const;

  std::string path_;
};

}  // namespace cicd
