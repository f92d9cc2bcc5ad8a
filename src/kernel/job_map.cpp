// SPDX-License-Identifier: Apache-2.0
#include "kernel/job_map.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "base/time_format.h"
#include "kernel/map_entries.h"

namespace cicd {

namespace {

// name_to_handle_at(2) on cgroupfs gives handles of this type; the id is the cgroup's.
constexpr int kKernfsHandle = 0xfe;

UniqueFd open_cgroup(int root_fd, std::uint64_t cgroup_id) {
  alignas(file_handle) char buffer[sizeof(file_handle) + sizeof(cgroup_id)] = {};
  auto* handle = reinterpret_cast<file_handle*>(buffer);
  handle->handle_bytes = sizeof(cgroup_id);
  handle->handle_type = kKernfsHandle;
  std::memcpy(buffer + offsetof(file_handle, f_handle), &cgroup_id, sizeof(cgroup_id));
  return UniqueFd(::open_by_handle_at(root_fd, handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::string dir_of(int fd) {
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  std::string dir(PATH_MAX, '\0');
  const ssize_t size = ::readlink(link.c_str(), dir.data(), dir.size());
  dir.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return dir;
}

void put_members(const ProgramSet& programs, int root_fd, std::uint64_t cgroup_id,
                 std::uint32_t slot) {
  UniqueFd directory = open_cgroup(root_fd, cgroup_id);
  if (!directory) return;  // only the reporting of an escape of these processes hangs on it
  std::ifstream procs("/proc/self/fd/" + std::to_string(directory.get()) + "/cgroup.procs");
  const cicd_member member = {
      .cgroup_id = cgroup_id, .start_time_ns = 0, .slot = slot, .exec_id = 0, .step = 0, .pad0 = 0};
  std::uint32_t pid = 0;
  while (procs >> pid) {
    if (pid != 0) ::bpf_map_update_elem(programs.map_fd("members"), &pid, &member, BPF_NOEXIST);
  }
}

// Where it is in the file system; empty: removed.
std::string dir_of(int root_fd, std::uint64_t cgroup_id) {
  const UniqueFd directory = open_cgroup(root_fd, cgroup_id);
  return directory ? dir_of(directory.get()) : std::string();
}

std::optional<cicd_basename> basename_of(const std::string& text) {
  cicd_basename name{};
  if (text.empty() || text.size() >= sizeof(name.text) ||
      text.find_first_of(std::string("/\0", 2)) != std::string::npos) {
    return std::nullopt;
  }
  text.copy(name.text, text.size());
  return name;
}

}  // namespace

Result<> put_cgroup(const ProgramSet& programs, int cgroup_root_fd, std::uint64_t cgroup_id,
                    std::uint32_t slot) {
  if (::bpf_map_update_elem(programs.map_fd("tracked_cgroups"), &cgroup_id, &slot, BPF_ANY) != 0) {
    return fail_errno(errno, "put cgroup " + std::to_string(cgroup_id) + " under observation");
  }
  put_members(programs, cgroup_root_fd, cgroup_id, slot);
  return {};
}

Result<> put_builds(const ProgramSet& programs, std::uint64_t parent_id, bool are_among_others,
                    std::uint32_t slot) {
  const int fd = programs.map_fd("build_parents");
  if (slot == 0) {
    ::bpf_map_delete_elem(fd, &parent_id);
    return {};
  }
  const std::uint32_t value = slot | (are_among_others ? CICD_BUILDS_AMONG_OTHERS : 0);
  if (::bpf_map_update_elem(fd, &parent_id, &value, BPF_ANY) == 0) return {};
  return fail_errno(errno, "put the builds in cgroup " + std::to_string(parent_id));
}

Result<> put_staged(const ProgramSet& programs, cicd_shared* shared, const std::string& basename,
                    std::uint32_t slot) {
  const auto name = basename_of(basename);
  if (!name) {
    return fail(ErrorCode::kInvalidInput, "basename is not the name of a cgroup",
                "1 to " + std::to_string(sizeof(name->text) - 1) + " bytes without /");
  }
  const int fd = programs.map_fd("staged_names");
  if (::bpf_map_update_elem(fd, &*name, &slot, BPF_NOEXIST) == 0) {
    __atomic_fetch_add(&shared->staged, 1, __ATOMIC_SEQ_CST);
    return {};
  }
  if (errno == EEXIST && ::bpf_map_update_elem(fd, &*name, &slot, BPF_EXIST) == 0) return {};
  if (errno != E2BIG) return fail_errno(errno, "stage the cgroup " + basename);
  return fail(ErrorCode::kResource, "too many containers are waited for");
}

std::optional<EarlierCgroup> take_earlier(const ProgramSet& programs, cicd_shared* shared,
                                          int cgroup_root_fd, const std::string& basename) {
  const auto name = basename_of(basename);
  cicd_made made{};
  if (!name || ::bpf_map_lookup_elem(programs.map_fd("made_names"), &*name, &made) != 0) return {};
  // Who deletes the name has the cgroup: else it was made while it was staged, and is the slot's.
  if (::bpf_map_delete_elem(programs.map_fd("staged_names"), &*name) != 0) return {};
  __atomic_fetch_sub(&shared->staged, 1, __ATOMIC_SEQ_CST);
  const std::uint64_t age_ns = boottime_now_ns() - made.time_ns;
  EarlierCgroup earlier{made.cgroup_id, dir_of(cgroup_root_fd, made.cgroup_id), age_ns};
  if (!earlier.path.empty()) earlier.path.erase(0, dir_of(cgroup_root_fd).size());
  return earlier;
}

Result<> put_wanted(const ProgramSet& programs, cicd_shared* shared,
                    std::span<const StepVariable> variables) {
  // Without the exec program nobody looks at them.
  const int fd = programs.map_fd("wanted_vars");
  if (fd < 0) return {};
  for (const StepVariable& variable : variables) {
    cicd_variable name{};
    if (variable.name.empty() || variable.name.size() >= sizeof(name)) {
      return fail(ErrorCode::kInternal,
                  "the name of variable " + std::string(variable.name) + " is too long");
    }
    std::memcpy(&name, variable.name.data(), variable.name.size());
    auto wanted = static_cast<std::uint32_t>(variable.name.size() + 1 + variable.most_value_bytes);
    if (variable.is_id) wanted |= static_cast<std::uint32_t>(variable.name.size()) << 16;
    if (::bpf_map_update_elem(fd, &name, &wanted, BPF_ANY) != 0) {
      return fail_errno(errno, "put the variable " + std::string(variable.name) + " into a map");
    }
    shared->wanted |= cicd_variable_bit(&name);
  }
  return {};
}

std::vector<TrackedProcess> members_of(const ProgramSet& programs, std::uint32_t slot) {
  std::vector<TrackedProcess> out;
  for_each_entry<std::uint32_t, cicd_member>(programs.map_fd("members"),
                                             [&](std::uint32_t pid, const cicd_member& member) {
                                               if (member.slot == slot)
                                                 out.push_back({pid, member.start_time_ns});
                                             });
  return out;
}

std::vector<TrackedCgroup> cgroups_of(const ProgramSet& programs, int cgroup_root_fd,
                                      std::uint32_t slot) {
  std::vector<TrackedCgroup> out;
  for_each_entry<std::uint64_t, std::uint32_t>(programs.map_fd("tracked_cgroups"),
                                               [&](std::uint64_t id, std::uint32_t owner) {
                                                 if (owner != slot) return;
                                                 std::string dir = dir_of(cgroup_root_fd, id);
                                                 // Of one that was removed the id stays until the
                                                 // job's end.
                                                 if (!dir.empty())
                                                   out.push_back({id, std::move(dir)});
                                               });
  return out;
}

std::uint32_t slot_of_process(const ProgramSet& programs, std::uint32_t pid) {
  cicd_member member{};
  if (::bpf_map_lookup_elem(programs.map_fd("members"), &pid, &member) != 0) return 0;
  return member.slot;
}

std::uint32_t slot_of_cgroup(const ProgramSet& programs, std::uint64_t cgroup_id) {
  std::uint32_t slot = 0;
  const int map = programs.map_fd("tracked_cgroups");
  return ::bpf_map_lookup_elem(map, &cgroup_id, &slot) == 0 ? slot : 0;
}

std::set<std::uint32_t> used_slots(const ProgramSet& programs) {
  std::set<std::uint32_t> slots;
  const auto collect = [&](const auto&, std::uint32_t slot) {
    slots.insert(slot & ~CICD_BUILDS_AMONG_OTHERS);
  };
  for_each_entry<std::uint64_t, std::uint32_t>(programs.map_fd("build_parents"), collect);
  for_each_entry<std::uint64_t, std::uint32_t>(programs.map_fd("tracked_cgroups"), collect);
  for_each_entry<cicd_basename, std::uint32_t>(programs.map_fd("staged_names"), collect);
  for_each_entry<std::uint32_t, cicd_member>(
      programs.map_fd("members"),
      [&](std::uint32_t, const cicd_member& value) { slots.insert(value.slot); });
  return slots;
}

void remove_slot(const ProgramSet& programs, cicd_shared* shared, std::uint32_t slot) {
  const auto is_slot = [slot](const auto&, std::uint32_t value) { return value == slot; };
  delete_where<std::uint64_t, std::uint32_t>(programs.map_fd("build_parents"),
                                             [slot](const auto&, std::uint32_t value) {
                                               return (value & ~CICD_BUILDS_AMONG_OTHERS) == slot;
                                             });
  delete_where<std::uint64_t, std::uint32_t>(programs.map_fd("tracked_cgroups"), is_slot);
  delete_where<std::uint32_t, cicd_member>(
      programs.map_fd("members"),
      [slot](std::uint32_t, const cicd_member& value) { return value.slot == slot; });
  const std::size_t gone =
      delete_where<std::uint32_t, std::uint32_t>(programs.map_fd("escaped"), is_slot);
  __atomic_fetch_sub(&shared->escaped, gone, __ATOMIC_RELAXED);
  const std::size_t unused =
      delete_where<cicd_basename, std::uint32_t>(programs.map_fd("staged_names"), is_slot);
  __atomic_fetch_sub(&shared->staged, unused, __ATOMIC_RELAXED);
}

}  // namespace cicd
