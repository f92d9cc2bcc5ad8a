// SPDX-License-Identifier: Apache-2.0
#include "evidence/row_writer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "base/utf8.h"
#include "base/version.h"
#include "support/records.h"

namespace cicd {
namespace {

using nlohmann::json;
using support::make_chain;
using support::make_connect;
using support::make_exec;
using support::make_open;
using support::make_process;
using support::make_record;

RowOptions options_for(bool redact = true) {
  RowOptions options;
  options.identity = {.provider = "generic",
                      .provider_host = "local",
                      .project_path = "acme/demo",
                      .job_key = "run-1",
                      .github_run_id = {},
                      .github_job = {},
                      .github_run_attempt = {},
                      .github_runner_tracking_id = {},
                      .gitlab_job_id = {}};
  options.metadata.ref_name = "main";
  options.scope = "project";
  options.runner_type = "machine";
  options.redact_process_args = redact;
  return options;
}

json event_row(RowWriter& writer, const EventRecord& record) {
  std::string out;
  writer.append_event(out, record);
  EXPECT_EQ(out.back(), '\n');
  EXPECT_EQ(std::ranges::count(out, '\n'), 1);
  return json::parse(out);
}

json event_row(const EventRecord& record, bool redact = true) {
  RowWriter writer(options_for(redact));
  return event_row(writer, record);
}

TEST(RowWriter, OneRowInFull) {
  RowWriter writer(options_for());
  std::string out;
  const auto bash = make_process(1, "/bin/bash", {"bash", "build.sh"});
  const auto curl = make_process(2, "/usr/bin/curl", {"curl", "-H", "x"}, bash);
  writer.append_event(out, make_connect(curl, "10.1.2.3", 443));
  const json row = json::parse(out);
  const std::string log_id = row["log_id"];
  const std::string event_id = row["event"]["id"];
  EXPECT_NE(log_id, event_id);
  EXPECT_EQ(
      out,
      R"({"timestamp":"2026-11-22T12:00:00Z","log_type":"cicd_sensor.runtime_event",)"
      R"("service_name":"cicd-sensor","service_version":")" +
          std::string(version()) + R"(","schema_version":"v1","log_id":")" + log_id +
          R"(","job":{"provider":"generic","provider_host":"local","project_path":"acme/demo",)"
          R"("ref_name":"main","job_key":"run-1"},"scope":"project","runner_type":"machine",)"
          R"("event":{"id":")" +
          event_id +
          R"(","type":"network_connect","process":{"pid":1002,"exec_path":"/usr/bin/curl",)"
          R"("argv":["curl","-H","<redacted>"],"ancestors":[{"exec_path":"/bin/bash",)"
          R"("argv":["bash","build.sh"]}],"uid":1000,"cwd":"/home/u/project",)"
          R"("start_time":"2026-11-22T11:59:55.000000002Z"},"network_connect":{)"
          R"("remote_ip":"10.1.2.3","remote_port":443,"protocol":"tcp","family":"ipv4"}}})"
          "\n");
}

TEST(RowWriter, ContainerStandsBehindThePayload) {
  EventRecord open = make_open(make_process(1, "/bin/x", {"x"}), "/y");
  EXPECT_FALSE(event_row(open)["event"].contains("container"));
  open.container = std::make_shared<const Container>(Container{"web\"1", "docker"});
  EXPECT_EQ(event_row(open)["event"]["container"], json({{"id", "web\"1"}, {"runtime", "docker"}}));
  EXPECT_FALSE(event_row(open)["event"].contains("step"));
  open.step = std::make_shared<const Step>(Step{"__run", "say \"hi\""});
  EXPECT_EQ(event_row(open)["event"]["step"], json({{"id", "__run"}, {"name", "say \"hi\""}}));
  open.step = std::make_shared<const Step>(Step{"", "build"});
  EXPECT_EQ(event_row(open)["event"]["step"], json({{"name", "build"}}));
  open.container = std::make_shared<const Container>(Container{"0123", ""});
  EXPECT_EQ(event_row(open)["event"]["container"], json({{"id", "0123"}}));
}

TEST(RowWriter, ZeroValuesAreOmittedAsTheTableSays) {
  const auto process = make_process(1, "/bin/x", {"x"});
  EXPECT_EQ(event_row(make_exec(process))["event"]["process_exec"], json::object());
  const json open = event_row(make_open(process, "/y"))["event"]["file_open"];
  EXPECT_EQ(open, json({{"path", "/y"}, {"is_read", true}, {"flags", "524288"}}));
  EventRecord exit = make_record(EventType::kProcessExit, process);
  EXPECT_EQ(event_row(exit)["event"]["process_exit"], json({{"exit_code", 0}}));
  exit.fields[field::process_exit::kDurationMs] = 12;
  exit.fields[field::process_exit::kSignal] = 9;
  EXPECT_EQ(event_row(exit)["event"]["process_exit"],
            json({{"exit_code", 0}, {"signal", 9}, {"duration_ms", "12"}}));
}

