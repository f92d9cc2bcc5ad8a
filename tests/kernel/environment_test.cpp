// SPDX-License-Identifier: Apache-2.0
// Variables of the environment: those that are wanted come with the exec, of others not a byte.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "support.h"

namespace cicd::test {

namespace {

using std::string_literals::operator""s;

// The longest name there can be, names that begin alike, one whose value may be four bytes.
constexpr StepVariable kWanted[] = {
    {"STEP_NAME", 255}, {"STEP_ID", 255}, {"SHORT", 4}, {"A_NAME_OF_THIRTY-ONE_BYTES_ABCD", 255}};

class EnvironmentHooks : public HookTest {
 protected:
  LiveOptions options() const override {
    LiveOptions options;
    options.variables = kWanted;
    return options;
  }

  // What `/bin/true` that is started with these tells.
  SeenString told(const std::vector<std::string>& variables) {
    const Samples samples = observe([&] {
      std::vector<char*> envp;
      for (const std::string& each : variables) envp.push_back(const_cast<char*>(each.c_str()));
      envp.push_back(nullptr);
      char name[] = "true";
      char* argv[] = {name, nullptr};
      ::execve("/bin/true", argv, envp.data());
      return 127;
    });
    const auto execs = samples.execs(finished().pid);
    EXPECT_EQ(execs.size(), 1u);
    // Not in what was wanted only: nowhere in the sample.
    for (const Seen& seen : samples.all()) {
      EXPECT_EQ(seen.text().find("secret"), std::string_view::npos);
    }
    return execs.empty() ? SeenString{} : execs[0].environment;
  }
};

TEST_F(EnvironmentHooks, WantedVariablesComeAndOthersDoNot) {
  const SeenString seen =
      told({"PATH=/bin", "TOKEN=secret", "STEP_NAME=build it", "STEP_IDS=secret", "STEP=secret",
            "step_name=secret", "STEP_ID=7", "XSTEP_ID=secret", "HOME=/"});
  EXPECT_EQ(seen.bytes, "STEP_NAME=build it\0STEP_ID=7\0"s);
  EXPECT_EQ(seen.flags, 0u);
}

TEST_F(EnvironmentHooks, NoVariablesNoBytes) {
  EXPECT_EQ(told({}).bytes, "");
  const SeenString seen = told({"TOKEN=secret", "EMPTY="});
  EXPECT_EQ(seen.bytes, "");
  EXPECT_EQ(seen.flags, 0u);
}

TEST_F(EnvironmentHooks, EmptyAndOddStringsAreNoHindrance) {
  const SeenString seen = told({"", "", "=", "=secret", "STEP_NAME", "STEP_NAME\x01=secret",
                                "NAME_WITHOUT_VALUE", "A_NAME_OF_THIRTY-ONE_BYTES_ABCDE=secret",
                                "A_NAME_OF_THIRTY-ONE_BYTES_ABCD=x", "STEP_ID="});
  EXPECT_EQ(seen.bytes, "A_NAME_OF_THIRTY-ONE_BYTES_ABCD=x\0STEP_ID=\0"s);
  EXPECT_EQ(seen.flags, 0u);
}

// Around the lengths in which the kernel side reads.
TEST_F(EnvironmentHooks, LongStringsBeforeAreSteppedOver) {
  for (const std::size_t size :
       {505u, 509u, 510u, 511u, 512u, 1021u, 1022u, 1023u, 5000u, 100000u}) {
    SCOPED_TRACE(size);
    // Each piece of it would look like a wanted variable.
    std::string filler = "T=";
    while (filler.size() < size) filler += "STEP_ID=secret";
    filler.resize(size);
    EXPECT_EQ(told({filler, "STEP_ID=after"}).bytes, "STEP_ID=after\0"s);
  }
}

TEST_F(EnvironmentHooks, LongValuesAreCut) {
  EXPECT_EQ(told({"SHORT=1234secret"}).bytes, "SHORT=1234\0"s);
  EXPECT_EQ(told({"STEP_ID=" + std::string(300, 'x')}).bytes,
            "STEP_ID=" + std::string(255, 'x') + '\0');
  EXPECT_EQ(told({"STEP_ID=" + std::string(5000, 'x'), "SHORT=1"}).bytes,
            "STEP_ID=" + std::string(255, 'x') + "\0SHORT=1\0"s);
}

TEST_F(EnvironmentHooks, WhatIsBeyondTheLimitIsSaid) {
  // More variables than are looked at.
  std::vector<std::string> many(2000, "X=1");
  many.push_back("STEP_ID=late");
  SeenString seen = told(many);
  EXPECT_EQ(seen.bytes, "");
  EXPECT_EQ(seen.flags, CICD_STRING_TRUNCATED);
  // As many as every kernel looks at.
  many.resize(500);
  many.push_back("STEP_ID=in time");
  seen = told(many);
  EXPECT_EQ(seen.bytes, "STEP_ID=in time\0"s);
  EXPECT_EQ(seen.flags, 0u);
  // More that is wanted than there is room for.
  seen = told(std::vector<std::string>(100, "STEP_ID=" + std::string(200, 'x')));
  EXPECT_EQ(seen.bytes.size() % 209, 0u);
  EXPECT_GT(seen.bytes.size(), CICD_ENVIRONMENT_MAX - 209u);
  EXPECT_LE(seen.bytes.size(), std::size_t{CICD_ENVIRONMENT_MAX});
  EXPECT_EQ(seen.flags, CICD_STRING_TRUNCATED);
}

// Longest of everything at once: the sample still fits.
TEST_F(EnvironmentHooks, LongArgumentsLeaveItsPlaceAlone) {
  const Samples samples = observe([] {
    std::vector<std::string> words(200, std::string(100, 'a'));
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    char step[] = "STEP_ID=9";
    char* envp[] = {step, nullptr};
    ::execve("/bin/true", argv.data(), envp);
    return 127;
  });
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].argv.bytes.size(), std::size_t{CICD_ARGV_MAX});
  EXPECT_EQ(execs[0].environment.bytes, "STEP_ID=9\0"s);
}

