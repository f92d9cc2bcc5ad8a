// SPDX-License-Identifier: Apache-2.0
#include "event/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::ElementsAre;
using Argv = std::vector<std::string>;

Argv redacted(Argv argv) { return redact_argv(argv); }

TEST(Redact, TheSampleOfTheFormat) {
  EXPECT_THAT(redacted({"curl", "--header", "x", "a-very-long-argument-value", "ghp_abc", "short"}),
              ElementsAre("curl", "--header", "<redacted>", "a-very-long-<truncated, 26 bytes>",
                          "<redacted>", "short"));
}

TEST(Redact, ArgumentAfterAFlagThatAnnouncesASecret) {
  for (const char* flag : {"--apix", "--header", "-p", "-pthread", "-t", "-H", "-Hx"}) {
    EXPECT_THAT(redacted({"x", flag, "v", "w"}), ElementsAre("x", flag, "<redacted>", "w")) << flag;
  }
  // These flags hold a word of rule 2 themselves.
  for (const char* flag : {"--token", "--password", "--secret", "--key=1", "--auth"}) {
    EXPECT_THAT(redacted({"x", flag, "v", "w"}), ElementsAre("x", "<redacted>", "<redacted>", "w"))
        << flag;
  }
  EXPECT_THAT(redacted({"x", "-P", "v"}), ElementsAre("x", "-P", "v"));
  EXPECT_THAT(redacted({"x", "--port", "v"}), ElementsAre("x", "--port", "v"));
}

TEST(Redact, HiddenArgumentCanAnnounceTheNext) {
  EXPECT_THAT(redacted({"-p", "-p", "v", "w"}), ElementsAre("-p", "<redacted>", "<redacted>", "w"));
}

TEST(Redact, WordsInsideArgumentsInAnyCase) {
  for (const char* word : {"TOKEN=1", "myPassword", "monkey", "Author", "SECRETS", "credit",
                           "Bearer x", "AKIA1", "asia2", "AIza3", "GOCSPX-4", "ghp_5", "gho_6",
                           "ghu_7", "ghs_8", "ghr_9", "x-github_pat_a", "glpat-b", "glptt-c"}) {
    EXPECT_THAT(redacted({word}), ElementsAre("<redacted>")) << word;
  }
  EXPECT_THAT(redacted({"bearer", "ghq_1", "gocspx", ""}),
              ElementsAre("bearer", "ghq_1", "gocspx", ""));
}

TEST(Redact, LongArgumentsAreCutAtTwelveBytesButNotInsideACharacter) {
  EXPECT_THAT(redacted({"123456789012", "1234567890123"}),
              ElementsAre("123456789012", "123456789012<truncated, 13 bytes>"));
  EXPECT_THAT(redacted({"12345678901\xC3\xA9x"}), ElementsAre("12345678901<truncated, 14 bytes>"));
  EXPECT_THAT(redacted({std::string(1 << 20, 'x')}),
              ElementsAre("xxxxxxxxxxxx<truncated, 1048576 bytes>"));
}

TEST(Redact, SwitchedOffPassesEverything) {
  ArgvRedactor redactor(false);
  EXPECT_EQ(redactor.next("--token"), "--token");
  EXPECT_EQ(redactor.next("ghp_a-very-long-secret"), "ghp_a-very-long-secret");
}

}  // namespace
}  // namespace cicd
