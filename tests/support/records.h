// SPDX-License-Identifier: Apache-2.0
// Records, processes and rules made by hand, for tests and benchmarks of everything above the
// tracker. Real types, filled in; the evaluator is a real implementation of the interface whose
// conditions are functions instead of text.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event/event_record.h"
#include "rule/program.h"

namespace cicd::support {

inline constexpr std::uint64_t kNoonNs = 1'795'348'800'000'000'000;  // 2026-11-22T12:00:00Z

inline ProcessRef make_process(std::uint64_t id, std::string exec_path,
                               std::vector<std::string> argv, ProcessRef parent = nullptr) {
  auto image = std::make_shared<ExecImage>();
  image->exec_path = std::move(exec_path);
  image->argv = std::move(argv);
  image->cwd = "/home/u/project";
  auto process = std::make_shared<Process>();
  process->id = id;
  process->pid = static_cast<std::uint32_t>(1'000 + id);
  process->uid = 1'000;
  process->start_time_ns = 5'000'000'000 + id;
  process->depth = parent ? parent->depth + 1 : 0;
  process->image = std::move(image);
  process->parent = std::move(parent);
  return process;
}

// A chain of `length` processes, oldest first in name: "/bin/p0" is at the top.
inline ProcessRef make_chain(int length, std::uint64_t first_id = 1) {
  ProcessRef process;
  for (int i = 0; i < length; ++i) {
    const std::string name = "p" + std::to_string(i);
    process = make_process(first_id + static_cast<std::uint64_t>(i), "/bin/" + name,
                           {name, "-c", "work"}, process);
  }
  return process;
}

// The same process, in a step of the CI job.
inline ProcessRef in_step(const ProcessRef& process, std::string name) {
  auto changed = std::make_shared<Process>(*process);
  changed->step = std::make_shared<const Step>(Step{"1", std::move(name)});
  return changed;
}

inline EventRecord make_record(EventType type, ProcessRef process) {
  EventRecord record;
  record.type = type;
  record.time_ns = kNoonNs;
  record.boot_time_ns = 10'000'000'000;
  record.step = process->step;
  record.process = std::move(process);
  return record;
}

// The texts must outlive the record.
inline EventRecord make_open(ProcessRef process, std::string_view path, bool write = false) {
  EventRecord record = make_record(EventType::kFileOpen, std::move(process));
  namespace f = field::file_open;
  record.fields[f::kPath] = path;
  record.fields[f::kIsRead] = !write;
  record.fields[f::kIsWrite] = write;
  record.fields[f::kFlags] = 0x80000;
  return record;
}

inline EventRecord make_connect(ProcessRef process, std::string_view ip, std::uint16_t port,
                                std::string_view protocol = "tcp") {
  EventRecord record = make_record(EventType::kNetworkConnect, std::move(process));
  namespace f = field::network_connect;
  record.fields[f::kRemoteIp] = ip;
  record.fields[f::kRemotePort] = port;
  record.fields[f::kProtocol] = protocol;
  record.fields[f::kFamily] = ip.find(':') == std::string_view::npos ? "ipv4" : "ipv6";
  return record;
}

inline EventRecord make_exec(ProcessRef process) {
  return make_record(EventType::kProcessExec, std::move(process));
}

class FunctionProgram final : public Program {
 public:
  using Condition = std::function<bool(const EventRecord&)>;

  FunctionProgram& add(std::string rule_id, RuleAction action, int max_alerts,
                       Condition condition) {
    CompiledRule rule;
    rule.ruleset_id = "test/set";
    rule.ruleset_revision = "sha256:0";
    rule.rule.rule_id = std::move(rule_id);
    rule.rule.rule_name = "name of " + rule.rule.rule_id;
    rule.rule.action = action;
    rule.rule.tags = {{"mitre", "T1"}, {"area", "files"}};
    rule.max_alerts = max_alerts;
    rules_.push_back(std::move(rule));
    conditions_.push_back(std::move(condition));
    return *this;
  }
  std::span<const CompiledRule> rules() const override { return rules_; }
  const std::vector<Condition>& conditions() const { return conditions_; }

 private:
  std::vector<CompiledRule> rules_;
  std::vector<Condition> conditions_;
};

class FunctionEvaluator final : public Evaluator {
 public:
  explicit FunctionEvaluator(std::shared_ptr<const FunctionProgram> program)
      : program_(std::move(program)) {}
  std::span<const std::uint32_t> evaluate(const EventRecord& record) override {
    fired_.clear();
    for (std::uint32_t i = 0; i < program_->conditions().size(); ++i) {
      if (program_->conditions()[i](record)) fired_.push_back(i);
    }
    return fired_;
  }
  std::span<const std::uint32_t> hits(std::size_t) const override { return fired_; }

 private:
  std::shared_ptr<const FunctionProgram> program_;
  std::vector<std::uint32_t> fired_;
};

// Evaluates the rules of one scope, as a Job does for its scopes.
inline std::function<std::unique_ptr<Evaluator>(const std::vector<std::shared_ptr<const Program>>&)>
function_evaluator(std::shared_ptr<const FunctionProgram> program) {
  return [program = std::move(program)](const auto&) {
    return std::make_unique<FunctionEvaluator>(program);
  };
}

}  // namespace cicd::support
