// SPDX-License-Identifier: Apache-2.0
#include "rule/program_cache.h"

#include <algorithm>

#include "rule/sha256.h"

namespace cicd {

namespace {

// Writes values one after the other so that different ones never look alike.
class Writer {
 public:
  explicit Writer(const CompileOptions& options) : options_(options) {}

  void number(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  void text(const std::string& value) {
    number(value.size());
    out_ += value;
  }
  template <typename List, typename Function>
  void each(const List& list, Function function) {
    number(list.size());
    for (const auto& value : list) function(value);
  }

  void place(const SourcePlace& place) {
    text(place.file);
    number(static_cast<std::uint64_t>(place.line));
    number(static_cast<std::uint64_t>(place.column));
  }
  void source(const SourceText& source) {
    text(source.text);
    place({source.file, source.line, source.column});
    each(source.points, [this](const SourcePoint& point) {
      number(point.offset);
      number(static_cast<std::uint64_t>(point.line));
      number(static_cast<std::uint64_t>(point.column));
    });
  }
  void entries(const std::vector<TargetEntry>& list) {
    each(list, [this](const TargetEntry& entry) {
      text(entry.provider_host);
      text(entry.path);
    });
    // Of the scope only this counts, so that projects a target does not tell apart share.
    const RuleTarget alone{{}, list};
    number(options_.scope &&
           alone.matches(options_.scope->provider_host, options_.scope->project_path));
  }
  void rule(const Rule& rule) {
    text(rule.rule_id);
    text(rule.rule_name);
    text(rule.description);
    number(rule.is_correlation);
    number(static_cast<std::uint64_t>(rule.event_type));
    source(rule.condition);
    number(rule.exceptions.has_value());
    if (rule.exceptions) source(*rule.exceptions);
    number(static_cast<std::uint64_t>(rule.action));
    number(static_cast<std::uint64_t>(rule.max_alerts));
    each(rule.tags, [this](const auto& tag) {
      text(tag.first);
      text(tag.second);
    });
    number(rule.target.has_value());
    if (rule.target) {
      entries(rule.target->include);
      entries(rule.target->exclude);
    }
    place(rule.place);
    each(rule.added_exceptions, [this](const SourceText& more) { source(more); });
    number(rule.is_disabled);
  }
  void rule_set(const RuleSet& set) {
    text(set.ruleset_id);
    text(set.revision);
    number(static_cast<std::uint64_t>(set.language));
    each(set.lists, [this](const auto& list) {
      text(list.first);
      each(list.second, [this](const std::string& value) { text(value); });
    });
    each(set.rules, [this](const Rule& rule) { this->rule(rule); });
    place(set.place);
  }
  void modifier(const RuleModifier& modifier) {
    text(modifier.modifier_id);
    each(modifier.targets, [this](const ModifierTarget& target) {
      text(target.ruleset_id);
      text(target.rule_id);
      place(target.place);
    });
    number(modifier.disable);
    number(modifier.override_action ? 1 + static_cast<std::uint64_t>(*modifier.override_action)
                                    : 0);
    number(modifier.override_max_alerts.has_value());
    number(static_cast<std::uint64_t>(modifier.override_max_alerts.value_or(0)));
    each(modifier.add_exceptions, [this](const SourceText& more) { source(more); });
    entries(modifier.add_target_exclude);
    place(modifier.place);
  }

  const std::string& out() const { return out_; }

 private:
  const CompileOptions& options_;
  std::string out_;
};

}  // namespace

std::string fingerprint(const std::vector<RuleSet>& rule_sets, const CompileOptions& options) {
  Writer writer(options);
  writer.each(rule_sets, [&](const RuleSet& set) { writer.rule_set(set); });
  writer.each(options.modifiers, [&](const RuleModifier& modifier) { writer.modifier(modifier); });
  writer.number(options.scope.has_value());
  writer.number(options.checks_only);
  writer.number(options.monitor_mode);
  return sha256_hex(writer.out());
}

template <typename Key, typename Value>
Value ProgramCache::Shelf<Key, Value>::get(const Key& key, const std::function<Value()>& make) {
  std::shared_ptr<Slot> slot;
  {
    const std::lock_guard lock(mutex_);
    const auto known =
        std::ranges::find_if(slots_, [&](const auto& entry) { return entry.first == key; });
    if (known != slots_.end()) {
      slots_.splice(slots_.begin(), slots_, known);
    } else {
      slots_.emplace_front(key, std::make_shared<Slot>());
      if (slots_.size() > kMostKept) slots_.pop_back();
    }
    slot = slots_.front().second;
  }
  const std::lock_guard lock(slot->mutex);
  if (!slot->value) slot->value = make();
  return *slot->value;
}

CompileResult ProgramCache::compile(const std::vector<RuleSet>& rule_sets,
                                    const CompileOptions& options) {
  const std::string key = fingerprint(rule_sets, options);
  if (key.empty()) return cicd::compile(rule_sets, options);  // no hash, no sharing
  return programs_.get(key, [&] { return cicd::compile(rule_sets, options); });
}

std::shared_ptr<const Plan> ProgramCache::link(
    std::vector<std::shared_ptr<const Program>> programs) {
  return plans_.get(programs, [&] { return cicd::link(programs); });
}

}  // namespace cicd
