// SPDX-License-Identifier: Apache-2.0
// Events as people write them down in YAML (docs/rules.md, "Rule tests"): named processes, chains
// of them, and events with the fields of the event-type table.
//
// Threads: one. Lifetime: records point into the texts that the reader was given.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "event/event_record.h"
#include "rule/yaml_walk.h"

namespace cicd {

struct TestEvent {
  EventRecord record;
  std::uint32_t times = 1;  // in a row
  SourcePlace place;
};

// Text of records; never moves what it holds.
using EventTexts = std::deque<std::string>;

class TestEventReader {
 public:
  TestEventReader(YamlWalk& walk, EventTexts& texts) : walk_(walk), texts_(texts) {}

  void read_processes(const YamlNode& node);
  void read_chains(const YamlNode& node);
  // A process with its ancestors, newest first; nothing after a mistake.
  std::optional<ProcessRef> read_process(const YamlNode& node);
  // `standard`: the process of an event that names none; null: it must name one.
  std::optional<TestEvent> read_event(const YamlNode& node, const ProcessRef& standard);

 private:
  struct Program {
    std::shared_ptr<const ExecImage> image;
    std::uint32_t uid = 0;
  };
  using Chain = std::vector<const Program*>;  // newest first

  const Program* read_program(const YamlNode& node);
  std::optional<Chain> read_chain(const YamlNode& node);
  bool add_named(const YamlNode& name, Chain& out);
  bool is_free(const YamlNode& key);
  ProcessRef process_of(const Chain& chain);
  StepRef read_step(const YamlNode& node);
  bool read_payload(const YamlNode& node, EventRecord& record);
  bool read_field(const YamlNode& value, const FieldInfo& field, std::string_view type,
                  FieldValue& out);

  YamlWalk& walk_;
  EventTexts& texts_;
  std::deque<Program> programs_;
  std::map<std::string, const Program*> processes_;
  std::map<std::string, Chain> chains_;
  // Chains with a common end share it, as children of one parent do.
  std::map<std::pair<const Process*, const Program*>, ProcessRef> made_;
};

}  // namespace cicd
