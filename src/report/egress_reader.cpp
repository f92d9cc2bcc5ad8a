// SPDX-License-Identifier: Apache-2.0
#include "report/egress_reader.h"

#include <nlohmann/json.hpp>

namespace cicd {

namespace {

using nlohmann::json;

constexpr std::size_t kMostUses = 1'000;

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

const json* object_of(const json& parent, const char* name) {
  const auto found = parent.find(name);
  return found != parent.end() && found->is_object() ? &*found : nullptr;
}

EgressReasonCounts read_reasons(const json& parent, const char* name) {
  EgressReasonCounts counts{};
  const json* object = object_of(parent, name);
  if (object == nullptr) return counts;
  for (const auto& [word, count] : object->items()) {
    const auto reason = egress_reason_of(word);
    if (!reason || !count.is_number_unsigned()) continue;
    counts[static_cast<std::size_t>(*reason)] = count.get<std::uint64_t>();
  }
  return counts;
}

std::optional<ViolationUse> read_use(const json& item) {
  const auto verdict = egress_verdict_of(text_of(item, "verdict"));
  const auto reason = egress_reason_of(text_of(item, "reason"));
  if (!verdict || !reason) return std::nullopt;
  ViolationUse use;
  use.verdict = *verdict;
  use.reason = *reason;
  use.rule_id = text_of(item, "rule_id");
  use.host = text_of(item, "host");
  use.ip = text_of(item, "ip");
  use.port = static_cast<std::uint16_t>(number_of(item, "port"));
  use.protocol = text_of(item, "proto");
  use.count = number_of(item, "count");
  use.process_overflow_count = number_of(item, "process_overflow_count");
  const auto paths = item.find("exec_paths");
  if (paths == item.end() || !paths->is_array()) return use;
  for (const json& path : *paths) {
    if (path.is_string()) use.exec_paths.push_back(path.get<std::string>());
  }
  return use;
}

}  // namespace

std::optional<EgressSummary> read_egress(const json& root) {
  const json* object = object_of(root, "egress");
  if (object == nullptr) return std::nullopt;
  EgressSummary egress;
  egress.mode = egress_mode_of(text_of(*object, "mode")).value_or(EgressMode::kObserve);
  const auto audit = object->find("audit");
  egress.is_audit = audit != object->end() && audit->is_boolean() && audit->get<bool>();
  if (const json* policy = object_of(*object, "policy")) {
    egress.has_policy = true;
    egress.profile = text_of(*policy, "profile");
    egress.version = text_of(*policy, "version");
  }
  if (const json* violations = object_of(*object, "violations")) {
    for (std::size_t i = 0; i < kEgressVerdictCount; ++i) {
      const std::string name(name_of(static_cast<EgressVerdict>(i)));
      egress.violations[i] = read_reasons(*violations, name.c_str());
    }
  }
  if (const auto top = object->find("top"); top != object->end() && top->is_array()) {
    for (const json& item : *top) {
      if (!item.is_object() || egress.top.size() == kMostUses) continue;
      if (auto use = read_use(item)) egress.top.push_back(std::move(*use));
    }
  }
  if (const json* totals = object_of(*object, "kernel_totals")) {
    egress.kernel_totals = {read_reasons(*totals, "denied"), read_reasons(*totals, "audited"),
                            number_of(*totals, "flows_missing")};
  }
  egress.new_destinations = number_of(*object, "new_destinations");
  egress.learn_problem = text_of(*object, "learn_problem");
  return egress;
}

TrafficCounts read_traffic(const json& item) {
  return {number_of(item, "sent_bytes"),     number_of(item, "sent_packets"),
          number_of(item, "received_bytes"), number_of(item, "received_packets"),
          number_of(item, "blocked_bytes"),  number_of(item, "blocked_packets")};
}

}  // namespace cicd
