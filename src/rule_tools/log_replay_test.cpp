// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/log_replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "base/unique_fd.h"
#include "evidence/row_writer.h"
#include "rule/test_events.h"
#include "rule_tools/rule_names.h"

namespace cicd {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kRules = R"(
rule_sets:
- ruleset_id: a
  rules:
  - {rule_id: reads, event_type: file_open, condition: is_read, action: detect, max_alerts: 2}
  - {rule_id: writes, event_type: file_open, condition: is_write, action: collect,
     exceptions: 'process.argv.exists(a, a == "ok")'}
  - {rule_id: both, type: correlation, action: detect,
     condition: rule.reads.total_count > 2 && rule.writes.total_count > 0}
  - {rule_id: ends, event_type: mount, condition: target_path == "/m", action: terminate}
  - {rule_id: team_only, event_type: mount, condition: target_path == "/m", action: detect,
     target: {include: [{path: team/}]}}
)";

LoadedRules rules() {
  LoadedRules out = load_rules_from_text(kRules, "rules");
  EXPECT_THAT(out.diagnostics, IsEmpty());
  EXPECT_NE(compile_all(out).program, nullptr);
  return out;
}

const std::vector<test::Program> kCat = {{"/usr/bin/cat", {"cat"}}, {"/bin/bash", {"bash"}}};

std::string row(const test::Event& event, const std::string& run = "1",
                const std::string& project = "team/app") {
  RowOptions options;
  options.identity.project_path = project;
  options.identity.job_key = run;
  std::string out;
  RowWriter(options).append_event(out, event.record());
  out.pop_back();
  return out;
}
test::Event mounted(const std::string& target) {
  test::Event event(EventType::kMount, test::chain(kCat));
  return event.text(field::mount::kTargetPath, target);
}

ReplayReport replay(const std::vector<std::string>& lines, std::size_t hits_kept = 3) {
  LogReplay replay(rules(), {.hits_kept = hits_kept});
  int number = 0;
  for (const std::string& line : lines) {
    ++number;
    replay.add_line(line, [&] { return "log:" + std::to_string(number); });
  }
  return replay.finish();
}
const ReplayRule& rule(const ReplayReport& report, const std::string& id) {
  return *std::ranges::find(report.rules, id, &ReplayRule::rule_id);
}

TEST(LogReplay, CountsHitsAlertsAndCorrelations) {
  const std::string read = row(test::open("/a", kCat));
  const ReplayReport report =
      replay({read, read, read, row(test::open("/w", kCat, true)), read, "x"}, 1);
  EXPECT_EQ(report.events, 5u);
  EXPECT_EQ(report.jobs, 1u);
  const ReplayRule& reads = rule(report, "reads");
  EXPECT_EQ(reads.hits, 4u);
  EXPECT_EQ(reads.alerts, 2u);  // max_alerts
  EXPECT_EQ(reads.capped_jobs, 1u);
  ASSERT_THAT(reads.first, SizeIs(1));
  EXPECT_EQ(reads.first[0].subject, "/a");
  EXPECT_EQ(reads.first[0].process, "bash -> cat");
  EXPECT_EQ(reads.first[0].job, "team/app 1");
  EXPECT_EQ(rule(report, "writes").hits, 1u);
  EXPECT_TRUE(rule(report, "writes").reads_argv);
  EXPECT_FALSE(reads.reads_argv);
  const ReplayRule& both = rule(report, "both");
  EXPECT_TRUE(both.is_correlation);
  EXPECT_EQ(both.hits, 1u);
  EXPECT_EQ(both.first[0].subject, "/w");  // the event that made it true
  EXPECT_EQ(rule(report, "ends").hits, 0u);
  EXPECT_EQ(report.bad_rows, 1u);
  ASSERT_THAT(report.first_bad_rows, SizeIs(1));
  EXPECT_EQ(report.first_bad_rows[0].place, "log:6");
  EXPECT_THAT(report.first_bad_rows[0].reason, HasSubstr("not JSON"));
}

