// SPDX-License-Identifier: Apache-2.0
// The report: one golden page, and pages made of hostile text, which must keep their width and
// hold nothing that a terminal acts on.
#include "report/terminal.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <regex>
#include <sstream>

#include "base/utf8.h"
#include "report/terminal_text.h"
#include "support/records.h"

namespace cicd {
namespace {

using support::in_step;
using support::kNoonNs;
using support::make_process;

CompiledRule rule(std::string id, RuleAction action, std::string name) {
  CompiledRule out;
  out.ruleset_id = "baseline/generic";
  out.rule.rule_id = std::move(id);
  out.rule.rule_name = std::move(name);
  out.rule.action = action;
  return out;
}

void add_detections(JobSummary& summary) {
  const auto bash = make_process(1, "/bin/bash", {"bash"});
  const auto pip = make_process(2, "/usr/bin/pip", {"pip"}, bash);
  const auto sh = make_process(3, "/bin/sh", {"sh"}, pip);
  const auto curl = make_process(4, "/usr/bin/curl", {"curl"}, sh);
  summary.detections.push_back({rule("download_in_install", RuleAction::kDetect,
                                     "A package's install script downloads a program"),
                                1,
                                {{kNoonNs, EventType::kProcessExec, curl,
                                  "/usr/bin/curl -sS http://127.0.0.1:8000/payload"}}});
  summary.detections.push_back(
      {rule("npm_token_read", RuleAction::kDetect, "A credential of npm is read"),
       1'204,
       {{kNoonNs + 1'000'000'000, EventType::kFileOpen, sh, "/home/u/.npmrc"},
        {kNoonNs + 2'000'000'000, EventType::kFileOpen, pip, "/home/u/.npmrc"},
        {kNoonNs + 3'000'000'000, EventType::kFileOpen, pip, "/home/u/.npmrc"},
        {kNoonNs + 4'000'000'000, EventType::kFileOpen, pip, "/home/u/.npmrc"}}});
  summary.detections.push_back({rule("dns_query", RuleAction::kCollect, ""),
                                2,
                                {{kNoonNs, EventType::kNetworkConnect, curl, "10.0.0.2:53/udp"}}});
}

JobSummary demo() {
  JobSummary summary;
  summary.identity.project_path = "demo";
  summary.result = JobResult::kDetected;
  summary.finalize_reason = "command_exit";
  summary.start_time_ns = kNoonNs;
  summary.end_time_ns = kNoonNs + 12'345'000'000;
  summary.command = {"make", "-C", "demo-job", "all"};
  summary.command_known = true;
  summary.rule_sets = {{"baseline/generic", "sha256:0"}};
  add_detections(summary);
  summary.programs = {{"/usr/bin/gcc", 31}, {"/usr/lib/gcc/x86_64-linux-gnu/12/cc1", 30}};
  for (int i = 0; i < 8; ++i) summary.programs.push_back({"/bin/tool" + std::to_string(i), 1});
  summary.destinations = {
      {"127.0.0.1", "", "tcp", 8'000, 12, {"/usr/bin/curl", "/usr/bin/python3.11"}, 0},
      {"2001:db8:85a3::8a2e:370:7334", "registry.example", "tcp", 443, 3, {"/usr/bin/node"}, 4},
  };
  summary.sensitive_files = {{"/home/u/.npmrc", "npm token", 1'204, 0, {"/bin/sh"}},
                             {"/home/u/.ssh/id_ed25519", "ssh key", 1, 1, {"/usr/bin/ssh"}}};
  summary.events_total = 3'412;
  summary.domains = {{"registry.example", 3, {"/usr/bin/node"}, 0}};
  for (int i = 0; i < 1'200; ++i) {
    summary.domains.push_back({std::to_string(i) + ".t.example.test", 1, {"/usr/bin/python3"}, 0});
  }
  summary.processes_total = 93;
  summary.losses.entries = {{"file_open", "ring_full", 17}};
  summary.coverage = {
      {EventType::kProcessExec, "tp_btf", true, "", ""},
      {EventType::kProcessExit, "tp_btf", true, "", ""},
      {EventType::kFileOpen, "syscall tracepoint", true,
       "does not see 32-bit system calls, io_uring and opens by the kernel itself",
       "fentry is refused: no trampolines on this kernel"},
      {EventType::kCgroupEscape, "none", false, "", "tp_btf/cgroup_attach_task is missing"},
  };
  return summary;
}

TerminalReportOptions options_with_files() {
  TerminalReportOptions options;
  options.files_written = {"out/events.jsonl", "out/detections.jsonl", "out/summary.json"};
  return options;
}

void expect_fits(const std::string& report, int width) {
  EXPECT_TRUE(is_valid_utf8(report));
  std::istringstream lines(report);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(display_width(line), width) << line;
    EXPECT_FALSE(line.ends_with(' ')) << line;
    for (std::string_view rest = line; !rest.empty();) {
      const Utf8Char c = decode_utf8(rest);
      EXPECT_FALSE(is_unsafe_to_show(c.code_point)) << line;
      rest.remove_prefix(c.bytes);
    }
  }
}

TEST(TerminalReport, Golden) {
  const std::string report = render_terminal_report(demo(), options_with_files());
  const std::string path = std::string(CICD_SOURCE_DIR) + "/src/report/testdata/terminal.txt";
  std::ifstream file(path);
  const std::string golden{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(report, golden) << "if this is meant, put it into " << path;
  expect_fits(report, 80);
}

TEST(TerminalReport, ColourChangesNothingButColour) {
  TerminalReportOptions options = options_with_files();
  const std::string plain = render_terminal_report(demo(), options);
  options.colour = true;
  const std::string coloured = render_terminal_report(demo(), options);
  EXPECT_NE(coloured, plain);
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  const std::string stripped = std::regex_replace(coloured, std::regex("\x1b\\[[0-9;]*m"), "");
  // Spaces at the end of a line may stand inside a colour.
  EXPECT_EQ(std::regex_replace(stripped, std::regex(" +\n"), "\n"), plain);
  EXPECT_NE(coloured.find("\x1b[1;31mDETECTED\x1b[0m"), std::string::npos);
}

TEST(TerminalReport, AQuietJobIsShort) {
  JobSummary summary;
  summary.identity.project_path = "quiet";
  summary.finalize_reason = "command_exit";
  summary.command_known = true;
  summary.command_status = 137;
  const std::string report = render_terminal_report(summary, {});
  EXPECT_NE(report.find("\nPASSED  no rules were given"), std::string::npos) << report;
  EXPECT_NE(report.find("exit code 137 (SIGKILL)"), std::string::npos);
  EXPECT_NE(report.find("lost      nothing"), std::string::npos);
  EXPECT_NE(report.find("no connection was tried"), std::string::npos);
  for (const char* absent : {"DETECTIONS", "LOSSES", "COVERAGE", "SENSITIVE", "FILES"}) {
    EXPECT_EQ(report.find(absent), std::string::npos) << absent;
  }
}

TEST(TerminalReport, SaysWhatIsNotKnownAndWhatIsLeft) {
  JobSummary summary = demo();
  summary.command_known = false;
  summary.processes_left = 1;
  summary.sensor_restarts = 2;
  summary.observation_overflow = 5;
  const std::string report = render_terminal_report(summary, {});
  EXPECT_NE(report.find("its end was not seen"), std::string::npos);
  EXPECT_NE(report.find("1 process still running"), std::string::npos);
  EXPECT_NE(report.find("restarted 2 times"), std::string::npos);
  EXPECT_NE(report.find("5  beyond the lists"), std::string::npos);
}

TEST(TerminalReport, SaysTheStepOfADetection) {
  JobSummary summary = demo();
  EXPECT_EQ(render_terminal_report(summary, {}).find("in step"), std::string::npos);
  ProcessRef& process = summary.detections[0].alerts[0].process;
  process = in_step(process, "Install packages");
  const std::string report = render_terminal_report(summary, {});
  EXPECT_NE(report.find("curl\n              in step Install packages\n"), std::string::npos)
      << report;
}

TEST(TerminalReport, SecretsOfTheCommandLineAreNotShown) {
  JobSummary summary = demo();
  summary.command = {"deploy", "--password", "hunter2"};
  EXPECT_EQ(render_terminal_report(summary, {}).find("hunter2"), std::string::npos);
}

TEST(TerminalReport, HostileTextEverywhereKeepsTheWidth) {
  std::mt19937_64 random(9);
  static constexpr char kNasty[] =
      "\xCC\x81\xE2\x80\xAE\xE6\xBC\xA2\xF0\x9F\x98\x80\x1B]0;x\x07\n\r\xC2\x9B\xFF/-> abc";
  const auto text = [&] {
    std::string out(random() % 300, '\0');
    const bool any = random() % 2 == 0;
    for (char& c : out) {
      c = any ? static_cast<char>(random()) : kNasty[random() % (sizeof(kNasty) - 1)];
    }
    return out;
  };
  for (int round = 0; round < 300; ++round) {
    JobSummary summary = demo();
    summary.identity.project_path = text();
    summary.finalize_reason = text();
    summary.command = {text(), text()};
    const auto process = in_step(make_process(2, text(), {}, make_process(1, text(), {})), text());
    for (DetectionSummary& detection : summary.detections) {
      detection.count = random();
      detection.rule.rule.rule_id = text();
      detection.rule.rule.rule_name = text();
      for (AlertSummary& alert : detection.alerts) {
        alert.subject = text();
        alert.process = process;
        alert.time_ns = random();
      }
    }
    for (ProgramUse& use : summary.programs) use = {text(), random()};
    for (DestinationUse& use : summary.destinations) {
      use.remote_ip = text();
      use.domain = text();
      use.protocol = text();
      use.count = random();
      use.exec_paths = {text(), text()};
    }
    for (SensitiveFileUse& use : summary.sensitive_files) use.path = use.kind = text();
    summary.losses.entries = {{text(), text(), random() / 2}};
    for (Coverage& coverage : summary.coverage) {
      coverage.backend = coverage.limits = coverage.reason = text();
    }
    TerminalReportOptions options;
    options.width = 60 + static_cast<int>(random() % 60);
    options.files_written = {text()};
    expect_fits(render_terminal_report(summary, options), options.width);
  }
}

TEST(TerminalReport, SaysHowTheJobWasEnded) {
  JobSummary summary = demo();
  TerminationSummary how;
  how.ruleset_id = "baseline/generic";
  how.rule_id = "download_in_install";
  how.duration_us = 12'345;
  how.processes = 1'200;
  how.escaped_processes = 3;
  summary.set_terminated(how);
  std::string report = render_terminal_report(summary, options_with_files());
  expect_fits(report, 80);
  EXPECT_NE(report.find("\nTERMINATED\n  the job was ended by the rule download_in_install\n"
                        "  1,203 processes ended within 12.3 ms, 3 of them outside"),
            std::string::npos)
      << report;
  EXPECT_EQ(report.find("could not be ended"), std::string::npos);
  summary.termination->processes_left = 1;
  report = render_terminal_report(summary, options_with_files());
  EXPECT_NE(report.find("  1 process could not be ended in time\n"), std::string::npos) << report;
}

TEST(TerminalReport, SaysWhatWasWrongWithTheMonitoring) {
  JobSummary summary = demo();
  summary.problems = {"self-check: these did not come through: exec", std::string(200, 'x')};
  const std::string report = render_terminal_report(summary, options_with_files());
  expect_fits(report, 80);
  EXPECT_NE(report.find("\nMONITORING PROBLEMS\n  self-check: these did not come through: exec\n"),
            std::string::npos)
      << report;
}

}  // namespace
}  // namespace cicd
