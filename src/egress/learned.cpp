// SPDX-License-Identifier: Apache-2.0
#include "egress/learned.h"

#include <algorithm>

namespace cicd {

void LearnTable::add(const LearnedJob& job) {
  if (!jobs_.insert(job.project + '\n' + job.key).second) return;
  last_end_ns_ = std::max(last_end_ns_, job.end_ns);
  std::set<Key> told;  // a job may name a destination twice
  for (const LearnedUse& use : job.uses) {
    Key key{use.host, use.port, use.proto};
    const auto found = entries_.find(key);
    if (found == entries_.end() && entries_.size() >= kMaxLearned) {
      ++left_out_;
      continue;
    }
    Entry& entry = entries_[key];
    LearnedDestination& all = entry.destination;
    if (found == entries_.end()) {
      static_cast<LearnedUse&>(all) = use;
      all.count = 0;
      entry.first_job_end_ns = job.end_ns;
    }
    // Files come in any order.
    entry.first_job_end_ns = std::min(entry.first_job_end_ns, job.end_ns);
    all.count += use.count;
    all.first_ns = std::min(all.first_ns, use.first_ns);
    all.last_ns = std::max(all.last_ns, use.last_ns);
    if (told.insert(std::move(key)).second) ++all.jobs;
  }
}

Learned LearnTable::learned() const {
  Learned out;
  out.jobs = jobs_.size();
  out.left_out = left_out_;
  for (const auto& [key, entry] : entries_) {
    out.destinations.push_back(entry.destination);
    out.destinations.back().is_new = entry.first_job_end_ns == last_end_ns_;
    out.last_new += out.destinations.back().is_new;
  }
  return out;
}

}  // namespace cicd
