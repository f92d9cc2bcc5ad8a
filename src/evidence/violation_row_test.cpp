// SPDX-License-Identifier: Apache-2.0
#include "evidence/violation_row.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/version.h"
#include "evidence/row_writer.h"
#include "support/records.h"

namespace cicd {
namespace {

using nlohmann::json;
using support::make_chain;
using support::make_process;

RowOptions options_for(std::string provider) {
  RowOptions options;
  options.identity.provider = std::move(provider);
  options.identity.project_path = "acme/demo";
  options.metadata.ref_name = "main";
  options.metadata.job_link = "https://ci.test/job/7";
  options.scope = "project";
  options.runner_type = "machine";
  return options;
}

struct Sample {
  explicit Sample(const ProcessRef& process)
      : record(support::make_record(EventType::kEgressViolation, process)) {
    violation.record = &record;
    violation.verdict = EgressVerdict::kBlock;
    violation.reason = EgressReason::kPortNotAllowed;
    violation.rule_id = "allow[0]";
    violation.host = "registry.test";
    violation.host_source = "resolver";
    violation.ip = "192.0.2.7";
    violation.port = 8443;
    violation.protocol = "tcp";
    violation.count = 3;
    violation.bytes = 180;
    violation.packets = 3;
  }
  std::string text(const RowOptions& options) const {
    RowWriter writer(options);
    std::string out;
    writer.append_violation(out, violation, {"project", "ci", "sha256:ab"});
    EXPECT_EQ(out.back(), '\n');
    EXPECT_EQ(std::ranges::count(out, '\n'), 1);
    return out;
  }
  json row(const RowOptions& options) const { return json::parse(text(options)); }

  EventRecord record;
  Violation violation;
};

ProcessRef curl() {
  return support::in_step(make_process(2, "/usr/bin/curl", {"curl", "--token", "geheim"},
                                       make_process(1, "/bin/bash", {"bash", "build.sh"})),
                          "Publish");
}

TEST(ViolationRow, InFull) {
  const std::string text = Sample(curl()).text(options_for("jenkins"));
  EXPECT_EQ(
      text,
      R"({"timestamp":"2026-11-22T12:00:00Z","log_type":"cicd_sensor.violation",)"
      R"("service_name":"cicd-sensor","service_version":")" +
          std::string(version()) + R"(","schema_version":"v1","log_id":)" +
          json::parse(text)["log_id"].dump() +
          R"(,"job":{"provider":"jenkins","project_path":"acme/demo",)"
          R"("job_link":"https://ci.test/job/7","ref_name":"main"},"scope":"project",)"
          R"("runner_type":"machine","ts":"2026-11-22T12:00:00Z","verdict":"block",)"
          R"("reason":"port_not_allowed","policy":{"scope":"project","profile":"ci",)"
          R"("rule_id":"allow[0]","version":"sha256:ab"},"process":{"pid":1002,)"
          R"("comm":"curl","binary":"/usr/bin/curl","argv":["curl","<redacted>","<redacted>"],)"
          R"("ancestry":[{"pid":1001,"comm":"bash","binary":"/bin/bash"},)"
          R"({"pid":1002,"comm":"curl","binary":"/usr/bin/curl"}]},)"
          R"("destination":{"host":"registry.test","host_source":"resolver",)"
          R"("ip":"192.0.2.7","port":8443,"proto":"tcp"},"bytes":180,"packets":3,"count":3,)"
          R"("step":{"id":"1","name":"Publish"},"job_link":"https://ci.test/job/7"})"
          "\n");
}

TEST(ViolationRow, TheProvidersOwnBlock) {
  const Sample sample(curl());
  RowOptions github = options_for("github");
  github.identity.github_run_id = "42";
  github.identity.github_job = "build";
  EXPECT_EQ(sample.row(github)["github"],
            json::parse(R"({"repository":"acme/demo","run_id":"42","job":"build","ref":"main"})"));
  RowOptions gitlab = options_for("gitlab");
  gitlab.identity.gitlab_job_id = "7";
  gitlab.metadata.gitlab_job_name = "build";
  gitlab.metadata.gitlab_pipeline_id = "99";
  EXPECT_EQ(sample.row(gitlab)["gitlab"], json::parse(R"({"project":"acme/demo","pipeline_id":"99",
                "job_id":"7","job_name":"build","ref":"main"})"));
  EXPECT_FALSE(sample.row(github).contains("gitlab"));
}

TEST(ViolationRow, ANameThatWasAskedForHasNoAddress) {
  Sample sample(curl());
  sample.violation.ip = {};
  sample.violation.port = 0;
  sample.violation.host_source = {};
  sample.violation.rule_id = {};
  sample.violation.protocol = "dns";
  const json row = sample.row(options_for("generic"));
  EXPECT_EQ(row["destination"], json::parse(R"({"host":"registry.test","proto":"dns"})"));
  EXPECT_FALSE(row["policy"].contains("rule_id"));
}

TEST(ViolationRow, LongChainsKeepWhatIsNearest) {
  const json row = Sample(make_chain(40)).row(options_for("generic"));
  const json& ancestry = row["process"]["ancestry"];
  ASSERT_EQ(ancestry.size(), kMaxAncestorsInRow + 1u);
  EXPECT_EQ(ancestry.front()["binary"], "/bin/p23");
  EXPECT_EQ(ancestry.back()["binary"], "/bin/p39");
}

TEST(ViolationRow, HostileTextStaysText) {
  Sample sample(make_process(1, "/tmp/\x1b[2J\xff\"", {"\x1b"}));
  sample.violation.host = "a\"b\n.test";
  const std::string text = sample.text(options_for("generic"));
  EXPECT_EQ(text.find('\x1b'), text.npos);
  EXPECT_EQ(json::parse(text)["destination"]["host"], "a\"b\n.test");
  EXPECT_TRUE(json::parse(text)["process"].contains("binary_base64"));
}

}  // namespace
}  // namespace cicd
