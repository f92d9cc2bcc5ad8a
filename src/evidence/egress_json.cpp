// SPDX-License-Identifier: Apache-2.0
#include "evidence/egress_json.h"

#include "evidence/process_json.h"

namespace cicd {

namespace {

void append_reasons(JsonWriter& json, std::string_view name, const EgressReasonCounts& counts) {
  json.key(name);
  json.begin_object();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    json.member_number(name_of(static_cast<EgressReason>(i)), counts[i]);
  }
  json.end_object();
}

void append_use(JsonWriter& json, const ViolationUse& use) {
  json.begin_object();
  json.member("verdict", name_of(use.verdict));
  json.member("reason", name_of(use.reason));
  json.member_if("rule_id", use.rule_id);
  json.member_if("host", use.host);
  json.member_if("ip", use.ip);
  if (use.port != 0) json.member_number("port", use.port);
  json.member("proto", use.protocol);
  json.member_number("count", use.count);
  append_argv(json, "exec_paths", use.exec_paths, false, SIZE_MAX);
  json.member_number("process_overflow_count", use.process_overflow_count);
  json.end_object();
}

void append_policy(JsonWriter& json, const EgressSummary& egress) {
  json.key("policy");
  json.begin_object();
  json.member_if("profile", egress.profile);
  json.member("version", egress.version);
  json.end_object();
}

}  // namespace

void append_egress(JsonWriter& json, const EgressSummary& egress) {
  json.key("egress");
  json.begin_object();
  json.member("mode", name_of(egress.mode));
  if (egress.is_audit) {
    json.key("audit");
    json.boolean(true);
  }
  if (egress.has_policy) append_policy(json, egress);
  json.member_number("violations_total", egress.count());
  json.key("violations");
  json.begin_object();
  for (std::size_t i = 0; i < kEgressVerdictCount; ++i) {
    append_reasons(json, name_of(static_cast<EgressVerdict>(i)), egress.violations[i]);
  }
  json.end_object();
  json.key("top");
  json.begin_array();
  for (const ViolationUse& use : egress.top) append_use(json, use);
  json.end_array();
  if (egress.kernel_totals) {
    json.key("kernel_totals");
    json.begin_object();
    append_reasons(json, "denied", egress.kernel_totals->denied);
    append_reasons(json, "audited", egress.kernel_totals->audited);
    json.member_number("flows_missing", egress.kernel_totals->flows_missing);
    json.end_object();
  }
  if (egress.mode == EgressMode::kLearn) {
    json.member_number("new_destinations", egress.new_destinations);
    json.member_if("learn_problem", egress.learn_problem);
  }
  json.end_object();
}

void append_traffic(JsonWriter& json, const TrafficCounts& traffic) {
  const auto add = [&](std::string_view name, std::uint64_t count) {
    if (count > 0) json.member_number(name, count);
  };
  add("sent_bytes", traffic.sent_bytes);
  add("sent_packets", traffic.sent_packets);
  add("received_bytes", traffic.received_bytes);
  add("received_packets", traffic.received_packets);
  add("blocked_bytes", traffic.blocked_bytes);
  add("blocked_packets", traffic.blocked_packets);
}

}  // namespace cicd