TEST(RowWriter, UnknownProcessHasNoEmptyMembers) {
  auto image = std::make_shared<ExecImage>();
  image->is_known = false;
  auto process = std::make_shared<Process>();
  process->image = image;
  process->pid = 5;
  const json event = event_row(make_open(process, "/y"))["event"];
  EXPECT_EQ(event["process"], json({{"pid", 5}, {"uid", 0}}));
  EXPECT_EQ(event["tags"], json({"unknown:process"}));
}

TEST(RowWriter, MarksBecomeSortedTags) {
  EventRecord record = make_open(make_process(1, "/bin/x", {"x"}), "/y");
  EXPECT_FALSE(event_row(record)["event"].contains("tags"));
  record.marks = 0xFF;
  const json tags = event_row(record)["event"]["tags"];
  EXPECT_EQ(tags, json({"deleted:path", "escaped:cgroup", "fault:path", "truncated:argv",
                        "truncated:path", "unknown:process", "unresolved:path", "via:sendmsg"}));
  EXPECT_TRUE(std::is_sorted(tags.begin(), tags.end()));
  auto image = std::make_shared<ExecImage>(*record.process->image);
  image->exec_path_truncated = image->argv_truncated = true;
  auto process = std::make_shared<Process>(*record.process);
  process->image = image;
  record.process = process;
  record.marks = kMarkTruncatedPath;
  EXPECT_EQ(event_row(record)["event"]["tags"],
            json({"truncated:argv", "truncated:exec_path", "truncated:path"}));
}

TEST(RowWriter, SixteenAncestorsNewestFirst) {
  const json process = event_row(make_exec(make_chain(30)))["event"]["process"];
  EXPECT_EQ(process["exec_path"], "/bin/p29");
  ASSERT_EQ(process["ancestors"].size(), 16u);
  EXPECT_EQ(process["ancestors"][0]["exec_path"], "/bin/p28");
  EXPECT_EQ(process["ancestors"][15]["exec_path"], "/bin/p13");
}

