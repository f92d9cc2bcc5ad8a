// SPDX-License-Identifier: Apache-2.0
// Our rows beside rows of the other implementation, built from the same facts: every member of
// theirs is in ours, in the same order, of the same type and with the same value; what is ours
// comes after. The samples are not in the repository but in ../shared/data beside it, or where
// CICD_SHARED_DATA says; where they are missing the tests skip.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "evidence/row_writer.h"
#include "evidence/summary_json.h"
#include "support/records.h"

namespace cicd {
namespace {

using Json = nlohmann::ordered_json;

std::filesystem::path samples() {
  const char* elsewhere = std::getenv("CICD_SHARED_DATA");
  if (elsewhere != nullptr) return std::filesystem::path(elsewhere) / "interop";
  return std::filesystem::path(CICD_SOURCE_DIR) / "../shared/data/interop";
}

class Interop : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(samples())) {
      GTEST_SKIP() << "optional: no interop samples at " << samples()
                   << ": shapes are not compared";
    }
  }
  static Json load(const std::string& name) {
    std::ifstream file(samples() / name);
    EXPECT_TRUE(file) << name;
    return Json::parse(file);
  }
};

// Members whose values two programs cannot share.
bool is_own_value(const std::string& path) {
  return path == ".log_id" || path == ".event.id" || path == ".service_version";
}

void expect_compatible(const Json& theirs, const Json& ours, const std::string& path = "") {
  ASSERT_EQ(theirs.type(), ours.type()) << path;
  if (theirs.is_object()) {
    auto mine = ours.begin();
    for (auto it = theirs.begin(); it != theirs.end(); ++it, ++mine) {
      ASSERT_NE(mine, ours.end()) << path << ": " << it.key() << " is missing";
      ASSERT_EQ(it.key(), mine.key()) << "in " << path;
      expect_compatible(it.value(), mine.value(), path + "." + it.key());
    }
  } else if (theirs.is_array()) {
    ASSERT_EQ(theirs.size(), ours.size()) << path;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      expect_compatible(theirs[i], ours[i], path + "[]");
    }
  } else if (!is_own_value(path)) {
    EXPECT_EQ(theirs, ours) << path;
  }
}

std::string text_of(const Json& object, const char* name) {
  return object.contains(name) ? object[name].get<std::string>() : "";
}

JobIdentity identity_of(const Json& job) {
  JobIdentity identity;
  identity.provider = text_of(job, "provider");
  identity.provider_host = text_of(job, "provider_host");
  identity.project_path = text_of(job, "project_path");
  identity.github_run_id = text_of(job, "github_run_id");
  identity.github_job = text_of(job, "github_job");
  identity.github_run_attempt = text_of(job, "github_run_attempt");
  identity.github_runner_tracking_id = text_of(job, "github_runner_tracking_id");
  return identity;
}

JobMetadata metadata_of(const Json& job) {
  JobMetadata metadata;
  metadata.job_link = text_of(job, "job_link");
  metadata.commit_sha = text_of(job, "commit_sha");
  metadata.ref_name = text_of(job, "ref_name");
  metadata.trigger = text_of(job, "trigger");
  metadata.actor_id = text_of(job, "actor_id");
  metadata.actor_name = text_of(job, "actor_name");
  metadata.github_workflow_ref = text_of(job, "github_workflow_ref");
  metadata.github_workflow_sha = text_of(job, "github_workflow_sha");
  metadata.github_workflow = text_of(job, "github_workflow");
  return metadata;
}

ProcessRef process_of(const Json& process) {
  ProcessRef parent;
  const Json ancestors = process.value("ancestors", Json::array());
  for (auto it = ancestors.rbegin(); it != ancestors.rend(); ++it) {
    parent = support::make_process(0, (*it)["exec_path"], (*it)["argv"], parent);
  }
  const auto made = support::make_process(0, process["exec_path"], process["argv"], parent);
  auto copy = std::make_shared<Process>(*made);
  copy->pid = process["pid"];
  return copy;
}

