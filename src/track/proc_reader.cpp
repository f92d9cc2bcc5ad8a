// SPDX-License-Identifier: Apache-2.0
#include "track/proc_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/unique_fd.h"
#include "wire/sample.h"

namespace cicd {

namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::size_t kMaxEnvironmentBytes = 128 * 1024;

// At most `limit` bytes of a file below /proc/<pid>; nullopt when it cannot be read.
std::optional<std::string> read_file(int directory, const char* name, std::size_t limit) {
  const UniqueFd fd(::openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return std::nullopt;
  std::string text(limit, '\0');
  std::size_t done = 0;
  while (done < limit) {
    const ssize_t got = ::read(fd.get(), text.data() + done, limit - done);
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  return text;
}

std::string read_link(int directory, const char* name) {
  std::string text(CICD_PATH_MAX, '\0');
  const ssize_t got = ::readlinkat(directory, name, text.data(), text.size());
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

struct Stat {
  std::uint32_t parent_pid = 0;
  std::uint64_t start_ticks = 0;
};

// Fields 4 (ppid) and 22 (starttime, clock ticks since boot); the name in field 2 may hold
// anything, so counting starts behind its last ')'.
std::optional<Stat> read_stat(int directory) {
  const std::optional<std::string> text = read_file(directory, "stat", 4096);
  if (!text) return std::nullopt;
  const std::size_t paren = text->rfind(')');
  if (paren == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(*text).substr(paren + 1);
  Stat stat;
  for (int field = 3; field <= 22; ++field) {
    const std::size_t start = rest.find_first_not_of(' ');
    if (start == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(start);
    const char* const end = rest.data() + rest.size();
    if (field == 4 && std::from_chars(rest.data(), end, stat.parent_pid).ec != std::errc{}) {
      return std::nullopt;
    }
    if (field == 22 && std::from_chars(rest.data(), end, stat.start_ticks).ec != std::errc{}) {
      return std::nullopt;
    }
    const std::size_t space = rest.find(' ');
    rest.remove_prefix(space == std::string_view::npos ? rest.size() : space);
  }
  return stat;
}

// The effective uid, second number of the "Uid:" line.
std::uint32_t read_uid(int directory) {
  const std::string text = read_file(directory, "status", 4096).value_or("");
  const std::size_t line = text.find("\nUid:");
  if (line == std::string::npos) return 0;
  const std::size_t first = text.find_first_of("0123456789", line);
  const std::size_t second = text.find_first_of("0123456789", text.find('\t', first));
  std::uint32_t uid = 0;
  if (second != std::string::npos) {
    std::from_chars(text.data() + second, text.data() + text.size(), uid);
  }
  return uid;
}

void read_argv(int directory, ProcFacts& facts) {
  const std::string text = read_file(directory, "cmdline", CICD_ARGV_MAX + 1).value_or("");
  facts.argv_truncated = text.size() > CICD_ARGV_MAX;
  std::string_view rest = std::string_view(text).substr(0, CICD_ARGV_MAX);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\0');
    facts.argv.emplace_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
}

// Of the variables of a process those that are wanted; the rest is wiped from our memory.
std::string read_environment(int directory, std::span<const StepVariable> wanted) {
  std::string out;
  if (wanted.empty()) return out;
  std::string text = read_file(directory, "environ", kMaxEnvironmentBytes).value_or("");
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view entry = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const std::string_view name = entry.substr(0, entry.find('='));
    const auto found = std::ranges::find(wanted, name, &StepVariable::name);
    if (found == wanted.end() || name.size() == entry.size()) continue;
    const std::string_view kept = entry.substr(0, name.size() + 1 + found->most_value_bytes);
    if (out.size() + kept.size() >= CICD_ENVIRONMENT_MAX) break;
    out.append(kept).push_back('\0');
  }
  ::explicit_bzero(text.data(), text.size());
  return out;
}

class LiveProcReader : public ProcReader {
 public:
  LiveProcReader(const std::string& proc_root, std::span<const StepVariable> variables)
      : variables_(variables.begin(), variables.end()),
        root_(::open(proc_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        ticks_per_second_(static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK))) {}

  std::optional<ProcFacts> read(std::uint32_t pid, std::uint64_t start_time_ns) override {
    char name[16];
    std::snprintf(name, sizeof(name), "%u", pid);
    const UniqueFd directory(
        ::openat(root_.get(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!directory) return std::nullopt;
    // The descriptor stays with this process even if the pid is given away meanwhile, so checking
    // the start time once is enough.
    const std::optional<Stat> stat = read_stat(directory.get());
    const std::uint64_t start_ticks = start_time_ns / (kNsPerSecond / ticks_per_second_);
    if (!stat || stat->start_ticks != start_ticks) return std::nullopt;
    ProcFacts facts;
    facts.parent_pid = stat->parent_pid;
    facts.uid = read_uid(directory.get());
    facts.exec_path = read_link(directory.get(), "exe");
    facts.cwd = read_link(directory.get(), "cwd");
    read_argv(directory.get(), facts);
    facts.environment = read_environment(directory.get(), variables_);
    return facts;
  }

 private:
  std::vector<StepVariable> variables_;
  UniqueFd root_;
  std::uint64_t ticks_per_second_;
};

}  // namespace

std::unique_ptr<ProcReader> make_proc_reader(const std::string& proc_root,
                                             std::span<const StepVariable> variables) {
  return std::make_unique<LiveProcReader>(proc_root, variables);
}

}  // namespace cicd
