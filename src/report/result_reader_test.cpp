// SPDX-License-Identifier: Apache-2.0
// Result documents as we write and read them; that of the other implementation is not in the
// repository but in ../shared/data beside it, or where CICD_SHARED_DATA says.
#include "report/result_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/time_format.h"
#include "evidence/result_document.h"
#include "job/scope.h"
#include "report/html_report.h"
#include "support/records.h"

namespace cicd {
namespace {

using Json = nlohmann::ordered_json;
using support::FunctionEvaluator;
using support::FunctionProgram;
using testing::HasSubstr;

std::string page_of(const JobSummary& summary) {
  std::string page;
  write_html_report(*model_of_result(summary), summary,
                    [&](std::string_view piece) { page.append(piece); });
  return page;
}

// Every member of theirs is in ours, in the same order and with the same value; ours may follow.
void expect_same(const Json& theirs, const Json& ours, const std::string& path = "") {
  ASSERT_EQ(theirs.type(), ours.type()) << path;
  if (theirs.is_object()) {
    auto mine = ours.begin();
    for (auto it = theirs.begin(); it != theirs.end(); ++it, ++mine) {
      ASSERT_NE(mine, ours.end()) << path << ": " << it.key() << " is missing";
      ASSERT_EQ(it.key(), mine.key()) << "in " << path;
      expect_same(it.value(), mine.value(), path + "." + it.key());
    }
  } else if (theirs.is_array()) {
    ASSERT_EQ(theirs.size(), ours.size()) << path;
    for (std::size_t i = 0; i < theirs.size(); ++i) expect_same(theirs[i], ours[i], path + "[]");
  } else if (path.ends_with(".timestamp")) {
    EXPECT_EQ(parse_rfc3339(theirs), parse_rfc3339(ours)) << "their zeros at the end are cut";
  } else {
    EXPECT_EQ(theirs, ours) << path;
  }
}

TEST(ResultReader, TheOtherImplementationsDocumentIsReadAndWrittenAsItIs) {
  const char* elsewhere = std::getenv("CICD_SHARED_DATA");
  const auto folder = elsewhere != nullptr
                          ? std::filesystem::path(elsewhere)
                          : std::filesystem::path(CICD_SOURCE_DIR) / "../shared/data";
  std::ifstream file(folder / "interop/project-result.json");
  if (!file) GTEST_SKIP() << "optional: no interop samples in " << folder << ": nothing compared";
  std::ostringstream text;
  text << file.rdbuf();
  const auto summary = read_result_document(text.str());
  ASSERT_TRUE(summary) << summary.error().text;
  const auto document = render_result_document(
      *summary, {.scope = ScopeKind::kProject, .redact_process_args = false});
  ASSERT_TRUE(document);
  Json theirs = Json::parse(text.str());
  // A name was changed in the sample, so that it stands where the one before it stood.
  std::ranges::sort(theirs["domain_observations"].get_ref<Json::array_t&>(), {},
                    [](const Json& item) { return item["domain"].get<std::string>(); });
  expect_same(theirs, Json::parse(*document));
  const auto pyz = std::ranges::find_if(summary->detections, [](const DetectionSummary& hit) {
    return hit.rule.rule.rule_id == "python_tmp_pyz_exec";
  });
  ASSERT_NE(pyz, summary->detections.end());
  EXPECT_THAT(pyz->alerts[0].subject, HasSubstr("/tmp/stage2.<truncated, ")) << "once";
  EXPECT_THAT(pyz->alerts[0].subject, testing::Not(HasSubstr("33 bytes")));
  const std::string page = page_of(*summary);
  for (const char* part : {"dbus_bus_connect", "140.67.218.60", "acme/example", "ghcr.io"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
}

// A scope that has seen a little.
JobSummary seen() {
  auto program = std::make_shared<FunctionProgram>();
  program->add("secret", RuleAction::kDetect, 2,
               [](const EventRecord& record) { return record.type == EventType::kFileOpen; });
  program->add("all", RuleAction::kCollect, 10, [](const EventRecord&) { return true; });
  Scope scope({.program = program, .sink = nullptr, .on_terminate = {}, .rule_warnings = 2});
  FunctionEvaluator evaluator(program);
  const auto shell = support::make_process(1, "/bin/sh", {"sh", "-c", "work"});
  const auto curl =
      support::make_process(2, "/usr/bin/curl", {"curl", "--token", "s3cret-value"}, shell);
  EventRecord asked = support::make_record(EventType::kDomain, curl);
  asked.fields[field::domain::kDomain] = "a.test";
  EventRecord named = support::make_connect(curl, "10.0.0.1", 443);
  named.fields[field::network_connect::kDomain] = "a.test";
  const EventRecord records[] = {support::make_open(curl, "/home/u/.ssh/<id>"),
                                 support::make_open(curl, "/x"),
                                 support::make_open(curl, "/y"),
                                 asked,
                                 support::make_connect(curl, "10.0.0.1", 443),
                                 named,
                                 support::make_connect(shell, "10.0.0.1", 80)};
  for (const EventRecord& record : records) scope.handle(record, evaluator.evaluate(record));
  JobSummary summary;
  summary.identity = {
      .provider = "generic", .provider_host = "h", .project_path = "p", .job_key = "k"};
  summary.metadata.ref_name = "main";
  summary.runner_type = "machine";
  summary.finalize_reason = "request";
  summary.start_time_ns = support::kNoonNs - 1'000'000'000;
  summary.end_time_ns = support::kNoonNs + 1'000'000'000;
  scope.summarize(summary);
  summary.events_dropped = 5;
  return summary;
}

TEST(ResultReader, OursHasWhatTheScopeHasSeen) {
  const auto document = render_result_document(seen(), {});
  ASSERT_TRUE(document);
  const Json json = Json::parse(*document);
  EXPECT_EQ(json["job_identity"].dump(),
            R"({"provider":"generic","provider_host":"h","project_path":"p","job_key":"k"})");
  EXPECT_EQ(json["metadata"].dump(), R"({"ref_name":"main"})");
  EXPECT_EQ(json["started_at"], "2026-11-22T11:59:59Z");
  EXPECT_EQ(json["rules_summary"].dump(), R"({"rule_count":2,"warnings_count":2})");
  EXPECT_EQ(json["result_summary"].dump(), R"({"result":"detected"})");
  ASSERT_EQ(json["network_connections"].size(), 2u) << "one for two names";
  EXPECT_EQ(json["network_connections"][0].dump(),
            R"({"remote_ip":"10.0.0.1","remote_port":80,"protocol":"tcp","processes":[{"pid":1001,)"
            R"("start_boottime":5000000001,"exec_path":"/bin/sh","ancestors":[]}]})");
  EXPECT_EQ(
      json["network_connections"][1].dump(),
      R"({"remote_ip":"10.0.0.1","remote_port":443,"protocol":"tcp","processes":[{"pid":1002,)"
      R"("start_boottime":5000000002,"exec_path":"/usr/bin/curl",)"
      R"("ancestors":[{"exec_path":"/bin/sh"}]}],"domains":["a.test"]})");
  EXPECT_EQ(json["domain_observations"][0]["domain"], "a.test");
  ASSERT_EQ(json["hits"].size(), 2u);
  const Json& hit = json["hits"][1];
  EXPECT_EQ(hit["rule_id"], "secret") << "by set and id";
  EXPECT_EQ(hit["hit_count"], 3);
  EXPECT_EQ(hit["alert_events"].size(), 2u) << "as many as max_alerts";
  EXPECT_EQ(hit["alert_events"][0]["process"]["argv"].dump(),
            R"(["curl","<redacted>","<redacted>"])");
  EXPECT_THAT(*document, testing::Not(HasSubstr("s3cret")));
  EXPECT_EQ(hit["alert_events"][0]["payload"]["path"], "/home/u/.ssh/<id>");
  EXPECT_EQ(json["events_total"], 7);
  EXPECT_EQ(json["events_dropped"], 5);
}

TEST(ResultReader, BytesThatAreNoTextAndTagsOfAnybodyKeepItJson) {
  JobSummary summary = seen();
  summary.detections[0].rule.rule.tags["a\"\n:{"] = "\xFF";
  summary.destinations[0].remote_ip = "\xFE\"";
  const auto document = render_result_document(summary, {});
  ASSERT_TRUE(document);
  EXPECT_TRUE(Json::accept(*document)) << *document;
  EXPECT_TRUE(read_result_document(*document));
}

TEST(ResultReader, ADocumentHasALimit) {
  const JobSummary summary = seen();
  const std::size_t size = render_result_document(summary, {})->size();
  EXPECT_TRUE(render_result_document(summary, {.max_bytes = size}));
  for (const std::size_t limit : {size - 1, size / 2, std::size_t{100}, std::size_t{1}}) {
    EXPECT_FALSE(render_result_document(summary, {.max_bytes = limit})) << limit;
  }
}

TEST(ResultReader, MakesAPageOfOurs) {
  const auto summary = read_result_document(*render_result_document(seen(), {}));
  ASSERT_TRUE(summary) << summary.error().text;
  EXPECT_EQ(summary->result, JobResult::kDetected);
  EXPECT_EQ(summary->detections[0].rule.rule.rule_id, "secret") << "the most severe first";
  EXPECT_EQ(summary->detections[0].alerts[0].subject, "/home/u/.ssh/<id>");
  EXPECT_EQ(summary->processes_total, 2u);
  EXPECT_EQ(summary->losses.total(), 5u);
  EXPECT_EQ(summary->destinations[1].domain, "a.test");
  const auto model = model_of_result(*summary);
  // Seven alerts of `all`, two of `secret` at the same events; two destinations and a name.
  EXPECT_EQ(model->events().size(), 10u);
  EXPECT_EQ(model->alerts().size(), 9u);
  EXPECT_EQ(model->processes().size(), 4u) << "nobody, curl, the shell, and it as curl's parent";
  const std::string page = page_of(*summary);
  EXPECT_THAT(page, HasSubstr("result document"));
  EXPECT_THAT(page, testing::Not(HasSubstr("<id>")));
}

TEST(ResultReader, WhatIsNoneIsRefused) {
  for (const char* text : {"", "{}", "[]", "null", "{\"job_identity\":{}}", "x",
                           R"({"log_type":"cicd_sensor.summary","job":{}})"}) {
    const auto read = read_result_document(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().text, "it is no result document");
  }
  EXPECT_THAT(read_result_document(std::string(kMaxResultDocumentBytes + 1, ' ')).error().text,
              HasSubstr("16 MiB"));
}

TEST(ResultReader, WrongTypesAndDepthsAreLeftOut) {
  const std::string deep(100'000, '[');
  std::string close(100'000, ']');
  const std::string text =
      R"({"job_identity":[],"result_summary":7,"metadata":"x","started_at":5,"hits":[1,{"rule_tags":)"
      R"({"a":1},"alert_events":[{"event_type":"file_open","process":{"pid":99999999999},"payload":)" +
      deep + close +
      R"(},{"event_type":"file_open","payload":{"path":1,"is_read":"x","flags":1.5}},)"
      R"({"event_type":"later"}]}],"network_connections":{"a":1},"domain_observations":[{"processes":)"
      R"([{"ancestors":[{},{}]}]}]})";
  const auto summary = read_result_document(text);
  ASSERT_TRUE(summary) << summary.error().text;
  ASSERT_EQ(summary->detections.size(), 1u);
  ASSERT_EQ(summary->detections[0].alerts.size(), 2u);
  EXPECT_EQ(summary->detections[0].alerts[0].process->pid, 0u);
  EXPECT_EQ(page_of(*summary).find("<!"), 0u);
}

}  // namespace
}  // namespace cicd
