// SPDX-License-Identifier: Apache-2.0
#include "job/scope.h"

#include <algorithm>

#include "job/payload_json.h"
#include "job/subject.h"

namespace cicd {

namespace {

// A hit of a rule with `terminate` has no cap in the logs; what is kept in memory has.
constexpr std::size_t kMaxAlertsKept = 100;

int severity(RuleAction action) {
  switch (action) {
    case RuleAction::kTerminate:
      return 2;
    case RuleAction::kDetect:
      return 1;
    case RuleAction::kCollect:
      return 0;
  }
  return 0;
}

}  // namespace

void merge_losses(LossReport& losses, const LossReport& more) {
  losses.repeated_sendmsg += more.repeated_sendmsg;
  losses.repeated_acts += more.repeated_acts;
  losses.repeated_opens += more.repeated_opens;
  losses.slowed_acts += more.slowed_acts;
  for (const LossEntry& entry : more.entries) {
    if (entry.count == 0) continue;
    const auto same = std::ranges::find_if(losses.entries, [&](const LossEntry& other) {
      return other.what == entry.what && other.reason == entry.reason;
    });
    if (same == losses.entries.end()) {
      losses.entries.push_back(entry);
    } else {
      same->count += entry.count;
    }
  }
}

Scope::Scope(ScopeOptions options)
    : program_(std::move(options.program)),
      rule_warnings_(options.rule_warnings),
      correlations_(program_),
      sink_(std::move(options.sink)),
      on_terminate_(std::move(options.on_terminate)),
      judge_(std::move(options.egress), name_of(options.kind)),
      policy_ref_(judge_.policy_ref()),
      hits_(program_ ? program_->rules().size() : 0),
      events_by_type_(kEventTypeCount) {}

void Scope::handle(const EventRecord& record, std::span<const std::uint32_t> fired) {
  ++events_total_;
  ++events_by_type_[static_cast<std::size_t>(record.type)];
  observations_.add(record);
  if (sink_) sink_->on_event(record);
  if (judge_.has_policy()) judge(record);
  if (!program_) return;
  for (std::uint32_t index : fired) hit(record, index);
  for (std::uint32_t index : correlations_.count(record, fired)) hit(record, index);
}

void Scope::hit(const EventRecord& record, std::uint32_t rule_index) {
  const CompiledRule& rule = program_->rules()[rule_index];
  // Before anything else: each moment is one that the job still has.
  if (rule.rule.action == RuleAction::kTerminate && on_terminate_) on_terminate_(record, rule);
  Hits& hits = hits_[rule_index];
  if (hits.count++ == 0) hits.first_seen = ++hits_total_;
  if (rule.rule.action != RuleAction::kCollect) ++detections_;

  const auto cap = static_cast<std::uint64_t>(std::max(rule.max_alerts, 1));
  const bool is_capped = rule.rule.action != RuleAction::kTerminate;
  if (is_capped && hits.count > cap) return;
  if (hits.alerts.size() < std::min<std::size_t>(cap, kMaxAlertsKept)) {
    hits.alerts.push_back(
        {record.time_ns, record.type, record.process, subject_of(record), payload_json(record)});
  }
  if (sink_) sink_->on_detection(record, rule, is_capped && hits.count == cap);
}

void Scope::judge(const EventRecord& record) {
  last_time_ns_ = record.time_ns;
  const std::optional<Violation> violation = judge_.judge(record);
  if (!violation) return;
  violations_[static_cast<std::size_t>(violation->verdict)]
             [static_cast<std::size_t>(violation->reason)] += violation->count;
  violations_total_ += violation->count;
  observations_.add(*violation);
  if (!sink_) return;
  merger_.add(*violation, [&](const Violation& told) { sink_->on_violation(told, policy_ref_); });
}

void Scope::tell_due(std::uint64_t now_ns) {
  if (!sink_) return;
  merger_.take_due(now_ns, [&](const Violation& told) { sink_->on_violation(told, policy_ref_); });
}

void Scope::flush() {
  tell_due(last_time_ns_);
  if (sink_) sink_->flush();
}

void Scope::end() {
  if (!judge_.has_policy()) return;
  tell_due(UINT64_MAX);
  if (sink_) sink_->flush();
}

void Scope::summarize_egress(JobSummary& summary) const {
  const ScopeEgress& egress = judge_.egress();
  if (!judge_.has_policy() && egress.mode == EgressMode::kObserve) return;
  EgressSummary& out = summary.egress.emplace();
  out.mode = egress.mode;
  out.has_policy = judge_.has_policy();
  out.is_audit = egress.is_watching() && !egress.is_enforcing();
  out.profile = policy_ref_.profile;
  out.version = policy_ref_.version;
  out.violations = violations_;
  out.top = observations_.violations();
}

LossReport Scope::sink_losses() const { return sink_ ? sink_->losses() : LossReport{}; }

void Scope::summarize(JobSummary& summary) const {
  summary.events_total = events_total_;
  summary.events_by_type = events_by_type_;
  summary.programs = observations_.programs();
  summary.destinations = observations_.destinations();
  summary.domains = observations_.domains();
  summary.sensitive_files = observations_.sensitive_files();
  summary.traces = observations_.traces();
  summarize_egress(summary);
  summary.rule_count = hits_.size();
  summary.rule_warnings = rule_warnings_;
  summary.observation_overflow = observations_.overflow();
  merge_losses(summary.losses, sink_losses());
  merge_losses(summary.losses,
               {.entries = {{"rule", "correlation_forgotten", correlations_.forgotten()}}});

  std::vector<std::uint32_t> fired;
  for (std::uint32_t i = 0; i < hits_.size(); ++i) {
    const CompiledRule& rule = program_->rules()[i];
    const bool is_known = std::ranges::any_of(summary.rule_sets, [&](const RuleSetRef& set) {
      return set.ruleset_id == rule.ruleset_id && set.revision == rule.ruleset_revision;
    });
    if (!is_known) summary.rule_sets.push_back({rule.ruleset_id, rule.ruleset_revision});
    if (hits_[i].count > 0) fired.push_back(i);
  }
  std::ranges::sort(fired, [&](std::uint32_t a, std::uint32_t b) {
    const int severity_a = severity(program_->rules()[a].rule.action);
    const int severity_b = severity(program_->rules()[b].rule.action);
    if (severity_a != severity_b) return severity_a > severity_b;
    return hits_[a].first_seen < hits_[b].first_seen;
  });
  for (std::uint32_t i : fired) {
    summary.detections.push_back({program_->rules()[i], hits_[i].count, hits_[i].alerts});
  }
  // Whether a hit of `terminate` ended the job knows only who would have done it.
  summary.result = detections_ > 0 ? JobResult::kDetected : JobResult::kPassed;
}

}  // namespace cicd
