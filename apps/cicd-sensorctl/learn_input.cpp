// SPDX-License-Identifier: Apache-2.0
#include "learn_input.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "egress/learn_store.h"
#include "job/learn_job.h"
#include "job/observations.h"
#include "rule_tools/row_reader.h"
#include "summary_reader.h"

namespace cicd::ctl {

namespace {

constexpr std::size_t kMaxSummaryBytes = std::size_t{64} << 20;

Result<std::string> choose_project(const std::vector<std::string>& projects,
                                   const std::string& wanted) {
  if (projects.empty()) {
    return fail(ErrorCode::kNotFound, "no job is remembered there",
                "run jobs with --mode learn first");
  }
  if (!wanted.empty()) {
    if (std::ranges::find(projects, wanted) != projects.end()) return wanted;
    return fail(ErrorCode::kNotFound, "there is no job of the project " + wanted,
                "the first one there is: " + projects.front());
  }
  if (projects.size() == 1) return projects.front();
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(projects.size(), 10); ++i) {
    list += (list.empty() ? "" : ", ") + projects[i];
  }
  return fail(ErrorCode::kUsage,
              "there are jobs of " + std::to_string(projects.size()) + " projects",
              "name one with --project: " + list);
}

// Jobs of files, by project.
class Files {
 public:
  Result<> add(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (fs::is_directory(path, error)) {
      for (const char* name : {"summary.json", "events.jsonl"}) {
        if (fs::exists(path + "/" + name, error)) return add(path + "/" + name);
      }
      return fail(ErrorCode::kNotFound, path + ": has no summary.json and no events.jsonl");
    }
    return path.ends_with(".jsonl") ? add_rows(path) : add_summary(path);
  }

  Result<LearnInput> result(const std::string& wanted) {
    std::vector<std::string> projects;
    for (const auto& [project, jobs] : projects_) projects.push_back(project);
    CICD_ASSIGN(const std::string project, choose_project(projects, wanted));
    return LearnInput{projects_[project].learned(), project, std::move(warnings_)};
  }

 private:
  // A connect of a UDP socket sends nothing; most are getaddrinfo's, which sorts addresses so.
  static bool is_sent(const EventRecord& record) {
    namespace f = field::network_connect;
    if (record.text(f::kProtocol) != "udp" || (record.marks & kMarkSendmsg) != 0) return true;
    const std::int64_t port = record.number(f::kRemotePort);
    return port == 0 || port == 53;  // never learned
  }

  Result<> add_summary(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_errno(errno, path);
    std::string text(kMaxSummaryBytes + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kMaxSummaryBytes) {
      return fail(ErrorCode::kInvalidInput, path + ": is larger than 64 MiB");
    }
    auto summary = read_summary(text);
    if (!summary) return std::unexpected(std::move(summary.error()).with_context(path));
    LearnedJob job = learned_job(*summary);
    projects_[job.project].add(job);
    return {};
  }

  Result<> add_rows(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_errno(errno, path);
    struct Job {
      Observations seen;
      JobSummary summary;
    };
    std::map<std::string, Job> jobs;
    RowReader reader;
    std::string line;
    std::uint64_t bad = 0, unsent = 0;
    while (std::getline(file, line)) {
      const auto row = reader.read(line);
      if (!row) ++bad;
      if (!row || (*row)->kind != LogRow::Kind::kEvent) continue;
      Job& job = jobs[(*row)->job_key];
      job.summary.identity.project_path = (*row)->project.project_path;
      job.summary.end_time_ns = std::max(job.summary.end_time_ns, (*row)->record.time_ns);
      if ((*row)->record.type != EventType::kNetworkConnect) continue;
      is_sent((*row)->record) ? job.seen.add((*row)->record) : void(++unsent);
    }
    for (auto& [key, job] : jobs) {
      job.summary.destinations = job.seen.destinations();
      LearnedJob learned = learned_job(job.summary);
      learned.key = key;
      projects_[learned.project].add(learned);
    }
    if (unsent > 0) {
      warnings_.push_back(
          path + ": " + std::to_string(unsent) +
          " connects of UDP sockets are left out: rows do not tell whether anything "
          "was sent; summary.json and --state-dir do");
    }
    if (bad > 0) warnings_.push_back(path + ": " + std::to_string(bad) + " rows cannot be read");
    return {};
  }

  std::map<std::string, LearnTable> projects_;
  std::vector<std::string> warnings_;
};

}  // namespace

Result<LearnInput> learn_from_store(const std::string& state_dir, const std::string& project) {
  CICD_ASSIGN(const LearnStore store, LearnStore::open(state_dir + "/" + kLearnFile, false));
  CICD_ASSIGN(const std::vector<std::string> projects, store.projects());
  LearnInput input;
  CICD_ASSIGN(input.project, choose_project(projects, project));
  CICD_ASSIGN(input.learned, store.learned(input.project));
  return input;
}

Result<LearnInput> learn_from_files(const std::vector<std::string>& paths,
                                    const std::string& project) {
  Files files;
  for (const std::string& path : paths) CICD_TRY(files.add(path));
  return files.result(project);
}

}  // namespace cicd::ctl
