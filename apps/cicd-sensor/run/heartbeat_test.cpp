// SPDX-License-Identifier: Apache-2.0
#include "run/heartbeat.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cicd {
namespace {

int looks_until_hang(Heartbeat& heartbeat) {
  for (int look = 1; look <= 100; ++look) {
    if (heartbeat.look()) return look;
  }
  return 0;
}

TEST(Heartbeat, AnEngineThatNeverBeatsHangs) {
  Heartbeat heartbeat = Heartbeat::make().value();
  EXPECT_EQ(looks_until_hang(heartbeat), Heartbeat::kLooks);
}

TEST(Heartbeat, EachBeatBeginsTheCountAnew) {
  Heartbeat heartbeat = Heartbeat::make().value();
  for (int look = 0; look < 10 * Heartbeat::kLooks; ++look) {
    if (look % (Heartbeat::kLooks - 1) == 0) heartbeat.beat();
    ASSERT_FALSE(heartbeat.look()) << look;
  }
}

TEST(Heartbeat, ANewEngineHasAllTheTime) {
  Heartbeat heartbeat = Heartbeat::make().value();
  for (int look = 1; look < Heartbeat::kLooks; ++look) ASSERT_FALSE(heartbeat.look());
  heartbeat.reset();
  EXPECT_EQ(looks_until_hang(heartbeat), Heartbeat::kLooks);
}

TEST(Heartbeat, IsSeenFromAnotherProcess) {
  Heartbeat heartbeat = Heartbeat::make().value();
  for (int look = 1; look < Heartbeat::kLooks; ++look) ASSERT_FALSE(heartbeat.look());
  const pid_t pid = ::fork();
  if (pid == 0) {
    heartbeat.beat();
    ::_exit(0);
  }
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(heartbeat.look());
}

}  // namespace
}  // namespace cicd
