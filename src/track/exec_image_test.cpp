// SPDX-License-Identifier: Apache-2.0
#include "track/exec_image.h"

#include <gtest/gtest.h>

#include "event/event_record.h"
#include "track/tracker_test_support.h"

namespace cicd {
namespace {

MadeImage image_of(const SampleBuffer& bytes, const ImageBudget& budget) {
  Arena scratch;
  return make_image(std::get<ExecSample>(*decode(bytes)), budget, scratch);
}

TEST(ExecImage, ScriptsAreJoinedFromWhereTheCallerStood) {
  const ImageBudget budget{1'000'000};
  const auto script = [&](const std::string& filename) {
    const ExecParts parts{
        .exec_path = "/bin/sh", .filename = filename, .cwd = "/build", .flags = CICD_EXEC_SCRIPT};
    return image_of(exec_sample({}, parts), budget).image->script_path;
  };
  EXPECT_EQ(script("./configure"), "/build/configure");
  EXPECT_EQ(script("/opt/run"), "/opt/run");
  EXPECT_EQ(image_of(exec_sample({}, ExecParts{}), budget).image->script_path, "");
}

TEST(ExecImage, ArgumentsAndTheirMarks) {
  using std::string_view_literals::operator""sv;
  const ImageBudget budget{1'000'000};
  const ExecStrings strings{walked("/bin/x", CICD_STRING_DELETED), raw("x"), walked("/"),
                            raw("x\0\0cut"sv, CICD_STRING_TRUNCATED)};
  const MadeImage made = image_of(exec_sample({}, {}, strings), budget);
  EXPECT_EQ(made.image->exec_path, "/bin/x (deleted)");
  EXPECT_EQ(made.image->argv, (std::vector<std::string>{"x", "", "cut"}));
  EXPECT_EQ(made.marks, kMarkDeletedPath | kMarkTruncatedArgv);
}

TEST(ExecImage, ProgramsInMemory) {
  const ExecStrings strings{raw("memfd:p", CICD_STRING_MEMFD), raw("/proc/self/fd/3"), walked("/"),
                            arguments({"p"})};
  const MadeImage made = image_of(exec_sample({}, {}, strings), ImageBudget{1'000'000});
  EXPECT_TRUE(made.image->is_memfd);
  EXPECT_EQ(made.image->exec_path, "/memfd:p (deleted)");
}

TEST(ExecImage, TheBudgetCountsWhatExists) {
  const ImageBudget budget{2'000};
  const SampleBuffer fat = exec_sample({}, {.cwd = "/w", .argv = {"cc", std::string(3'000, 'a')}});
  MadeImage first = image_of(fat, budget);
  EXPECT_EQ(first.image->argv.size(), 2u);
  EXPECT_EQ(budget.used_bytes->load(), weight_of(*first.image));
  const MadeImage second = image_of(fat, budget);
  EXPECT_EQ(second.image->argv, std::vector<std::string>{"cc"});
  EXPECT_EQ(second.image->cwd, "");
  EXPECT_EQ(second.image->exec_path, "/bin/true");
  EXPECT_EQ(second.marks, kMarkTruncatedArgv);
  first = {};
  EXPECT_EQ(budget.used_bytes->load(), weight_of(*second.image));
  EXPECT_EQ(image_of(fat, budget).image->argv.size(), 2u);
}

// Chains of ancestors that ran with fat arguments: most of them are cut.
TEST(ExecImage, ChainsOfFatAncestorsStayWithinTheBudget) {
  TrackerOptions options;
  options.limits.max_image_bytes = 1'000'000;
  TrackerBench bench(std::move(options));
  bench.start_shell();
  const std::vector<std::string> argv(4'000);
  std::size_t uncut = 0;
  std::uint32_t pid = 1'000;
  for (int leaf = 0; leaf < 5; ++leaf) {
    Actor parent = kShell;
    for (int i = 0; i < 40; ++i) {
      Actor child = kShell;
      child.pid = ++pid;
      bench.send(fork_sample(child, parent));
      bench.send(exec_sample(child.image(2), {.argv = argv}));
      if ((bench.records().back().marks & kMarkTruncatedArgv) == 0) ++uncut;
      bench.batch().reset();
      parent = child.image(2);
    }
  }
  // Each full image weighs a little more than 128,000 bytes.
  EXPECT_EQ(uncut, 8u);
}

}  // namespace
}  // namespace cicd
