// SPDX-License-Identifier: Apache-2.0
// ProgramCache: compiled rules, shared between scopes and jobs. Jobs of one host mostly run the
// same rules: compiling and linking them once serves all, in time and in memory.
//
//   const CompileResult host = cache.compile(host_sets, host_options);
//   const CompileResult project = cache.compile(project_sets, project_options);
//   auto evaluator = make_evaluator(cache.link({host.program, project.program}));
//   ... evaluator->evaluate(record), hits(0) are the host's, hits(1) the project's
//
// Threads: any. Two that want the same program wait for one compiling; others do not wait.
// Trap: a program is found by a hash of all that compile() reads, never by the revision that a rule
// set says it has: otherwise a project could have its rules taken for the host's.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rule/program.h"

namespace cicd {

class ProgramCache {
 public:
  // The least recently used ones beyond this many are forgotten; jobs that run keep theirs alive.
  static constexpr std::size_t kMostKept = 32;

  // As the functions of these names, but what was made before is used again.
  CompileResult compile(const std::vector<RuleSet>& rule_sets, const CompileOptions& options = {});
  std::shared_ptr<const Plan> link(std::vector<std::shared_ptr<const Program>> programs);

 private:
  template <typename Key, typename Value>
  class Shelf {
   public:
    Value get(const Key& key, const std::function<Value()>& make);

   private:
    struct Slot {
      std::mutex mutex;  // held while the value is made
      std::optional<Value> value;
    };
    std::mutex mutex_;
    std::list<std::pair<Key, std::shared_ptr<Slot>>> slots_;  // latest use first
  };

  Shelf<std::string, CompileResult> programs_;
  // A plan keeps its programs alive, so a pointer is no other program's while its plan is here.
  Shelf<std::vector<std::shared_ptr<const Program>>, std::shared_ptr<const Plan>> plans_;
};

// What compile() makes is the same where this is: a hash of the rules, their lists, the modifiers
// and the options, and of the scope only whether it is meant by each target. Empty when there is no
// memory for it.
std::string fingerprint(const std::vector<RuleSet>& rule_sets, const CompileOptions& options);

}  // namespace cicd
