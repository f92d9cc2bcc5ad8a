// SPDX-License-Identifier: Apache-2.0
// `cicd-sensor doctor`: can this machine be watched, and what would be missed? Every check does the
// real thing (makes a cgroup, starts a process in it, attaches the hooks) and undoes it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/event_source.h"

namespace cicd {

struct DoctorCheck {
  enum class State { kGood, kFinding, kSkipped };
  std::string name;  // "cgroup v2"
  State state = State::kGood;
  std::string detail;  // what was found, or what is wrong
  std::string hint;    // what to do about it, or empty
};

struct DoctorReport {
  std::string kernel_release;
  std::vector<DoctorCheck> checks;
  std::vector<Coverage> coverage;  // empty: the hooks could not be attached at all

  bool has_findings() const;
};

// `btf_path`: in place of the kernel's own, when not empty. `socket_path`: of the agent, if there
// is one.
DoctorReport examine_machine(const std::string& btf_path, const std::string& socket_path);
std::string doctor_text(const DoctorReport& report);
std::string doctor_json(const DoctorReport& report);

// Prints it; exit code 0, or 1 when there are findings.
int run_doctor(bool as_json, const std::string& btf_path, const std::string& socket_path);

}  // namespace cicd
