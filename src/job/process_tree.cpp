// SPDX-License-Identifier: Apache-2.0
#include "job/process_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/unique_fd.h"

namespace cicd {

namespace {

// What GitHub's runner calls the process of one job; comm has its first 15 bytes.
constexpr std::string_view kGithubWorker = "Runner.Worker";
constexpr int kMostAncestors = 4096;

// /proc/<pid>/stat: "7 (comm) S 3 ..."; comm may hold anything, so its end is the last ')'.
std::optional<ProcessTree::Entry> read_entry(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  char buffer[1024];
  const ssize_t size = ::read(file.get(), buffer, sizeof(buffer));
  if (size <= 0) return std::nullopt;
  const std::string_view text(buffer, static_cast<std::size_t>(size));
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  // After ')': " S <parent>"
  if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
      text.size() < close + 5) {
    return std::nullopt;
  }
  ProcessTree::Entry entry;
  struct stat info{};
  if (::fstat(file.get(), &info) == 0) entry.uid = info.st_uid;
  entry.comm = text.substr(open + 1, close - open - 1);
  std::from_chars(text.data() + close + 4, text.data() + text.size(), entry.parent);
  return entry;
}

// The folders of /proc or /proc/<pid>/task that are numbers.
template <typename Visit>
void for_each_number(const std::string& folder, Visit visit) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad == std::errc() && end == name.data() + name.size()) visit(pid);
  }
}

// What the threads of a process have started; false when the kernel does not say.
bool add_children(pid_t pid, std::vector<pid_t>& out) {
  bool has_lists = true;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for_each_number(tasks, [&](pid_t tid) {
    std::ifstream list(tasks + "/" + std::to_string(tid) + "/children");
    if (!list && std::filesystem::exists(tasks + "/" + std::to_string(tid))) has_lists = false;
    for (pid_t child = 0; list >> child;) out.push_back(child);
  });
  return has_lists;
}

}  // namespace

ProcessTree ProcessTree::read() {
  std::map<pid_t, Entry> entries;
  for_each_number("/proc", [&](pid_t pid) {
    if (auto entry = read_entry(pid)) entries[pid] = std::move(*entry);
  });
  return ProcessTree(std::move(entries));
}

ProcessTree ProcessTree::read_above(std::initializer_list<pid_t> pids) {
  std::map<pid_t, Entry> entries;
  for (pid_t pid : pids) {
    while (pid > 0 && !entries.contains(pid)) {
      auto entry = read_entry(pid);
      if (!entry) break;
      const pid_t parent = entry->parent;
      entries[pid] = std::move(*entry);
      pid = parent;
    }
  }
  return ProcessTree(std::move(entries));
}

ProcessTree ProcessTree::read_below(pid_t root) {
  std::map<pid_t, Entry> entries;
  std::vector<pid_t> found = {root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto entry = read_entry(found[i]);
    if (!entry || !entries.emplace(found[i], std::move(*entry)).second) continue;
    if (!add_children(found[i], found)) return read();
  }
  return ProcessTree(std::move(entries));
}

bool ProcessTree::is_above(pid_t ancestor, pid_t pid) const {
  for (int i = 0; i < kMostAncestors; ++i) {
    if (pid == ancestor) return true;
    const auto entry = entries_.find(pid);
    if (entry == entries_.end() || entry->second.parent == pid) return false;
    pid = entry->second.parent;
  }
  return false;
}

pid_t ProcessTree::worker_above(pid_t pid) const {
  for (int i = 0; i < kMostAncestors; ++i) {
    const auto entry = entries_.find(pid);
    if (entry == entries_.end()) return -1;
    if (entry->second.comm == kGithubWorker) return pid;
    pid = entry->second.parent;
  }
  return -1;
}

Result<pid_t> ProcessTree::root_of_job(pid_t peer, std::string_view provider, pid_t keeper) const {
  const auto own = entries_.find(peer);
  if (own == entries_.end()) {
    return fail(ErrorCode::kInvalidInput, "the process that asked has ended");
  }
  const pid_t root = provider == "github" ? worker_above(peer) : own->second.parent;
  if (root < 0) {
    return fail(ErrorCode::kInvalidInput,
                "the process that asked does not run below a " + std::string(kGithubWorker),
                "call `host start` from the runner's job-started hook");
  }
  if (!entries_.contains(root) || root <= 1) {
    return fail(ErrorCode::kInvalidInput, "the process that asked was not started by a job",
                "its parent is pid 1 or gone: call it from the shell that runs the job");
  }
  if (is_above(root, keeper)) {
    return fail(ErrorCode::kInvalidInput,
                "the agent itself runs below the process that asks (pid " + std::to_string(root) +
                    "), so it would be part of the job",
                "start the agent as a service, or in a session outside of the job");
  }
  return root;
}

std::vector<pid_t> ProcessTree::tree_below(pid_t root) const {
  std::multimap<pid_t, pid_t> children;
  for (const auto& [pid, entry] : entries_) children.emplace(entry.parent, pid);
  std::vector<pid_t> out;
  if (entries_.contains(root)) out.push_back(root);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto [begin, end] = children.equal_range(out[i]);
    for (auto child = begin; child != end; ++child) {
      if (child->second != out[i]) out.push_back(child->second);
    }
  }
  return out;
}

}  // namespace cicd
