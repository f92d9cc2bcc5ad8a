// SPDX-License-Identifier: Apache-2.0
#include "report/step_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "support/records.h"

namespace cicd {
namespace {

using testing::HasSubstr;
using testing::Not;

JobSummary summary_of(const std::string& hostile) {
  JobSummary summary;
  summary.identity = {.provider = "github", .provider_host = "h", .project_path = hostile};
  summary.result = JobResult::kDetected;
  summary.rule_count = 59;
  summary.start_time_ns = support::kNoonNs;
  DetectionSummary hit;
  hit.rule.rule.rule_id = "ssh_key_read";
  hit.rule.rule.rule_name = hostile;
  hit.count = 1'234;
  hit.alerts.push_back({support::kNoonNs, EventType::kFileOpen,
                        support::make_process(1, "/bin/" + hostile, {}), hostile, "{}"});
  summary.detections.push_back(hit);
  DestinationUse use{.remote_ip = "2001:db8::1", .domain = hostile, .protocol = "tcp"};
  use.remote_port = 443;
  use.exec_paths = {"/usr/bin/" + hostile};
  summary.destinations.push_back(use);
  summary.domains.push_back({.domain = hostile, .exec_paths = {"/bin/a"}});
  return summary;
}

TEST(StepSummary, SaysWhatHappened) {
  const JobSummary summary = summary_of("app");
  const std::string text = step_summary(&summary, {.html_url = "https://ci.example/r/1#x"});
  for (const char* part :
       {"## cicd-sensor: detected\n", "<code>app</code>", "59 rules", "2026-11-22T12:00:00Z",
        "| detect | <code>ssh&#95;key&#95;read</code> app | 1,234 | <code>app</code> | app |",
        "| **app** <code>&#91;2001&#58;db8&#58;&#58;1&#93;&#58;443/tcp</code> | app |",
        "| <code>app</code> | a |", "[The whole report](<https://ci.example/r/1#x>)"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("CAUTION")));
  EXPECT_THAT(text, Not(HasSubstr("Lost")));
}

TEST(StepSummary, TextOfAJobIsNoMarkup) {
  const JobSummary summary =
      summary_of("[a](https://x.test)|@you *b* <b>`\n## #1\x1b[2J\xE2\x80\xAE");
  const std::string text = step_summary(&summary, {});
  for (const char* part : {"[a]", "https://x", "x.test", "@you", "*b*", "<b>", "`", "\n## #1",
                           "\x1b", "\xE2\x80\xAE"}) {
    EXPECT_THAT(text, Not(HasSubstr(part)));
  }
  // Each row of a table has the cells of its head.
  EXPECT_EQ(std::ranges::count(text, '|'), 6 * 3 + 3 * 6) << text;
}

TEST(StepSummary, LongListsAreCut) {
  JobSummary summary = summary_of("app");
  summary.destinations.resize(1'000, summary.destinations[0]);
  summary.events_dropped = 7;
  const std::string text = step_summary(&summary, {.health_failed = true});
  EXPECT_THAT(text, HasSubstr("and 950 more\n"));
  EXPECT_THAT(text, HasSubstr("**Lost: 7 events.**"));
  EXPECT_THAT(text, HasSubstr("[!CAUTION]"));
  EXPECT_LT(text.size(), 20'000u);
}

TEST(StepSummary, WithoutADocument) {
  const std::string text = step_summary(nullptr, {.health_failed = true});
  EXPECT_THAT(text, HasSubstr("no result"));
  EXPECT_THAT(text, HasSubstr("[!CAUTION]"));
  JobSummary quiet;
  EXPECT_THAT(step_summary(&quiet, {}), HasSubstr("passed"));
  EXPECT_THAT(step_summary(&quiet, {}), HasSubstr("No rule fired."));
}

TEST(StepSummary, AnAddressIsOfTheWeb) {
  EXPECT_TRUE(is_report_url("https://ci.example/r?a=b%20c&d#e"));
  EXPECT_TRUE(is_report_url("http://h"));
  for (const char* url : {"", "javascript:alert(1)", "https://x>y", "https://x y", "https://x)",
                          "https://x\n", "https://\xC3\xA4", "ftp://x"}) {
    EXPECT_FALSE(is_report_url(url)) << url;
  }
}

}  // namespace
}  // namespace cicd
