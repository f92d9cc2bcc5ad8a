// SPDX-License-Identifier: Apache-2.0
// A whole job into files: queue, worker, rules, rows, summary.
#include "evidence/file_sink.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "job/job.h"
#include "support/records.h"

namespace cicd {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using support::FunctionProgram;
using support::make_connect;
using support::make_exec;
using support::make_open;
using support::make_process;

class FileSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "cicd-sink-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    options_.directory = (root_ / "out").string();
    options_.identity.provider = "generic";
    options_.identity.provider_host = "local";
    options_.identity.project_path = "demo";
    program_->add("reads", RuleAction::kDetect, 2,
                  [](const EventRecord& record) { return record.type == EventType::kFileOpen; });
    program_->add("runs", RuleAction::kCollect, 10,
                  [](const EventRecord& record) { return record.type == EventType::kProcessExec; });
  }
  void TearDown() override { fs::remove_all(root_); }

  std::unique_ptr<Job> start() {
    JobOptions job;
    job.identity = options_.identity;
    job.evaluator = support::function_evaluator(program_);
    auto sink = make_file_sink(options_);
    EXPECT_TRUE(sink) << sink.error().text;
    job.project.emplace().sink = std::move(*sink);
    job.project->program = program_;
    return std::make_unique<Job>(std::move(job));
  }
  std::vector<json> rows(const char* name) const {
    std::ifstream file(root_ / "out" / name);
    EXPECT_TRUE(file) << name;
    std::vector<json> out;
    for (std::string line; std::getline(file, line);) out.push_back(json::parse(line));
    return out;
  }

  fs::path root_;
  FileSinkOptions options_;
  std::shared_ptr<FunctionProgram> program_ = std::make_shared<FunctionProgram>();
};

TEST_F(FileSinkTest, AWholeJob) {
  auto job = start();
  const auto bash = make_process(1, "/bin/bash", {"bash", "x.sh"});
  const auto node = make_process(2, "/usr/bin/node", {"node", "install.js"}, bash);
  auto batch = job->take_batch();
  batch->records.push_back(make_exec(node));
  for (const char* path : {"/home/u/.npmrc", "/home/u/a", "/home/u/b"}) {
    batch->records.push_back(make_open(node, path));
  }
  batch->records.push_back(make_connect(node, "10.0.0.2", 443));
  batch->records.push_back(make_connect(node, "10.0.0.10", 80));
  job->submit(std::move(batch));
  Job::End end;
  end.finalize_reason = "command_exit";
  end.start_time_ns = support::kNoonNs;
  end.end_time_ns = support::kNoonNs + 2'500'000'000;
  end.command = {"bash", "--password", "hunter2-hunter2"};
  end.command_known = true;
  end.command_status = 3;
  end.source_losses.entries = {{"file_open", "ring_full", 12}};
  end.coverage = {{EventType::kFileOpen, "syscall tracepoint", true, "no 32-bit calls", ""}};
  end.processes_total = 2;
  const JobSummary summary = *job->finish(end).project;
  const auto written = write_summary(options_, summary);
  ASSERT_TRUE(written) << written.error().text;

  const auto events = rows("events.jsonl");
  ASSERT_EQ(events.size(), 6u);
  for (const json& row : events) EXPECT_EQ(row["log_type"], "cicd_sensor.runtime_event");
  const auto detections = rows("detections.jsonl");
  ASSERT_EQ(detections.size(), 3u);  // one collect, two of three opens
  for (const json& row : detections) EXPECT_EQ(row["log_type"], "cicd_sensor.detection");
  EXPECT_EQ(detections[0]["action"], "collect");
  EXPECT_EQ(detections[1]["rule_alert_truncation"], "");
  EXPECT_NE(detections[2]["rule_alert_truncation"], "");
  EXPECT_EQ(detections[1]["event"], events[1]["event"]);

  const auto documents = rows("summary.json");
  ASSERT_EQ(documents.size(), 1u);
  const json& s = documents[0];
  EXPECT_EQ(s["result"], "detected");
  EXPECT_EQ(s["network_connects"], json({"10.0.0.10", "10.0.0.2"}));
  EXPECT_EQ(s["detections"][0], json({{"ruleset_id", "test/set"},
                                      {"rule_id", "reads"},
                                      {"ruleset_revision", "sha256:0"},
                                      {"action", "detect"},
                                      {"count", 3}}));
  EXPECT_EQ(s["events_total"], 6);
  EXPECT_EQ(s["events_dropped"], 12);
  EXPECT_EQ(s["duration_s"], "2");
  EXPECT_EQ(s["exit_code"], 3);
  EXPECT_EQ(s["command"], json({"bash", "<redacted>", "<redacted>"}));
  EXPECT_EQ(s["events_by_type"]["file_open"], 3);
  EXPECT_EQ(s["losses"][0], json({{"what", "file_open"}, {"reason", "ring_full"}, {"count", 12}}));
  EXPECT_EQ(s["coverage"][0]["limits"], "no 32-bit calls");
  EXPECT_EQ(s["sensitive_files"][0]["kind"], "npm token");
  EXPECT_EQ(s["destinations"][0]["exec_paths"], json({"/usr/bin/node"}));
  EXPECT_EQ(s["processes"], json({{"total", 2}, {"left_running", 0}}));
}