// Nothing outlives an exec in the memory that the next one uses.
TEST_F(EnvironmentHooks, NothingOfTheProgramBeforeStays) {
  EXPECT_EQ(told({"STEP_ID=" + std::string(255, 'x')}).bytes.size(), 8 + 255 + 1u);
  EXPECT_EQ(told({"STEP_ID=y"}).bytes, "STEP_ID=y\0"s);
  EXPECT_EQ(told({"X=y"}).bytes, "");
}

// Many at once that end before anybody could look at /proc.
TEST_F(EnvironmentHooks, ShortProcessesTellTheirs) {
  constexpr int kCount = 200;
  const Samples samples = observe_inside([] {
    for (int i = 0; i < kCount; ++i) {
      std::string step = "STEP_ID=" + std::to_string(i);
      const pid_t child = ::fork();
      if (child == 0) {
        char name[] = "true";
        char* argv[] = {name, nullptr};
        char* envp[] = {step.data(), nullptr};
        ::execve("/bin/true", argv, envp);
        ::_exit(127);
      }
    }
    while (::wait(nullptr) > 0) {
    }
    return 0;
  });
  std::vector<std::string> seen;
  for (const SeenExec& exec : samples.execs()) seen.push_back(exec.environment.bytes);
  ASSERT_EQ(seen.size(), std::size_t{kCount});
  std::ranges::sort(seen);
  for (int i = 0; i < kCount; ++i) {
    EXPECT_TRUE(std::ranges::binary_search(seen, "STEP_ID=" + std::to_string(i) + '\0'));
  }
}

class NoEnvironmentHooks : public HookTest {};

// Without wanted variables the walk is not made.
TEST_F(NoEnvironmentHooks, WithoutWantedVariablesNothingIsTold) {
  const Samples samples = observe([] {
    char name[] = "true";
    char* argv[] = {name, nullptr};
    char step[] = "STEP_ID=9";
    char* envp[] = {step, nullptr};
    ::execve("/bin/true", argv, envp);
    return 127;
  });
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].environment.bytes, "");
}

}  // namespace

}  // namespace cicd::test
