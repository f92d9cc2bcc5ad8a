// SPDX-License-Identifier: Apache-2.0
#include "job/learn_job.h"

#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

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

// Addresses and ports that datagrams were sent to, whatever the name that was used for them.
class Datagrams {
 public:
  explicit Datagrams(const JobSummary& summary) {
    for (const DestinationUse& use : summary.destinations) {
      is_counted_ = is_counted_ || use.traffic.sent_packets > 0;
      if (use.protocol != "udp" || use.traffic.sent_packets == 0) continue;
      sent_.emplace(use.remote_ip, use.remote_port);
    }
    if (!summary.egress || !summary.egress->kernel_totals) return;
    is_counted_ = summary.egress->kernel_totals->flows_missing == 0;
  }
  // False only where it is known: a connect alone sends nothing, getaddrinfo sorts addresses so.
  bool may_be_sent(const DestinationUse& use) const {
    if (use.protocol != "udp") return true;
    if (use.remote_port == 0) return false;
    return !is_counted_ || sent_.contains({use.remote_ip, use.remote_port});
  }

 private:
  bool is_counted_ = false;
  std::set<std::pair<std::string_view, std::uint16_t>> sent_;
};

bool needs_no_rule(const DestinationUse& use) {
  return use.count == 0 || use.remote_port == kDnsPort || is_loopback(use.remote_ip);
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
  const Datagrams datagrams(summary);
  for (const DestinationUse& use : summary.destinations) {
    if (needs_no_rule(use) || !datagrams.may_be_sent(use)) continue;
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
