// SPDX-License-Identifier: Apache-2.0
#include "report/report_model.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/records.h"

namespace cicd {
namespace {

using support::make_connect;
using support::make_exec;
using support::make_open;
using support::make_process;

CompiledRule rule_named(std::string id) {
  CompiledRule rule;
  rule.ruleset_id = "test/set";
  rule.rule.rule_id = std::move(id);
  return rule;
}

std::uint64_t left_out(const ReportModel& model) {
  return std::accumulate(model.left_out().begin(), model.left_out().end(), std::uint64_t{0});
}

std::string text_of(const ReportModel& model, std::uint32_t index) {
  const std::uint32_t folder = model.strings().folder_of(index);
  const std::string name(model.strings().json_of(index));
  return folder == 0 ? name : text_of(model, folder) + "/" + name;
}

TEST(ReportModel, ProcessesAreOnceAndKnowTheirParent) {
  ReportModel model;
  const auto make = make_process(1, "/usr/bin/make", {"make"});
  const auto cc = make_process(2, "/usr/bin/cc", {"cc", "-c", "main.c"}, make);
  model.add_event(make_open(cc, "/usr/include/stdio.h"));
  model.add_event(make_open(make, "Makefile"));
  model.add_event(make_open(cc, "main.c"));
  ASSERT_EQ(model.processes().size(), 3u);
  EXPECT_EQ(model.processes()[1].pid, make->pid);
  EXPECT_EQ(model.processes()[2].parent, 1u);
  EXPECT_EQ(model.processes()[2].events, 2u);
  const ReportImage& image = model.images()[model.processes()[2].image];
  EXPECT_EQ(text_of(model, image.path), "/usr/bin/cc");
  EXPECT_EQ(text_of(model, image.arguments), "-c main.c");
}

TEST(ReportModel, APictureAfterExecIsTheSameProcess) {
  ReportModel model;
  const auto shell = make_process(1, "/bin/bash", {"bash"});
  auto forked = std::make_shared<Process>(*make_process(2, "/bin/bash", {"bash"}, shell));
  auto exec = std::make_shared<Process>(*forked);
  auto image = std::make_shared<ExecImage>();
  image->exec_path = "/bin/cat";
  exec->id = 3;
  exec->image = image;
  model.add_event(make_open(forked, "/etc/passwd"));
  model.add_event(make_exec(exec));
  ASSERT_EQ(model.processes().size(), 3u);
  const ReportProcess& process = model.processes()[2];
  EXPECT_EQ(text_of(model, model.images()[process.image].path), "/bin/cat");
  ASSERT_NE(process.past_image, 0u);
  const std::uint32_t before = model.past_images()[process.past_image].image;
  EXPECT_EQ(text_of(model, model.images()[before].path), "/bin/bash");
  EXPECT_EQ(model.events()[1].text, process.image);
}

TEST(ReportModel, SecretsOfArgumentsAreNotInIt) {
  ReportModel model;
  model.add_event(make_exec(make_process(1, "/bin/x", {"x", "--token", "s3cret", "mypassword=1"})));
  for (std::uint32_t i = 0; i < model.strings().size(); ++i) {
    EXPECT_EQ(model.strings().json_of(i).find("s3cret"), std::string::npos);
    EXPECT_EQ(model.strings().json_of(i).find("mypassword"), std::string::npos);
  }
}

TEST(ReportModel, AnEventThatFailedSaysSo) {
  ReportModel model;
  EventRecord record = make_open(make_process(1, "/bin/x", {"x"}), "/etc/shadow");
  record.fields[field::file_open::kError] = "EACCES";
  record.marks = kMarkUnreachablePath | kMarkTruncatedPath;
  model.add_event(record);
  const ReportEvent& event = model.events()[0];
  EXPECT_EQ(event.flags,
            kFlagRead | kFlagFailed | (1 << kFirstMarkBit) | (1 << (kFirstMarkBit + 12)));
  EXPECT_EQ(text_of(model, event.detail), "EACCES");
}

TEST(ReportModel, TimesCountFromTheFirstEvent) {
  ReportModel model;
  EventRecord record = make_open(make_process(1, "/bin/x", {"x"}), "/a");
  model.add_event(record);
  record.time_ns += 5'000'000'000'000;  // more than 32 bits of microseconds
  model.add_event(record);
  record.time_ns = support::kNoonNs - 1;
  model.add_event(record);
  EXPECT_EQ(model.start_ns(), support::kNoonNs);
  EXPECT_EQ(model.events()[1].time_us(), 5'000'000'000u);
  EXPECT_EQ(model.events()[2].time_us(), 0u) << "earlier than the first: at the start";
}

TEST(ReportModel, AnAlertBringsTheValuesOfItsEvent) {
  ReportModel model;
  const CompiledRule first = rule_named("first");
  const CompiledRule second = rule_named("second");
  const EventRecord record = make_connect(make_process(1, "/bin/x", {"x"}), "10.0.0.1", 443);
  model.add_event(record);
  model.add_alert(record, first);
  model.add_alert(record, second);
  ASSERT_EQ(model.alerts().size(), 2u);
  EXPECT_EQ(model.rules()[model.alerts()[1].rule].rule_id, "second");
  ASSERT_EQ(model.values().size(), 1u) << "once an event";
  EXPECT_NE(model.values()[0].json.find("\"remote_ip\":\"10.0.0.1\""), std::string::npos);
  EXPECT_NE(model.values()[0].json.find("\"remote_port\":443"), std::string::npos);
}

TEST(ReportModel, NearItsLimitReadsGoFirstAndAlertsStay) {
  ReportModel model(200'000);
  const auto process = make_process(1, "/bin/x", {"x"});
  std::vector<std::string> paths;
  for (int i = 0; i < 20'000; ++i) paths.push_back("/folder/file" + std::to_string(i));
  for (const std::string& path : paths) model.add_event(make_open(process, path));
  const std::size_t reads = model.events().size();
  EXPECT_LT(reads, 20'000u);
  EXPECT_EQ(left_out(model), 20'000u - reads);
  model.add_event(make_open(process, "/folder/written", true));
  EXPECT_EQ(model.events().size(), reads + 1) << "a change still has room";
  model.add_event(make_connect(process, "10.0.0.1", 443));
  EXPECT_EQ(model.events().size(), reads + 2);
  const EventRecord last = make_open(process, "/home/u/.npmrc");
  model.add_event(last);
  EXPECT_EQ(model.events().size(), reads + 2) << "one more read has none";
  const CompiledRule rule = rule_named("r");
  model.add_alert(last, rule);
  EXPECT_EQ(model.events().size(), reads + 3) << "but a rule fired";
  EXPECT_EQ(left_out(model), 20'000u - reads);
  EXPECT_EQ(text_of(model, model.events().back().text), "/home/u/.npmrc");
  EXPECT_EQ(model.processes()[1].events, 20'003u);
}

TEST(ReportModel, StaysWithinItsLimitWhateverComes) {
  constexpr std::size_t kLimit = 300'000;
  ReportModel model(kLimit);
  const CompiledRule rule = rule_named("r");
  std::vector<std::string> paths;
  for (int i = 0; i < 3'000; ++i)
    paths.push_back("/" + std::to_string(i) + std::string(900, '\x01'));
  for (std::uint64_t i = 0; i < paths.size(); ++i) {
    const auto process = make_process(i + 1, paths[i], {paths[i], paths[i]});
    const EventRecord record = make_connect(process, paths[i], 1);
    model.add_event(make_exec(process));
    model.add_event(make_open(process, paths[i], true));
    model.add_event(record);
    model.add_alert(record, rule);
  }
  // One record may go beyond it: it was let in when there was room.
  EXPECT_LT(model.page_bytes(), kLimit + 50'000);
  EXPECT_GT(left_out(model), 0u);
  EXPECT_GT(model.alerts_left_out(), 0u);
}

}  // namespace
}  // namespace cicd
