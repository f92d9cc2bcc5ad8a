// SPDX-License-Identifier: Apache-2.0
// Against the real /proc: this process and a child of it.
#include "track/proc_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/unique_fd.h"

namespace cicd {
namespace {

// Field 22 of /proc/<pid>/stat, in ns. No name in these tests holds a ')' or blank.
std::uint64_t start_time_ns(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  for (int field = 1; field <= 22; ++field) stat >> word;
  return std::stoull(word) * (1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

TEST(ProcReader, ReadsThisProcess) {
  const auto pid = static_cast<std::uint32_t>(::getpid());
  const auto reader = make_proc_reader();
  const auto facts = reader->read(pid, start_time_ns(::getpid()) + 3'000'000);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->parent_pid, static_cast<std::uint32_t>(::getppid()));
  EXPECT_EQ(facts->uid, ::geteuid());
  EXPECT_NE(facts->exec_path.find("track_test"), std::string::npos);
  EXPECT_FALSE(facts->argv.empty());
  char cwd[4096];
  EXPECT_EQ(facts->cwd, ::getcwd(cwd, sizeof(cwd)));
}

TEST(ProcReader, AnotherStartTimeIsAnotherProcess) {
  const auto pid = static_cast<std::uint32_t>(::getpid());
  const auto reader = make_proc_reader();
  EXPECT_FALSE(reader->read(pid, start_time_ns(::getpid()) - 20'000'000));
  EXPECT_FALSE(reader->read(pid, start_time_ns(::getpid()) + 20'000'000));
}

// A child that runs `sleep` with `argument` until it is told to go.
class Sleeper {
 public:
  // `variables`: the environment, when there are some.
  explicit Sleeper(const std::string& argument, std::vector<std::string> variables = {}) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setpgid(0, 0);  // the shell's own child goes with it
      std::vector<char*> envp;
      for (std::string& each : variables) envp.push_back(each.data());
      envp.push_back(nullptr);
      ::execle("/bin/sh", "sh", "-c", "sleep 60; :", argument.c_str(), "", "last", nullptr,
               variables.empty() ? ::environ : envp.data());
      ::_exit(127);
    }
    write_end.reset();
    char byte;
    // Closed by the exec: from then on /proc shows the new program.
    while (::read(read_end.get(), &byte, 1) < 0 && errno == EINTR) {
    }
  }
  ~Sleeper() { stop(); }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

TEST(ProcReader, ArgumentsAsTheyAre) {
  const Sleeper child("with blank\nand newline");
  const auto facts =
      make_proc_reader()->read(static_cast<std::uint32_t>(child.pid()), start_time_ns(child.pid()));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->argv, (std::vector<std::string>{
                             "sh", "-c", "sleep 60; :", "with blank\nand newline", "", "last"}));
  EXPECT_FALSE(facts->argv_truncated);
}

TEST(ProcReader, LongArgumentsAreCutAndMarked) {
  const Sleeper child(std::string(20'000, 'x'));
  const auto facts =
      make_proc_reader()->read(static_cast<std::uint32_t>(child.pid()), start_time_ns(child.pid()));
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->argv_truncated);
  ASSERT_EQ(facts->argv.size(), 4u);
  EXPECT_LT(facts->argv.back().size(), 8'192u);
}

TEST(ProcReader, OfTheEnvironmentWantedVariablesAlone) {
  const Sleeper child("x", {"TOKEN=secret", "STEP=build", "STEPS=secret", "", "NAME",
                            "SHORT=123456", "STEP=again"});
  constexpr StepVariable kWanted[] = {{"STEP", 100}, {"SHORT", 3}, {"NAME", 100}};
  const auto pid = static_cast<std::uint32_t>(child.pid());
  const std::uint64_t start = start_time_ns(child.pid());
  const auto facts = make_proc_reader("/proc", kWanted)->read(pid, start);
  ASSERT_TRUE(facts);
  using std::string_literals::operator""s;
  EXPECT_EQ(facts->environment, "STEP=build\0SHORT=123\0STEP=again\0"s);
  EXPECT_EQ(make_proc_reader()->read(pid, start)->environment, "");
}

TEST(ProcReader, GoneProcesses) {
  Sleeper child("x");
  const auto pid = static_cast<std::uint32_t>(child.pid());
  const std::uint64_t start = start_time_ns(child.pid());
  child.stop();
  EXPECT_FALSE(make_proc_reader()->read(pid, start));
  EXPECT_FALSE(make_proc_reader("/nonexistent")->read(1, 0));
}

}  // namespace
}  // namespace cicd
