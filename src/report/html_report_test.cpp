// SPDX-License-Identifier: Apache-2.0
// The page as text: nothing of a job gets out of the data, and the policy allows what is there. How
// it looks and works in a browser is tests/e2e/report's.
#include "report/html_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "report/report_assets.h"
#include "report/report_sink.h"
#include "rule/sha256.h"
#include "support/records.h"

namespace cicd {
namespace {

using support::in_step;
using support::kNoonNs;
using support::make_connect;
using support::make_exec;
using support::make_open;
using support::make_process;

constexpr std::string_view kHostile =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\xE2\x80\xAE\x1b[2J\xFF";

std::string page_of(const ReportModel& model, const JobSummary& summary) {
  std::string page;
  write_html_report(model, summary, [&](std::string_view piece) { page += piece; });
  return page;
}

// Between the tags of the only element that opens with `open`.
std::string inside(const std::string& page, const std::string& open, const std::string& close) {
  const std::size_t begin = page.find(open) + open.size();
  EXPECT_EQ(page.find(open, begin), std::string::npos) << open << " is there twice";
  return page.substr(begin, page.find(close, begin) - begin);
}

nlohmann::json data_of(const std::string& page) {
  return nlohmann::json::parse(
      inside(page, "<script type=\"application/json\" id=\"data\">", "</script>"));
}

struct HostileJob {
  ReportModel model;
  JobSummary summary;

  HostileJob() {
    const std::string text(kHostile);
    const auto parent = make_process(1, "/bin/" + text, {text});
    const auto process = in_step(make_process(2, "/bin/" + text, {text, text}, parent), text);
    CompiledRule rule;
    rule.ruleset_id = text;
    rule.rule.rule_id = text;
    rule.rule.rule_name = text;
    rule.rule.description = text;
    rule.rule.condition.text = text + "\npath == \"</pre>\"";
    rule.rule.tags = {{text, text}};
    model.add_event(make_exec(process));
    const EventRecord open = make_open(process, kHostile);
    model.add_event(open);
    model.add_alert(open, rule);
    EventRecord connect = make_connect(process, "10.0.0.1", 443);
    connect.fields[field::network_connect::kDomain] = kHostile;
    model.add_event(connect);
    summary.identity.project_path = text;
    summary.identity.job_key = text;
    summary.metadata.actor_name = text;
    summary.finalize_reason = text;
    summary.command = {text, text};
    summary.problems = {text};
    summary.result = JobResult::kDetected;
    summary.detections.push_back({rule, 1, {{kNoonNs, EventType::kFileOpen, process, text}}});
    summary.destinations = {{"10.0.0.1", text, "tcp", 443, 1, {text}, 1}};
    summary.domains = {{text, 1, {text}, 0}};
    summary.sensitive_files = {{text, text, 1, 1, {text}}};
    summary.losses.entries = {{text, text, 3}};
    summary.coverage = {{EventType::kFileOpen, text, true, text, text}};
  }
};

TEST(HtmlReport, DataAreJsonOfTheWholeJob) {
  HostileJob job;
  const nlohmann::json data = data_of(page_of(job.model, job.summary));
  EXPECT_EQ(data["result"], "detected");
  EXPECT_EQ(data["events"]["type"], "ADC");
  EXPECT_EQ(data["processes"]["parent"], nlohmann::json({0, 0, 1}));
  const auto steps = data["processes"]["step"].get<std::vector<std::size_t>>();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0], 0u);
  EXPECT_EQ(steps[1], 0u);
  EXPECT_NE(data["strings"]["text"].at(steps[2]), "");
  EXPECT_EQ(data["alerts"], nlohmann::json::array({{1, 0}}));
  EXPECT_EQ(data["values"]["1"]["is_read"], true);
  EXPECT_EQ(data["strings"]["text"].size(), data["strings"]["folder"].size());
  EXPECT_EQ(data["losses"][0]["count"], 3);
}

TEST(HtmlReport, HostileTextStaysText) {
  HostileJob job;
  const std::string page = page_of(job.model, job.summary);
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("</pre>\""), std::string::npos);
  EXPECT_EQ(page.find('\x1b'), std::string::npos);
  EXPECT_EQ(page.find("\xE2\x80\xAE"), std::string::npos);
  EXPECT_EQ(page.find('\xFF'), std::string::npos);
  const std::string static_part = inside(page, "<noscript>", "</noscript>");
  for (const char* part :
       {"What happened", "Where it went", "Sensitive files", "Lost", "Coverage"}) {
    EXPECT_NE(static_part.find(part), std::string::npos) << part;
  }
  // What the job wrote about itself may not close the element the data are in.
  EXPECT_EQ(std::string_view(page).substr(page.find("id=\"data\"")).find("</script>\n<script>"),
            std::string_view(page).substr(page.find("id=\"data\"")).find("</script>"));
}