TEST_F(FileSinkTest, AnEarlierRunsFilesAreReplaced) {
  for (int run = 0; run < 2; ++run) {
    auto job = start();
    auto batch = job->take_batch();
    batch->records.push_back(make_exec(make_process(1, "/bin/x", {"x"})));
    job->submit(std::move(batch));
    ASSERT_TRUE(write_summary(options_, *job->finish({}).project));
    EXPECT_EQ(rows("events.jsonl").size(), 1u);
  }
}

TEST_F(FileSinkTest, AnEmptyJobLeavesEmptyFilesAndASummary) {
  auto job = start();
  ASSERT_TRUE(write_summary(options_, *job->finish({}).project));
  EXPECT_EQ(rows("events.jsonl").size(), 0u);
  EXPECT_EQ(rows("detections.jsonl").size(), 0u);
  const json s = rows("summary.json").at(0);
  EXPECT_EQ(s["result"], "passed");
  EXPECT_EQ(s["losses"], json::array());
  EXPECT_FALSE(s.contains("exit_code"));
}

// The disk fills up in the middle of a job: what is written is whole, the rest is counted, and
// the two together are everything.
TEST_F(FileSinkTest, AFullDiskIsALossNotAnEnd) {
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ::getrlimit(RLIMIT_FSIZE, &before);
  auto job = start();
  rlimit limit = before;
  limit.rlim_cur = 100'000;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto process = make_process(1, "/bin/x", {"x"});
  for (int i = 0; i < 40; ++i) {
    auto batch = job->take_batch();
    for (int k = 0; k < 50; ++k) batch->records.push_back(make_connect(process, "10.0.0.1", 1));
    job->submit(std::move(batch));
  }
  const JobSummary summary = *job->finish({}).project;
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  ASSERT_EQ(summary.losses.entries.size(), 1u);
  EXPECT_EQ(summary.losses.entries[0].what, "events.jsonl");
  EXPECT_EQ(summary.losses.entries[0].reason, "output_error");
  EXPECT_GT(summary.losses.entries[0].count, 0u);
  EXPECT_EQ(rows("events.jsonl").size() + summary.losses.entries[0].count, 2'000u);
  EXPECT_EQ(summary.events_total, 2'000u);
  EXPECT_EQ(job->progress().dropped, summary.losses.entries[0].count);
}

TEST_F(FileSinkTest, ADirectoryThatIsAFileIsOneClearLine) {
  std::ofstream(root_ / "out") << "x";
  const auto sink = make_file_sink(options_);
  ASSERT_FALSE(sink);
  EXPECT_NE(sink.error().text.find("not a directory"), std::string::npos);
  EXPECT_FALSE(sink.error().hint.empty());
}

}  // namespace
}  // namespace cicd