// Payload values by the table's names, as JSON has them, so that the sample itself fills it in.
EventRecord record_of(const Json& row, std::vector<std::string>& texts) {
  const Json& event = row["event"];
  const auto type = event_type_by_name(event["type"].get<std::string>());
  EXPECT_TRUE(type);
  EventRecord record = support::make_record(*type, process_of(event["process"]));
  const Json& payload = event[event["type"].get<std::string>()];
  const auto fields = info_of(*type).fields;
  texts.reserve(fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::string name(fields[i].json_name);
    if (!payload.contains(name)) continue;
    const Json& value = payload[name];
    if (fields[i].type == FieldType::kString) {
      record.fields[i] = texts.emplace_back(value.get<std::string>());
    } else if (value.is_string()) {
      record.fields[i] = std::stoll(value.get<std::string>());
    } else {
      record.fields[i] = value.is_boolean() ? value.get<bool>() : value.get<std::int64_t>();
    }
  }
  if (event.contains("tags")) record.marks = kMarkTruncatedPath;
  const std::string time = row["timestamp"];
  record.time_ns = 1'795'305'600'000'000'000;  // 2026-11-22T00:00:00Z
  if (time.ends_with(".000003Z")) record.time_ns += 3'000;
  return record;
}

RowOptions options_of(const Json& row, bool redact) {
  return {identity_of(row["job"]), metadata_of(row["job"]), row["scope"], row["runner_type"],
          redact};
}

// The samples of rows are redacted already, so redaction is off: what is compared is the writing.
TEST_F(Interop, RuntimeEvents) {
  for (const char* type : {"process_exec", "network_connect", "file_open"}) {
    const Json theirs = load("runtime_event." + std::string(type) + ".json");
    std::vector<std::string> texts;
    const EventRecord record = record_of(theirs, texts);
    std::string out;
    RowWriter(options_of(theirs, false)).append_event(out, record);
    expect_compatible(theirs, Json::parse(out));
  }
}

// Their redacted row from their unredacted one: the redaction is the same too.
TEST_F(Interop, DetectionAndRedaction) {
  const Json facts = load("detection.unredacted.json");
  for (bool redact : {false, true}) {
    const Json theirs = redact ? load("detection.redacted.json") : facts;
    std::vector<std::string> texts;
    const EventRecord record = record_of(facts, texts);
    CompiledRule rule;
    rule.ruleset_id = "set";
    rule.ruleset_revision = "sha256:x";
    rule.rule.rule_id = "r";
    rule.rule.rule_name = "name";
    rule.rule.tags = {{"a", "1"}, {"b", "2"}};
    std::string out;
    RowWriter(options_of(facts, redact)).append_detection(out, record, rule, false);
    expect_compatible(theirs, Json::parse(out));
  }
}

TEST_F(Interop, Summary) {
  Json theirs = load("summary.json");
  // Sorted where it was made; a name of the sample was replaced afterwards.
  std::sort(theirs["domains"].begin(), theirs["domains"].end());
  JobSummary summary;
  summary.identity = identity_of(theirs["job"]);
  summary.metadata = metadata_of(theirs["job"]);
  summary.runner_type = theirs["runner_type"];
  summary.result = JobResult::kDetected;
  summary.start_time_ns = 1'795'305'600'000'000'000;
  summary.end_time_ns = summary.start_time_ns + 300'001'000'000;
  summary.finalize_reason = theirs["finalize_reason"];
  for (const Json& set : theirs["rulesets"]) {
    summary.rule_sets.push_back({set["ruleset_id"], set["revision"]});
  }
  for (const Json& ip : theirs["network_connects"]) {
    DestinationUse use;
    use.remote_ip = ip;
    summary.destinations.insert(summary.destinations.begin(), std::move(use));
  }
  std::size_t i = 0;
  for (const Json& name : theirs["domains"]) summary.destinations[i++].domain = name;
  for (const Json& detection : theirs["detections"]) {
    DetectionSummary out;
    out.rule.ruleset_id = detection["ruleset_id"];
    out.rule.ruleset_revision = detection["ruleset_revision"];
    out.rule.rule.rule_id = detection["rule_id"];
    out.rule.rule.action =
        detection["action"] == "collect" ? RuleAction::kCollect : RuleAction::kDetect;
    out.count = detection["count"];
    summary.detections.insert(summary.detections.begin(), std::move(out));
  }
  summary.events_total = theirs["events_total"];
  FileSinkOptions options;
  options.scope = theirs["scope"];
  expect_compatible(theirs, Json::parse(render_summary_json(options, summary)));
}

}  // namespace
}  // namespace cicd
