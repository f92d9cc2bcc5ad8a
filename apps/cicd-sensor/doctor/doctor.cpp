// SPDX-License-Identifier: Apache-2.0
#include "doctor/doctor.h"

#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "console.h"
#include "egress/dns_redirect.h"
#include "exit_codes.h"
#include "job/job_cgroup.h"
#include "job/spawn.h"
#include "kernel/live_source.h"
#include "kernel/pin_folder.h"
#include "listener/agent_routes.h"
#include "listener/http_client.h"
#include "run/plan.h"

namespace cicd {

namespace {

using State = DoctorCheck::State;

constexpr std::chrono::seconds kAgentTimeout{2};

DoctorCheck good(std::string name, std::string detail) {
  return {std::move(name), State::kGood, std::move(detail), {}};
}

DoctorCheck finding(std::string name, const Error& error) {
  return {std::move(name), State::kFinding, error.text, error.hint};
}

DoctorCheck skipped(std::string name, std::string why) {
  return {std::move(name), State::kSkipped, std::move(why), {}};
}

DoctorCheck check_btf(const std::string& btf_path) {
  const std::string path = btf_path.empty() ? "/sys/kernel/btf/vmlinux" : btf_path;
  if (::access(path.c_str(), R_OK) == 0) return good("type information (BTF)", path);
  return finding(
      "type information (BTF)",
      Error{ErrorCode::kUnsupported, 0, path + " cannot be read",
            btf_path.empty() ? "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or name "
                               "a copy of the file with --btf"
                             : "name a file that is there"});
}

// Makes a cgroup, starts /bin/true in it, and removes it again.
Result<void> try_start(const CgroupPlace& place) {
  CICD_ASSIGN(const JobCgroup group,
              JobCgroup::create(place, "cicd-sensor-doctor-" + std::to_string(::getpid())));
  const auto start = [&]() -> Result<void> {
    SpawnRequest request;
    request.path = "/bin/true";
    request.argv = {"true"};
    request.cgroup_fd = group.fd();
    request.inherited = InheritedState::capture();
    CICD_ASSIGN(SpawnedCommand command, SpawnedCommand::start(request));
    CICD_TRY(command.release());
    int status = 0;
    ::waitpid(command.pid(), &status, 0);
    return {};
  };
  const auto started = start();
  const auto removed = group.remove();
  return started ? removed : started;
}

void check_cgroup(DoctorReport& report, bool may_watch) {
  const auto place = find_own_cgroup();
  if (!place) {
    report.checks.push_back(finding("cgroup v2", place.error()));
    return;
  }
  report.checks.push_back(
      good("cgroup v2", "mounted at " + place->mount_point + ", own cgroup " + place->path));
  constexpr const char* kStart = "start in a cgroup";
  if (!may_watch) {
    report.checks.push_back(skipped(kStart, "not permitted to try"));
  } else if (const auto started = try_start(*place); !started) {
    report.checks.push_back(finding(kStart, started.error()));
  } else {
    report.checks.push_back(good(kStart, "a process was started below " + place->dir));
  }
}

void check_hooks(DoctorReport& report, bool may_watch, const std::string& btf_path) {
  if (!may_watch) {
    report.checks.push_back(skipped("kernel programs", "not permitted to try"));
    return;
  }
  LiveOptions options;
  options.btf_path = btf_path;
  auto source = LiveSource::open(options);
  if (!source) {
    report.checks.push_back(finding("kernel programs", source.error()));
    return;
  }
  const auto hooks = (*source)->start_job_hooks();
  report.coverage = (*source)->coverage();
  const auto missing = std::ranges::count_if(
      report.coverage, [](const Coverage& coverage) { return !coverage.available; });
  if (!hooks) {
    report.checks.push_back(finding("kernel programs", hooks.error()));
  } else if (missing > 0) {
    report.checks.push_back(
        finding("kernel programs",
                Error{ErrorCode::kUnsupported, 0,
                      std::to_string(missing) + " types of event cannot be watched", "see below"}));
  } else {
    report.checks.push_back(good("kernel programs", "loaded and attached"));
  }
  if (const auto place = find_own_cgroup()) {
    const auto seen = (*source)->self_check(place->dir);
    report.checks.push_back(
        seen ? good("self-check", "a process was seen to run, to open a file and to connect")
             : finding("self-check", seen.error()));
  }
  (*source)->stop_job_hooks();
}

// No agent is no finding: `run` needs none.
DoctorCheck check_agent(const std::string& socket_path) {
  constexpr const char* kName = "agent";
  const auto answer =
      http_post(socket_path, std::string(kStatusRoute), "{}", {.timeout = kAgentTimeout});
  if (answer && answer->status == 200) return good(kName, "one answers at " + socket_path);
  if (answer) {
    return finding(kName, Error{ErrorCode::kIo, 0,
                                "what listens at " + socket_path + " answers with status " +
                                    std::to_string(answer->status),
                                "is it a cicd-sensor agent, and of this version?"});
  }
  const bool is_there = ::access(socket_path.c_str(), F_OK) == 0;
  return is_there ? finding(kName, answer.error()) : skipped(kName, answer.error().text);
}

// What an agent's jobs need to outlive it.
DoctorCheck check_pins(bool may_watch) {
  constexpr const char* kName = "pins";
  if (!may_watch) return skipped(kName, "not permitted to try");
  const auto folder = PinFolder::open(kPinRoot + ("/doctor-" + std::to_string(::getpid())));
  if (folder) return good(kName, std::string("below ") + kPinRoot + ": jobs outlive an agent");
  return skipped(kName,
                 "jobs would be missed while an agent is started again: " + folder.error().text);
}

// No finding: what raw sockets ask is denied without it, as everything else of theirs.
DoctorCheck check_nft() {
  constexpr const char* kName = "nftables";
  const std::string path = DnsRedirect::find_nft();
  if (!path.empty()) return good(kName, path + ": names for raw sockets in containers");
  return skipped(kName,
                 "no nft program: names that raw sockets in containers ask for are denied, "
                 "not answered, where a policy is enforced");
}

}  // namespace

bool DoctorReport::has_findings() const {
  return std::ranges::any_of(
      checks, [](const DoctorCheck& check) { return check.state == State::kFinding; });
}

DoctorReport examine_machine(const std::string& btf_path, const std::string& socket_path) {
  DoctorReport report;
  utsname kernel{};
  ::uname(&kernel);
  report.kernel_release = kernel.release;
  const auto allowed = check_capabilities({"doctor"});
  report.checks.push_back(allowed ? good("permission", "kernel programs may be loaded")
                                  : finding("permission", allowed.error()));
  report.checks.push_back(check_btf(btf_path));
  check_cgroup(report, allowed.has_value());
  check_hooks(report, allowed.has_value(), btf_path);
  report.checks.push_back(check_pins(allowed.has_value()));
  report.checks.push_back(check_nft());
  report.checks.push_back(check_agent(socket_path));
  return report;
}

int run_doctor(bool as_json, const std::string& btf_path, const std::string& socket_path) {
  const DoctorReport report = examine_machine(btf_path, socket_path);
  print_out(as_json ? doctor_json(report) : doctor_text(report));
  return report.has_findings() ? kExitFindings : 0;
}

}  // namespace cicd
