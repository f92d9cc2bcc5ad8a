// SPDX-License-Identifier: Apache-2.0
#include "run/outputs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "console.h"
#include "job/learn_job.h"
#include "report/html_report.h"
#include "report/report_sink.h"
#include "report/terminal.h"

namespace cicd {

namespace {

constexpr const char* kRowFiles[] = {"events.jsonl", "detections.jsonl"};
constexpr const char* kViolationsFile = "violations.jsonl";
constexpr const char* kSummaryFile = "summary.json";
constexpr const char* kHtmlFile = "report.html";
constexpr int kReportColumns = 80;

bool wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return ::isatty(STDERR_FILENO) == 1 && (no_colour == nullptr || no_colour[0] == '\0');
}

JobDescription job_of(const RunOptions& options, const std::string& run_id) {
  JobDescription job = options.ci_job.value_or(JobDescription{});
  JobIdentity& identity = job.identity;
  if (!options.ci_job) {
    identity.provider = "generic";
    identity.provider_host = kLocalProviderHost;
  }
  identity.project_path = options.name;
  identity.job_key += (identity.job_key.empty() ? "" : ".") + run_id;
  return job;
}

}  // namespace

bool has_struck(const JobSummary& summary, FailOn fail_on) {
  if (fail_on == FailOn::kNever) return false;
  if (fail_on == FailOn::kViolation && summary.egress && summary.egress->count() > 0) return true;
  return std::ranges::any_of(summary.detections, [&](const DetectionSummary& detection) {
    const RuleAction action = detection.rule.rule.action;
    const bool counts = action == RuleAction::kTerminate ||
                        (fail_on == FailOn::kDetect && action == RuleAction::kDetect);
    return counts && detection.count > 0;
  });
}

FolderRights::FolderRights(const std::string& file, const CommandUser& owner) {
  const std::string folder = file.substr(0, file.rfind('/') + 1);
  as_owner_.emplace(owner);
  const bool may_write =
      ::faccessat(AT_FDCWD, folder.empty() ? "." : folder.c_str(), W_OK, AT_EACCESS) == 0;
  if (!may_write && errno == EACCES) as_owner_.reset();
}

void remove_file_of(const std::string& path, const CommandUser& owner) {
  const FolderRights rights(path, owner);
  ::unlink(path.c_str());
}

Result<Outputs> Outputs::open(const RunOptions& options, const std::string& run_id,
                              const CommandUser& owner) {
  Outputs outputs;
  outputs.options_ = &options;
  outputs.owner_ = owner;
  outputs.files_.directory = options.output_dir;
  const JobDescription job = job_of(options, run_id);
  outputs.files_.identity = job.identity;
  outputs.files_.metadata = job.metadata;
  if (owner.is_switched) {
    outputs.files_.owner_uid = static_cast<int>(owner.uid);
    outputs.files_.owner_gid = static_cast<int>(owner.gid);
  }
  outputs.files_.has_policy = options.policy != nullptr;
  struct stat info{};
  outputs.made_folder_ = ::stat(options.output_dir.c_str(), &info) != 0;
  CICD_ASSIGN(outputs.sink_, make_file_sink(outputs.files_));
  // What an earlier run left beside rows of this one would be taken for this one's.
  for (const char* name : {kSummaryFile, kHtmlFile}) {
    remove_file_of(outputs.files_.directory + "/" + name, owner);
  }
  if (!options.policy) {
    remove_file_of(outputs.files_.directory + "/" + kViolationsFile, owner);
  }
  if (options.wants_html_report) {
    outputs.model_ = std::make_shared<ReportModel>();
    outputs.sink_ = make_report_sink(outputs.model_, std::move(outputs.sink_));
  }
  return outputs;
}

JobOptions Outputs::job_options(std::shared_ptr<const Program> program) {
  JobOptions job;
  job.identity = files_.identity;
  job.metadata = files_.metadata;
  job.runner_type = files_.runner_type;
  job.project.emplace();
  job.project->program = std::move(program);
  job.project->sink = std::move(sink_);
  job.project->egress = {options_->policy, options_->mode};
  return job;
}

std::vector<std::string> Outputs::files_written(bool has_summary, bool has_html) const {
  std::vector<std::string> names;
  for (const char* name : kRowFiles) names.push_back(files_.directory + "/" + name);
  if (options_->policy) names.push_back(files_.directory + "/" + kViolationsFile);
  if (has_summary) names.push_back(files_.directory + "/" + kSummaryFile);
  if (has_html) names.push_back(files_.directory + "/" + kHtmlFile);
  if (!options_->record_path.empty()) names.push_back(options_->record_path);
  return names;
}

Result<void> Outputs::write_html(const JobSummary& summary) const {
  CICD_ASSIGN(const OutputDirectory directory, open_output_directory(files_));
  return directory.replace(
      kHtmlFile, [&](OutputDirectory::Write write) { write_html_report(*model_, summary, write); });
}

void Outputs::write(JobSummary& summary) const {
  if (options_->mode == EgressMode::kLearn) {
    remember_destinations(options_->state_dir, summary);
    if (summary.egress && !summary.egress->learn_problem.empty()) {
      print_line("cicd-sensor: " + summary.egress->learn_problem);
    }
  }
  bool has_summary = false;
  if (options_->wants_summary_file) {
    const auto written = write_summary(files_, summary);
    has_summary = written.has_value();
    if (!written) print_error(written.error());
  }
  bool has_html = false;
  if (model_) {
    const auto written = write_html(summary);
    has_html = written.has_value();
    if (!written) print_error(written.error());
  }
  if (options_->is_quiet || !options_->wants_terminal_report) return;
  TerminalReportOptions report;
  report.colour = wants_colour();
  report.width = kReportColumns;
  report.files_written = files_written(has_summary, has_html);
  print_text(render_terminal_report(summary, report));
}

void Outputs::discard() const {
  for (const char* name : kRowFiles) {
    remove_file_of(files_.directory + "/" + name, owner_);
  }
  if (options_->policy) remove_file_of(files_.directory + "/" + kViolationsFile, owner_);
  if (!made_folder_) return;
  const ActAs as_owner(owner_);
  ::rmdir(files_.directory.c_str());
}

}  // namespace cicd
