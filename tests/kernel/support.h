// SPDX-License-Identifier: Apache-2.0
// Support of the kernel tests: a job cgroup, processes that act inside and outside of it, and the
// samples that came of it, read straight from the wire format (not through src/wire, so that the
// two check each other).
//
// CICD_TEST_BACKEND=syscall|trampoline forces that kind of backend where a test asks for no other.
//
// Threads: one. All tests with the same options share one LiveSource, opened at the first use and
// gone with the program.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/live_source.h"
#include "wire/sample.h"

namespace cicd::test {

inline constexpr std::uint32_t kSlot = 7;

struct SeenString {
  std::string bytes;
  std::uint32_t flags = 0;
  // The bytes of a walked path as a path; "/" when there are none.
  std::string path() const;
};

// One sample, copied out of the ring.
class Seen {
 public:
  explicit Seen(SampleBytes bytes) : bytes_(bytes.begin(), bytes.end()) {}

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  cicd_sample_header header() const { return fixed<cicd_sample_header>(); }
  template <typename T>
  T fixed() const {
    T out{};
    EXPECT_GE(bytes_.size(), sizeof(T));
    std::memcpy(&out, bytes_.data(), std::min(bytes_.size(), sizeof(T)));
    return out;
  }
  // The strings behind a fixed part of type T, in the order of `members`.
  template <typename T>
  std::vector<SeenString> strings(std::initializer_list<cicd_string T::*> members) const {
    const T head = fixed<T>();
    std::vector<SeenString> out;
    std::size_t at = sizeof(T);
    for (cicd_string T::* member : members) {
      const cicd_string& string = head.*member;
      const std::size_t length = std::min<std::size_t>(string.length, bytes_.size() - at);
      out.push_back(
          {std::string(reinterpret_cast<const char*>(bytes_.data()) + at, length), string.flags});
      at += string.length;
    }
    EXPECT_EQ(at, bytes_.size()) << "strings must fill the sample";
    EXPECT_EQ(head.header.size, bytes_.size());
    return out;
  }

 private:
  std::vector<std::byte> bytes_;
};

struct SeenExec {
  cicd_sample_exec fixed;
  SeenString exec_path, filename, cwd, argv, environment;
};
struct SeenOpen {
  cicd_sample_open fixed;
  SeenString path, base;
};
// remove, move, link and mount.
struct SeenPaths {
  cicd_sample_paths fixed;
  SeenString path, base, other, other_base;
};
// A name that a call was given as `raw`, relative to `base` (empty: absolute), and that leads to
// `path`: which of the two a sample has depends on the backend.
struct Name {
  std::string raw;
  std::string base;
  std::string path;
};
void expect_name(const SeenString& string, const SeenString& base, const Name& name,
                 bool is_walked);

struct SeenUnix {
  cicd_sample_unix_connect fixed;
  SeenString path, base;
};
struct SeenCgroup {
  cicd_sample_cgroup fixed;
  SeenString path;
};

class Samples {
 public:
  void add(SampleBytes bytes) { all_.emplace_back(bytes); }
  const std::vector<Seen>& all() const { return all_; }
  std::vector<Seen> of(cicd_sample_type type, pid_t pid = 0) const;
  std::vector<SeenExec> execs(pid_t pid = 0) const;
  std::vector<SeenOpen> opens(pid_t pid = 0) const;
  // Opens whose walked or raw path ends so.
  std::vector<SeenOpen> opens_of(std::string_view path_end, pid_t pid = 0) const;
  std::vector<SeenPaths> paths(cicd_sample_type type, pid_t pid = 0) const;
  std::vector<SeenUnix> unix_connects(pid_t pid = 0) const;
  std::vector<SeenCgroup> cgroups(cicd_sample_type type) const;
  template <typename T>
  std::vector<T> fixed(cicd_sample_type type, pid_t pid = 0) const {
    std::vector<T> out;
    for (const Seen& seen : of(type, pid)) out.push_back(seen.fixed<T>());
    return out;
  }

 private:
  std::vector<Seen> all_;
};

// A cgroup of our own, below this process's own; removed with what is still in it.
class Cgroup {
 public:
  explicit Cgroup(const std::string& path);
  static std::unique_ptr<Cgroup> below_own(const std::string& name);
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  const std::string& path() const { return path_; }
  std::string path_below_root() const;
  std::uint64_t id() const { return id_; }
  int fd() const { return fd_; }

 private:
  std::string path_;
  std::uint64_t id_ = 0;
  int fd_ = -1;
};

std::uint64_t cgroup_id_of_path(const std::string& path);
std::string own_cgroup_path();

struct Finished {
  pid_t pid = 0;
  int status = 0;  // as wait(2) gives it
};
// Runs `act` in a child in the cgroup (null: in ours) and waits for its end. The child leaves with
// the act's value. It is a fork: no gtest assertions inside.
using Act = std::function<int()>;
pid_t start(const Cgroup* cgroup, const Act& act, std::uint64_t extra_clone_flags = 0);
Finished run(const Cgroup* cgroup, const Act& act);

// execve without a shell; returns only when it fails.
int exec(const std::string& path, const std::vector<std::string>& argv);

class HookTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Runs the act in the job and returns what came of it; before that, runs it outside and expects
  // that nothing comes of that.
  Samples observe(const Act& act);
  // Inside only, for acts that cannot be done twice.
  Samples observe_inside(const Act& act);
  // Everything until the exit of `pid` has come, and what came with it.
  Samples collect_until_exit(pid_t pid);
  Finished finished() const { return finished_; }

  // Tests that need another sensor have one of their own kind.
  virtual LiveOptions options() const { return {}; }
  LiveSource& source() { return *source_; }
  // Whether the backend in use looks at functions of the kernel: then names come as paths and not
  // as the caller gave them, and calls are seen that make no system call of the known ones.
  bool at_functions(EventType type) const;
  const Cgroup& job() const { return *job_; }
  const std::string& scratch() const { return scratch_; }  // an empty directory

 private:
  static std::map<std::string, std::unique_ptr<LiveSource>> sources_;  // by what their options say

  LiveSource* source_ = nullptr;
  std::unique_ptr<Cgroup> job_;
  std::string scratch_;
  Finished finished_;
};

}  // namespace cicd::test
