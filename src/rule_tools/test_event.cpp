// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/test_event.h"

#include <limits>

#include "rule/duration.h"

namespace cicd {

namespace {

using Kind = YamlNode::Kind;

constexpr std::int64_t kMostTimes = 10'000;
constexpr std::size_t kMostProcesses = kMaxAncestorDepth + 1;

std::string event_type_names() {
  std::string out;
  for (const EventTypeInfo& info : event_types()) {
    out.append(out.empty() ? "" : ", ").append(info.name);
  }
  return out;
}

std::string field_names(const EventTypeInfo& info) {
  std::string out;
  for (const FieldInfo& field : info.fields) {
    out.append(out.empty() ? "" : ", ").append(field.name);
  }
  return out;
}

}  // namespace

bool TestEventReader::is_free(const YamlNode& key) {
  if (!processes_.contains(key.text) && !chains_.contains(key.text)) return true;
  walk_.error(key, "the name \"" + shown(key.text) + "\" is taken by a process or chain above");
  return false;
}

void TestEventReader::read_processes(const YamlNode& node) {
  for (const YamlWalk::Entry& entry : walk_.entries(node, "processes")) {
    const Program* program = read_program(*entry.value);
    if (program != nullptr && is_free(*entry.key)) processes_[entry.key->text] = program;
  }
}

void TestEventReader::read_chains(const YamlNode& node) {
  for (const YamlWalk::Entry& entry : walk_.entries(node, "chains")) {
    auto chain = read_chain(*entry.value);
    if (chain && is_free(*entry.key)) chains_[entry.key->text] = std::move(*chain);
  }
}

const TestEventReader::Program* TestEventReader::read_program(const YamlNode& node) {
  auto image = std::make_shared<ExecImage>();
  std::uint32_t uid = 0;
  bool is_good = node.kind == Kind::kMap;
  for (const YamlWalk::Entry& entry : walk_.entries(node, "a process")) {
    const std::string& key = entry.key->text;
    if (key == "exec_path" || key == "cwd") {
      auto text = walk_.text(*entry.value, key);
      is_good = is_good && text;
      if (text) (key == "cwd" ? image->cwd : image->exec_path) = std::move(*text);
    } else if (key == "uid") {
      const auto number =
          walk_.integer(*entry.value, key, 0, std::numeric_limits<std::uint32_t>::max());
      is_good = is_good && number;
      uid = static_cast<std::uint32_t>(number.value_or(0));
    } else if (key == "argv") {
      is_good = is_good && entry.value->kind == Kind::kSequence;
      for (const YamlNode* item : walk_.items(*entry.value, "argv")) {
        auto text = walk_.text(*item, "an element of argv");
        is_good = is_good && text;
        if (text) image->argv.push_back(std::move(*text));
      }
    } else {
      walk_.unknown_key(*entry.key, "a process", {"exec_path", "argv", "cwd", "uid"});
      is_good = false;
    }
  }
  if (is_good && image->exec_path.empty()) {
    walk_.error(node, "the process has no exec_path");
    is_good = false;
  }
  return is_good ? &programs_.emplace_back(std::move(image), uid) : nullptr;
}

bool TestEventReader::add_named(const YamlNode& name, Chain& out) {
  if (const auto program = processes_.find(name.text); program != processes_.end()) {
    out.push_back(program->second);
  } else if (const auto chain = chains_.find(name.text); chain != chains_.end()) {
    out.insert(out.end(), chain->second.begin(), chain->second.end());
  } else {
    walk_.error(name, "there is no process or chain \"" + shown(name.text) +
                          "\"; name one of `processes` or `chains` above, or write "
                          "{exec_path: ..., argv: [...]}");
    return false;
  }
  return true;
}

std::optional<TestEventReader::Chain> TestEventReader::read_chain(const YamlNode& node) {
  std::vector<const YamlNode*> links = {&node};
  if (node.kind == Kind::kSequence) links = walk_.items(node, "a chain");
  Chain out;
  bool is_good = true;
  for (const YamlNode* link : links) {
    if (link->kind == Kind::kScalar) {
      is_good = add_named(*link, out) && is_good;
    } else {
      const Program* program = read_program(*link);
      is_good = is_good && program != nullptr;
      out.push_back(program);
    }
    if (out.size() > kMostProcesses) {
      walk_.error(*link, "a process and its ancestors are at most " +
                             std::to_string(kMostProcesses) + ", as in the sensor");
      return std::nullopt;
    }
  }
  if (is_good && out.empty()) walk_.error(node, "the chain has no process");
  if (!is_good || out.empty()) return std::nullopt;
  return out;
}

ProcessRef TestEventReader::process_of(const Chain& chain) {
  ProcessRef above;
  for (std::size_t i = chain.size(); i-- > 0;) {
    ProcessRef& known = made_[{above.get(), chain[i]}];
    if (!known) {
      auto made = std::make_shared<Process>();
      made->id = made_.size();
      made->pid = static_cast<std::uint32_t>(made_.size());
      made->uid = chain[i]->uid;
      made->image = chain[i]->image;
      made->depth = above == nullptr ? 0 : above->depth + 1;
      made->parent = above;
      known = std::move(made);
    }
    above = known;
  }
  return above;
}

std::optional<ProcessRef> TestEventReader::read_process(const YamlNode& node) {
  const auto chain = read_chain(node);
  if (!chain) return std::nullopt;
  return process_of(*chain);
}

std::optional<TestEvent> TestEventReader::read_event(const YamlNode& node,
                                                     const ProcessRef& standard) {
  TestEvent out;
  out.place = walk_.place(node);
  out.record.process = standard;
  bool is_good = node.kind == Kind::kMap;
  const YamlNode* payload = nullptr;
  for (const YamlWalk::Entry& entry : walk_.entries(node, "an event")) {
    const std::string& key = entry.key->text;
    if (key == "process") {
      const auto process = read_process(*entry.value);
      is_good = is_good && process;
      if (process) out.record.process = *process;
    } else if (key == "times") {
      const auto times = walk_.integer(*entry.value, key, 1, kMostTimes);
      is_good = is_good && times;
      out.times = static_cast<std::uint32_t>(times.value_or(1));
    } else if (key == "step") {
      out.record.step = read_step(*entry.value);
      is_good = is_good && out.record.step;
    } else if (key == "time") {
      const auto time = parse_duration(walk_.text(*entry.value, key).value_or("0"));
      if (!time || *time < 0) {
        walk_.error(*entry.value, "time must be how long after the start of the job, as \"1m30s\"");
        is_good = false;
      }
      out.record.time_ns = static_cast<std::uint64_t>(time.value_or(0));
    } else if (const auto type = event_type_by_name(key)) {
      if (payload != nullptr) {
        walk_.error(*entry.key, "an event has one type; this is the second");
        is_good = false;
      }
      payload = entry.value;
      out.record.type = *type;
      is_good = read_payload(*entry.value, out.record) && is_good;
    } else {
      walk_.error(*entry.key,
                  "unknown event type or key \"" + shown(key) +
                      "\"; known in an event: process, step, time, times, and the types " +
                      event_type_names());
      is_good = false;
    }
  }
  if (!is_good) return std::nullopt;
  if (payload == nullptr) {
    walk_.error(node, "the event has no type; one of: " + event_type_names());
    return std::nullopt;
  }
  if (out.record.process == nullptr) {
    walk_.error(node, "the event has no process: give it, its test or the file a `process`");
    return std::nullopt;
  }
  return out;
}

StepRef TestEventReader::read_step(const YamlNode& node) {
  auto step = std::make_shared<Step>();
  bool is_good = node.kind == Kind::kMap;
  for (const YamlWalk::Entry& entry : walk_.entries(node, "step")) {
    const std::string& key = entry.key->text;
    if (key == "id" || key == "name") {
      auto text = walk_.text(*entry.value, key);
      is_good = is_good && text;
      if (text) (key == "id" ? step->id : step->name) = std::move(*text);
    } else {
      walk_.unknown_key(*entry.key, "a step", {"id", "name"});
      is_good = false;
    }
  }
  return is_good ? step : nullptr;
}

bool TestEventReader::read_payload(const YamlNode& node, EventRecord& record) {
  if (node.kind == Kind::kNull) return true;  // `process_exec:` says it all
  const EventTypeInfo& info = info_of(record.type);
  bool is_good = node.kind == Kind::kMap;
  for (const YamlWalk::Entry& entry : walk_.entries(node, info.name)) {
    std::size_t i = 0;
    while (i < info.fields.size() && info.fields[i].name != entry.key->text) ++i;
    if (i == info.fields.size()) {
      walk_.error(*entry.key, "unknown field \"" + shown(entry.key->text) + "\"; " +
                                  std::string(info.name) + " has: " + field_names(info));
      is_good = false;
    } else {
      is_good = read_field(*entry.value, info.fields[i], info.name, record.fields[i]) && is_good;
    }
  }
  return is_good;
}

bool TestEventReader::read_field(const YamlNode& value, const FieldInfo& field,
                                 std::string_view type, FieldValue& out) {
  const std::string what = std::string(type) + "." + std::string(field.name);
  switch (field.type) {
    case FieldType::kString: {
      auto text = walk_.text(value, what);
      if (text) out = texts_.emplace_back(std::move(*text));
      return text.has_value();
    }
    case FieldType::kBool: {
      const auto flag = walk_.boolean(value, what);
      out = flag.value_or(false) ? 1 : 0;
      return flag.has_value();
    }
    case FieldType::kInt: {
      const auto number = walk_.integer(value, what);
      out = number.value_or(0);
      return number.has_value();
    }
  }
  return false;
}

}  // namespace cicd