TEST(RowWriter, AnAncestorsHugeArgvIsCutAndSaysSo) {
  const auto parent = make_process(1, "/bin/a", std::vector<std::string>(5'000, "x"));
  const auto child = make_process(2, "/bin/b", std::vector<std::string>(5'000, "y"), parent);
  const json process = event_row(make_exec(child))["event"]["process"];
  EXPECT_EQ(process["argv"].size(), 5'000u);
  const json& argv = process["ancestors"][0]["argv"];
  ASSERT_EQ(argv.size(), 1'025u);
  EXPECT_EQ(argv.back(), "<truncated, 3976 arguments>");
}

TEST(RowWriter, AHugeArgvIsWholeInTheExecAndInDetectionsOnly) {
  const auto process = make_process(1, "/bin/cat", std::vector<std::string>(5'000, "x"));
  RowWriter writer{RowOptions{}};
  const auto arguments = [&](auto append) {
    std::string row;
    append(row);
    return json::parse(row)["event"]["process"]["argv"];
  };
  const EventRecord exec = make_exec(process);
  const EventRecord open = make_open(process, "/a");
  CompiledRule rule;
  // In turn, so that each could have what the one before it left in the cache.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(arguments([&](std::string& row) { writer.append_event(row, exec); }).size(), 5'000u);
    const json cut = arguments([&](std::string& row) { writer.append_event(row, open); });
    ASSERT_EQ(cut.size(), 257u);
    EXPECT_EQ(cut.back(), "<truncated, 4744 arguments>");
    const json whole =
        arguments([&](std::string& row) { writer.append_detection(row, open, rule, false); });
    EXPECT_EQ(whole.size(), 5'000u);
  }
}

TEST(RowWriter, BytesThatAreNoTextAreKeptExactly) {
  const auto process = make_process(1, "/bin/\xFF", {"ok", "a\xFE"});
  const json event = event_row(make_open(process, "/t/\x80"), false)["event"];
  EXPECT_EQ(event["process"]["exec_path"], "/bin/\xEF\xBF\xBD");
  EXPECT_EQ(event["process"]["exec_path_base64"], "L2Jpbi//");
  EXPECT_EQ(event["process"]["argv"], json({"ok", "a\xEF\xBF\xBD"}));
  EXPECT_EQ(event["process"]["argv_base64"], json({"b2s=", "Yf4="}));
  EXPECT_EQ(event["file_open"]["path_base64"], "L3QvgA==");
}

TEST(RowWriter, Base64OfAnArgumentHoldsNoMoreThanTheRedactedOne) {
  const auto process = make_process(1, "/bin/x", {"x", "--token=\xFFsecret", "\xFF-long-argument"});
  const std::string row = event_row(make_exec(process)).dump();
  std::string secret;
  append_base64(secret, "--token=\xFFsecret");
  EXPECT_EQ(row.find(secret.substr(0, 12)), std::string::npos);
  EXPECT_NE(row.find("<redacted>"), std::string::npos);
}

TEST(RowWriter, DetectionCarriesTheRuleAndTheIdOfItsEvent) {
  support::FunctionProgram program;
  program.add("r", RuleAction::kDetect, 1, [](const EventRecord&) { return true; });
  RowWriter writer(options_for());
  const EventRecord record = make_open(make_process(1, "/bin/x", {"x"}), "/y");
  const json event = event_row(writer, record);
  std::string out;
  writer.append_detection(out, record, program.rules()[0], false);
  writer.append_detection(out, record, program.rules()[0], true);
  const std::size_t end = out.find('\n') + 1;
  const json first = json::parse(out.substr(0, end));
  const json last = json::parse(out.substr(end));
  EXPECT_EQ(first["log_type"], "cicd_sensor.detection");
  EXPECT_EQ(first["event"], event["event"]);
  EXPECT_NE(first["log_id"], event["log_id"]);
  EXPECT_EQ(first["rule_id"], "r");
  EXPECT_EQ(first["rule_description"], "");
  EXPECT_EQ(first["rule_alert_truncation"], "");
  EXPECT_EQ(first["rule_tags"], json({"area:files", "mitre:T1"}));
  EXPECT_NE(last["rule_alert_truncation"].get<std::string>().find("max_alerts"), std::string::npos);
  const json next = event_row(writer, record);
  EXPECT_NE(next["event"]["id"], event["event"]["id"]);
}

TEST(RowWriter, TheCacheNeverMixesProcessesUp) {
  RowWriter writer(options_for());
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    // Ids that share a place in the cache, and id 0, which is nobody's.
    const std::uint64_t id = (random() % 3) * 1'024 + random() % 2;
    const std::string path = id == 0 ? "/n/" + std::to_string(i) : "/p/" + std::to_string(id);
    const json row = event_row(writer, make_exec(make_process(id, path, {})));
    ASSERT_EQ(row["event"]["process"]["exec_path"], path);
  }
}

TEST(RowWriter, RandomBytesEverywhereGiveValidRows) {
  std::mt19937_64 random(11);
  const auto bytes = [&](std::size_t most) {
    std::string text(random() % most, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  };
  for (bool redact : {true, false}) {
    RowWriter writer(options_for(redact));
    for (std::uint64_t i = 1; i <= 3'000; ++i) {
      std::vector<std::string> argv(random() % 5);
      for (std::string& argument : argv) argument = bytes(40);
      const auto parent = make_process(i * 2, bytes(60), argv);
      EventRecord record = make_record(static_cast<EventType>(random() % kEventTypeCount),
                                       make_process(i * 2 + 1, bytes(60), argv, parent));
      const std::string text = bytes(200);
      const auto fields = info_of(record.type).fields;
      for (std::size_t place = 0; place < fields.size(); ++place) {
        if (fields[place].type == FieldType::kString) record.fields[place] = text;
        if (fields[place].type != FieldType::kString) record.fields[place] = random();
      }
      record.marks = static_cast<std::uint16_t>(random());
      record.time_ns = random();
      std::string out;
      writer.append_event(out, record);
      ASSERT_TRUE(is_valid_utf8(out));
      ASSERT_EQ(out.find('\n'), out.size() - 1);
      ASSERT_TRUE(json::accept(out)) << out;
    }
  }
}

TEST(RowWriter, ATagLeadsBackToItsMark) {
  EXPECT_EQ(mark_of_tag("truncated:path"), kMarkTruncatedPath);
  EXPECT_EQ(mark_of_tag("unreachable:path"), kMarkUnreachablePath);
  EXPECT_EQ(mark_of_tag("truncated:exec_path"), 0u) << "it follows from the process";
  EXPECT_EQ(mark_of_tag("no:such"), 0u);
}

}  // namespace
}  // namespace cicd
