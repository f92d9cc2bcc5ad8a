// SPDX-License-Identifier: Apache-2.0
#include "job/learn_job.h"

#include <filesystem>

#include "egress/learn_store.h"
#include "rule/ip_prefix.h"

namespace cicd {

namespace {

constexpr std::uint16_t kDnsPort = 53;

bool is_loopback(std::string_view text) {
  const auto ip = parse_ip(text);
  if (!ip) return false;
  return parse_cidr("127.0.0.0/8")->contains(*ip) || parse_cidr("::1/128")->contains(*ip);
}

bool needs_no_rule(const DestinationUse& use) {
  if (use.count == 0 || use.remote_port == kDnsPort) return true;
  return (use.remote_port == 0 && use.protocol == "udp") || is_loopback(use.remote_ip);
}

// Row files and state belong to root; nobody else has to see where jobs go.
Result<> make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return fail(ErrorCode::kIo, "egress learning: " + path + ": " + error.message(),
                "name another folder with --state-dir");
  }
  return {};
}

Result<std::uint64_t> store(const std::string& state_dir, const LearnedJob& job) {
  CICD_TRY(make_folder(state_dir));
  CICD_ASSIGN(LearnStore store, LearnStore::open(state_dir + "/" + kLearnFile, true));
  return store.add(job);
}

}  // namespace

LearnedJob learned_job(const JobSummary& summary) {
  LearnedJob job;
  job.project = summary.identity.project_path;
  job.key = identity_key(summary.identity);
  job.end_ns = summary.end_time_ns;
  for (const DestinationUse& use : summary.destinations) {
    if (needs_no_rule(use)) continue;
    LearnedUse& out = job.uses.emplace_back();
    out.host = use.domain.empty() ? use.remote_ip : use.domain;
    out.port = use.remote_port;
    out.proto = use.protocol;
    out.count = use.count;
    out.first_ns = use.first_ns != 0 ? use.first_ns : summary.start_time_ns;
    out.last_ns = use.last_ns != 0 ? use.last_ns : summary.end_time_ns;
    if (!use.exec_paths.empty()) out.exec_path = use.exec_paths.front();
    out.step = use.step;
  }
  return job;
}

void remember_destinations(const std::string& state_dir, JobSummary& summary) {
  if (!summary.egress) summary.egress.emplace().mode = EgressMode::kLearn;
  const Result<std::uint64_t> added = store(state_dir, learned_job(summary));
  if (added) {
    summary.egress->new_destinations = *added;
    return;
  }
  summary.egress->learn_problem = added.error().text;
  if (!added.error().hint.empty()) summary.egress->learn_problem += "; " + added.error().hint;
}

}  // namespace cicd