TEST(LogReplay, EachJobCountsForItself) {
  std::vector<std::string> lines;
  for (int i = 0; i < 2; ++i) {
    for (const char* run : {"1", "2"}) lines.push_back(row(test::open("/a", kCat), run));
  }
  lines.push_back(row(test::open("/w", kCat, true), "1"));
  const ReplayReport report = replay(lines);
  EXPECT_EQ(report.jobs, 2u);
  EXPECT_EQ(rule(report, "reads").hits, 4u);
  EXPECT_EQ(rule(report, "reads").alerts, 4u);
  EXPECT_EQ(rule(report, "reads").jobs, 2u);
  EXPECT_EQ(rule(report, "both").hits, 0u);
}

TEST(LogReplay, TargetsAreThoseOfTheJob) {
  const ReplayReport report =
      replay({row(mounted("/m"), "1", "team/x"), row(mounted("/m"), "2", "else/x"),
              row(mounted("/m"), "3", "team/y"), row(mounted("/o"), "3", "team/y")});
  EXPECT_EQ(rule(report, "team_only").hits, 2u);
  EXPECT_EQ(rule(report, "ends").hits, 3u);
  EXPECT_EQ(rule(report, "ends").alerts, 3u);
}

TEST(LogReplay, ManyJobsAndProjectsStayBounded) {
  std::vector<std::string> lines;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 70; ++i) {
      lines.push_back(row(test::open("/a", kCat), std::to_string(i), "p" + std::to_string(i)));
    }
  }
  const ReplayReport report = replay(lines);
  EXPECT_EQ(rule(report, "reads").hits, 140u);
  EXPECT_EQ(report.jobs, 140u);  // each came back after 69 others
  EXPECT_EQ(report.closed_jobs, 140u - LogReplay::kMaxOpenJobs);
}

TEST(LogReplay, OtherRowsAndFailedOpensDoNotCount) {
  test::Event failed = test::open("/a", kCat);
  failed.text(field::file_open::kError, "ENOENT");
  const ReplayReport report = replay({row(failed), R"({"log_type":"cicd_sensor.summary"})"});
  EXPECT_EQ(report.events, 1u);
  EXPECT_EQ(report.other_rows, 1u);
  EXPECT_EQ(rule(report, "reads").hits, 0u);
}

// What `text` is as a stream, written in pieces.
ReplayReport stream(const std::string& text, std::size_t piece) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const UniqueFd in(ends[0]);
  std::jthread writer([&text, piece, out = UniqueFd(ends[1])] {
    for (std::size_t at = 0; at < text.size(); at += piece) {
      const std::string part = text.substr(at, piece);
      EXPECT_EQ(::write(out.get(), part.data(), part.size()), static_cast<ssize_t>(part.size()));
    }
  });
  LogReplay replay(rules(), {});
  EXPECT_TRUE(replay_lines(in.get(), "log", replay));
  return replay.finish();
}

TEST(LogReplay, ReadsLinesWhateverThePieces) {
  const std::string read = row(test::open("/a", kCat));
  const std::string text = read + "\n\n" + read + "\n" + read.substr(0, 100) + "\n" + read;
  for (const std::size_t piece : {7u, 100u, 100'000u}) {
    const ReplayReport report = stream(text, piece);
    EXPECT_EQ(rule(report, "reads").hits, 3u);
    ASSERT_THAT(report.first_bad_rows, SizeIs(1));
    EXPECT_EQ(report.first_bad_rows[0].place, "log:4");
  }
}

TEST(LogReplay, ALineWithoutEndIsOneBadRow) {
  const ReplayReport report =
      stream(std::string(9u << 20, 'x') + "\n" + row(test::open("/a", kCat)) + "\n", 60'000);
  EXPECT_EQ(report.bad_rows, 1u);
  EXPECT_THAT(report.first_bad_rows[0].reason, HasSubstr("longer than 4 MiB"));
  EXPECT_EQ(report.events, 1u);
}

TEST(LogReplay, KeepsAFewBadRows) {
  const ReplayReport report = replay(std::vector<std::string>(100, "x"));
  EXPECT_EQ(report.bad_rows, 100u);
  EXPECT_THAT(report.first_bad_rows, SizeIs(LogReplay::kMaxBadRowsKept));
}

}  // namespace
}  // namespace cicd
