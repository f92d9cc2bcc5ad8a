// SPDX-License-Identifier: Apache-2.0
#include "job/process_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// init -> agent; init -> listener -> worker -> bash -> hook, and worker -> node -> sh
ProcessTree runner() {
  return ProcessTree({{1, {0, "systemd", 0}},
                      {2, {1, "cicd-sensor", 0}},
                      {10, {1, "Runner.Listener", 0}},
                      {11, {10, "Runner.Worker", 0}},
                      {12, {11, "bash", 0}},
                      {13, {12, "cicd-sensor", 0}},
                      {14, {11, "node", 0}},
                      {15, {14, "sh", 0}},
                      {20, {10, "other", 0}}});
}

std::string refusal(const ProcessTree& tree, pid_t peer, std::string_view provider, pid_t keeper) {
  const Result<pid_t> root = tree.root_of_job(peer, provider, keeper);
  return root ? "" : root.error().text;
}

TEST(ProcessTree, OnGithubTheJobIsWhatTheWorkerStarted) {
  const ProcessTree tree = runner();
  EXPECT_EQ(tree.root_of_job(13, "github", 2).value(), 11);
  EXPECT_THAT(tree.tree_below(11), ElementsAre(11, 12, 14, 13, 15));
  EXPECT_THAT(refusal(tree, 20, "github", 2), HasSubstr("does not run below a Runner.Worker"));
}

TEST(ProcessTree, ElsewhereTheJobIsTheOneThatAsked) {
  EXPECT_EQ(runner().root_of_job(13, "jenkins", 2).value(), 12);
  EXPECT_THAT(refusal(runner(), 10, "generic", 2), HasSubstr("not started by a job"));
  EXPECT_THAT(refusal(runner(), 99, "generic", 2), HasSubstr("has ended"));
}

TEST(ProcessTree, TheAgentIsNeverPartOfAJob) {
  EXPECT_THAT(refusal(runner(), 12, "generic", 15), HasSubstr("agent itself"));
  EXPECT_THAT(refusal(runner(), 13, "generic", 12), HasSubstr("agent itself"));
}

TEST(ProcessTree, ACycleEnds) {
  const ProcessTree tree({{5, {6, "a", 0}}, {6, {5, "b", 0}}, {7, {7, "c", 0}}});
  EXPECT_FALSE(tree.root_of_job(5, "github", 2));
  EXPECT_EQ(tree.tree_below(7).size(), 1u);
}

TEST(ProcessTree, ReadsThisMachine) {
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, "a) S 1 (b");
    char byte = 0;
    if (::write(go[1], "x", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(byte);
  }
  char byte = 0;
  ASSERT_EQ(::read(go[0], &byte, 1), 1);
  const ProcessTree tree = ProcessTree::read();
  EXPECT_TRUE(tree.contains(child));
  EXPECT_EQ(tree.uid_of(::getpid()), ::geteuid());
  EXPECT_EQ(tree.root_of_job(child, "generic", child).value_or(0), 0) << "we are above the keeper";
  EXPECT_EQ(tree.root_of_job(child, "generic", 1).value_or(0), ::getpid());
  EXPECT_THAT(tree.tree_below(::getpid()), testing::Contains(child));
  const ProcessTree above = ProcessTree::read_above({child, 1});
  EXPECT_EQ(above.root_of_job(child, "generic", 1).value_or(0), ::getpid());
  EXPECT_EQ(above.root_of_job(child, "generic", child).value_or(0), 0);
  EXPECT_FALSE(ProcessTree::read_above({child}).contains(go[0] + 1'000'000));
  EXPECT_THAT(ProcessTree::read_below(::getpid()).tree_below(::getpid()),
              ElementsAre(::getpid(), child));
  EXPECT_TRUE(ProcessTree::read_below(1 << 30).tree_below(1 << 30).empty());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(go[0]);
  ::close(go[1]);
}

}  // namespace
}  // namespace cicd