TEST(HtmlReport, ThePolicyNamesWhatIsInThePage) {
  const std::string page = page_of(ReportModel(), JobSummary());
  const std::string policy = inside(page, "Content-Security-Policy\" content=\"", "\"");
  EXPECT_TRUE(policy.starts_with("default-src 'none'; style-src 'sha256-")) << policy;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  EXPECT_EQ(inside(page, "<style>", "</style>"), report_style());
  const std::size_t script = page.rfind("<script>") + 8;
  EXPECT_EQ(page.substr(script, page.rfind("</script>") - script), report_script());
}

TEST(HtmlReport, ThePageAsksForNothing) {
  const std::string page = page_of(ReportModel(), JobSummary());
  const std::regex address(
      "(src|href)=|url\\(|@import|fetch\\(|XMLHttpRequest|innerHTML|outerHTML|"
      "insertAdjacentHTML|document\\.write|eval\\(| style=");
  std::smatch found;
  EXPECT_FALSE(std::regex_search(page, found, address)) << found.str();
  EXPECT_EQ(report_script().find("</script"), std::string_view::npos);
  EXPECT_EQ(report_script().find("<!--"), std::string_view::npos);
}

TEST(HtmlReport, AJobInWhichNothingHappenedHasAPage) {
  const nlohmann::json data = data_of(page_of(ReportModel(), JobSummary()));
  EXPECT_EQ(data["events"]["type"], "");
  EXPECT_EQ(data["result"], "passed");
}

TEST(HtmlReport, StaysBelowTenMebibytesWhateverTheJobDoes) {
  ReportModel model;
  const auto parent = make_process(1, "/bin/make", {"make"});
  ProcessRef process;
  for (std::uint64_t i = 0; i < 300'000; ++i) {
    if (i % 10 == 0) process = make_process(i + 2, "/bin/cc" + std::to_string(i), {"cc"}, parent);
    const std::string path =
        "/some/folder" + std::to_string(i % 5'000) + "/with a \x1b name" + std::to_string(i) + ".h";
    EventRecord record = make_open(process, path, i % 3 == 0);
    record.time_ns += i * 977'123;
    model.add_event(record);
  }
  const std::string page = page_of(model, JobSummary());
  EXPECT_LT(page.size(), 10u << 20);
  EXPECT_GT(page.size(), 8u << 20) << "the room is used";
  const nlohmann::json data = data_of(page);
  const std::size_t kept = data["events"]["type"].get<std::string>().size();
  EXPECT_EQ(kept + data["leftOut"]["file_open"].get<std::size_t>(), 300'000u);
  EXPECT_EQ(data["events"]["time"].size(), kept);
}

TEST(HtmlReport, TheSinkShowsTheModelAndHandsOn) {
  struct Counter final : ScopeSink {
    explicit Counter(int& count_of_calls) : count(count_of_calls) {}
    void on_event(const EventRecord&) override { ++count; }
    void on_detection(const EventRecord&, const CompiledRule&, bool) override { count += 10; }
    void flush() override { count += 100; }
    LossReport losses() const override { return {.entries = {{"x", "y", 7}}}; }
    int& count;
  };
  int count = 0;
  auto model = std::make_shared<ReportModel>();
  const auto sink = make_report_sink(model, std::make_unique<Counter>(count));
  const EventRecord record = make_open(make_process(1, "/bin/x", {"x"}), "/a");
  const CompiledRule rule;
  sink->on_event(record);
  sink->on_detection(record, rule, false);
  sink->flush();
  EXPECT_EQ(count, 111);
  EXPECT_EQ(sink->losses().total(), 7u);
  EXPECT_EQ(model->events().size(), 1u);
  EXPECT_EQ(model->alerts().size(), 1u);
}

}  // namespace
}  // namespace cicd
