// SPDX-License-Identifier: Apache-2.0
#include "kernel/hook_set.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "kernel/attach.h"
#include "kernel/hook_state.h"
#include "kernel/live_source.h"
#include "kernel/pin_folder.h"

namespace cicd {

namespace {

// Several programs can share a tracepoint. bpffs allows no dot in a name.
std::string pin_name(const HookInfo& hook, std::string_view tracepoint) {
  return std::string(hook.program) + "-" + std::string(tracepoint);
}

bool is_for_jobs(AttachKind kind) {
  return kind == AttachKind::kSyscall || kind == AttachKind::kTrampoline ||
         kind == AttachKind::kStrict;
}

Result<> attach_syscalls(const HookInfo& hook, int program, const SyscallTracepoints& tracepoints,
                         LinkPins& pins) {
  bool any = false;
  for (const std::string_view name : hook.tracepoints) {
    Result<UniqueFd> link = tracepoints.attach(name, program);
    if (link) {
      pins.keep(pin_name(hook, name), std::move(*link));
      any = true;
    } else if (link.error().code != ErrorCode::kNotFound) {
      return std::unexpected(std::move(link).error());
    }
  }
  if (!any) return fail(ErrorCode::kUnsupported, "this kernel has no syscall tracepoints");
  return {};
}

// A program whose tracepoints were attached by an earlier process; those of one were all there or
// none was.
bool has_links(const HookInfo& hook, const LinkPins& pins) {
  return std::ranges::any_of(hook.tracepoints,
                             [&](std::string_view name) { return pins.has(pin_name(hook, name)); });
}

std::optional<BackendKind> kind_of_name(std::string_view name) {
  if (name.empty() || name == "best") return BackendKind::kAny;
  if (name == "syscall") return BackendKind::kSyscall;
  if (name == "trampoline") return BackendKind::kTrampoline;
  return std::nullopt;
}

bool is_file_type(EventType type) {
  return type == EventType::kFileOpen || type == EventType::kFileRemove ||
         type == EventType::kFileMove || type == EventType::kFileLink;
}

Result<> check_types(const std::map<std::string, std::string>& wanted) {
  for (const auto& [type, name] : wanted) {
    bool is_known = false;
    for (const EventBackend& best : event_backends()) {
      if (info_of(best.type).name != type) continue;
      const EventBackend* backend = &best;
      while (backend != nullptr && backend->backend != name) backend = backend->fallback;
      is_known = backend != nullptr;
    }
    if (!is_known) {
      return fail(ErrorCode::kUsage, "there is no backend '" + name + "' for " + type,
                  "`cicd-sensor doctor` names the backends in use");
    }
  }
  return {};
}

}  // namespace

HookSet::HookSet(ProgramSet programs, UniqueFd cgroup_root, LinkPins pins,
                 const LiveOptions& options)
    : programs_(std::move(programs)),
      cgroup_root_(std::move(cgroup_root)),
      pins_(std::move(pins)),
      strict_(options.strict),
      tls_capture_(options.tls_capture) {}

Result<std::unique_ptr<HookSet>> HookSet::open(const LiveOptions& options,
                                               const ProgramSetOptions& programs,
                                               UniqueFd cgroup_root, const PinFolder* pins) {
  if (Result<> known = check_types(options.backends); !known) {
    return std::unexpected(std::move(known).error());
  }
  const std::optional<BackendKind> kind = kind_of_name(options.backend_kind);
  if (!kind) {
    return fail(ErrorCode::kUsage, "there is no kind of backend '" + options.backend_kind + "'",
                "give best, syscall or trampoline");
  }
  ProgramSetOptions wanted = programs;
  wanted.trampolines = *kind != BackendKind::kSyscall;
  Result<ProgramSet> opened = ProgramSet::open(wanted);
  if (!opened) return std::unexpected(std::move(opened).error());
  if (*kind == BackendKind::kTrampoline && !opened->trampoline_error().empty()) {
    return fail(ErrorCode::kUnsupported,
                "trampolines are not to be had here: " + opened->trampoline_error(),
                "leave --backend out: then system calls are watched where trampolines are missing");
  }
  LinkPins links;
  if (pins != nullptr) {
    CICD_ASSIGN(UniqueFd folder, pins->open_kind("links"));
    links = LinkPins(std::move(folder));
  }
  std::unique_ptr<HookSet> set(
      new HookSet(std::move(*opened), std::move(cgroup_root), std::move(links), options));
  if (Result<> chosen = set->choose(options); !chosen) {
    return std::unexpected(std::move(chosen).error());
  }
  return set;
}

Result<std::unique_ptr<HookSet>> HookSet::adopt(const LiveOptions& options,
                                                const ProgramSetOptions& programs,
                                                UniqueFd cgroup_root, const PinFolder& pins,
                                                const HookState& state) {
  CICD_ASSIGN(ProgramSet adopted, ProgramSet::adopt(programs, pins, state));
  CICD_ASSIGN(UniqueFd folder, pins.open_kind("links"));
  std::unique_ptr<HookSet> set(new HookSet(std::move(adopted), std::move(cgroup_root),
                                           LinkPins(std::move(folder)), options));
  set->make_chains();
  if (!set->take_backends(state.backends)) {
    return fail(ErrorCode::kInvalidInput, "the pinned programs are of another version");
  }
  set->errors_ = state.errors;
  set->is_adopted_ = true;
  set->is_saved_ = true;
  set->was_detached_ = true;
  set->attach_missing();
  CICD_TRY(set->programs_.check());
  return set;
}

bool HookSet::take_backends(const std::vector<std::string>& names) {
  if (names.size() != chains_.size()) return false;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Chain& chain = chains_[i];
    while (chain.taken != nullptr && chain.taken->backend != names[i]) {
      chain.taken = chain.taken->fallback;
    }
    if (chain.taken == nullptr) return false;
  }
  return true;
}

void HookSet::attach_missing() {
  Names programs = programs_in_use();
  programs.merge(programs_without_choice());
  for (const HookInfo& hook : hooks()) {
    if (!programs.contains(hook.program) || programs_.program_fd(hook.program) < 0) continue;
    if (is_for_jobs(hook.attach) || hook.attach == AttachKind::kUprobe) continue;
    if (Result<> attached = attach_unless_there(hook); !attached) {
      errors_[std::string(hook.program)] = attached.error().text;
    }
  }
}

Result<> HookSet::attach_unless_there(const HookInfo& hook) {
  if (is_adopted_ && pins_.has(hook.program)) return {};
  CICD_TRY(attach(hook));
  if (is_adopted_) ++attached_anew_;
  return {};
}

Result<> HookSet::save(PinFolder& pins, HookState state) {
  if (is_saved_) return {};
  for (const Chain& chain : chains_) state.backends.emplace_back(chain.taken->backend);
  state.errors = errors_;
  state.absent = programs_.absent();
  state.trampoline_error = programs_.trampoline_error();
  CICD_TRY(programs_.pin(pins));
  CICD_TRY(pins.write_state(to_text(state)));
  is_saved_ = true;
  return {};
}

void HookSet::force(Chain& chain, const LiveOptions& options) {
  const auto named = options.backends.find(std::string(info_of(chain.best->type).name));
  const bool is_named = named != options.backends.end() && !chain.is_helper;
  const BackendKind kind = kind_of_name(options.backend_kind).value_or(BackendKind::kAny);
  if (!is_named && kind == BackendKind::kAny) return;
  for (const EventBackend* each = chain.best; each != nullptr; each = each->fallback) {
    if (is_named ? each->backend != named->second : each->kind != kind) continue;
    chain.taken = each;
    chain.is_forced = true;
    return;
  }
}

void HookSet::make_chains() {
  for (const EventBackend& best : event_backends()) chains_.push_back({&best, &best});
  for (const EventBackend& best : helper_backends()) {
    chains_.push_back({&best, &best, false, true});
  }
}

Result<> HookSet::choose(const LiveOptions& options) {
  make_chains();
  for (Chain& chain : chains_) force(chain, options);
  Names first = programs_in_use();
  first.merge(programs_without_choice());
  load_and_attach(first);
  while (fall_back()) {
  }
  if (strict_) {
    same_kind_of_files();
    if (chain_of(EventType::kFileOpen).taken->kind == BackendKind::kSyscall) {
      load_and_attach({kStrictProgram});
    }
  }
  return programs_.check();
}

// The one program of --strict serves opens and changes of files; where one of them has no
// trampolines it would tell the other's twice.
void HookSet::same_kind_of_files() {
  const auto is_syscall = [](const Chain& chain) {
    return is_file_type(chain.best->type) && !chain.is_helper &&
           chain.taken->kind == BackendKind::kSyscall;
  };
  if (std::ranges::none_of(chains_, is_syscall)) return;
  Names added;
  for (Chain& chain : chains_) {
    if (chain.is_helper || !is_file_type(chain.best->type)) continue;
    while (chain.taken->kind != BackendKind::kSyscall && chain.taken->fallback != nullptr) {
      const Names old(chain.taken->programs.begin(), chain.taken->programs.end());
      chain.taken = chain.taken->fallback;
      let_go(old);
      added.insert(chain.taken->programs.begin(), chain.taken->programs.end());
    }
  }
  if (!added.empty()) load_and_attach(added);
}

Result<> HookSet::check_egress() const {
  for (const HookInfo& hook : hooks()) {
    if (hook.family != HookFamily::kEgress && hook.family != HookFamily::kNetwork &&
        hook.family != HookFamily::kPacket) {
      continue;
    }
    const auto error = errors_.find(hook.program);
    if (error == errors_.end()) continue;
    return fail(ErrorCode::kUnsupported,
                "egress cannot be denied here: the hook " + std::string(hook.program) +
                    " is missing: " + error->second,
                "use the mode observe, or see cicd-sensor doctor");
  }
  return {};
}

// One step for every type whose backend has failed; false when there was none.
bool HookSet::fall_back() {
  Names failed;
  Names added;
  for (Chain& chain : chains_) {
    if (chain.is_forced || chain.taken->fallback == nullptr || !is_refused(*chain.taken)) continue;
    failed.insert(chain.taken->programs.begin(), chain.taken->programs.end());
    chain.taken = chain.taken->fallback;
    added.insert(chain.taken->programs.begin(), chain.taken->programs.end());
  }
  if (added.empty()) return false;
  let_go(failed);
  load_and_attach(added);
  return true;
}

// Those that no type uses any more.
void HookSet::let_go(const Names& programs) {
  const Names used = programs_in_use();
  for (const HookInfo& hook : hooks()) {
    if (!programs.contains(hook.program) || used.contains(hook.program)) continue;
    for (const std::string_view name : hook.tracepoints) pins_.drop(pin_name(hook, name));
    pins_.drop(hook.program);
    programs_.drop(hook.program);
  }
}

void HookSet::load_and_attach(const Names& programs) {
  // One that is loaded anew has new maps; what is attached still has the old ones.
  for (const std::string_view program : programs) pins_.drop(program);
  is_saved_ = false;
  programs_.load(programs);
  for (const HookInfo& hook : hooks()) {
    if (!programs.contains(hook.program) || programs_.is_absent(hook.program)) continue;
    const std::string name(hook.program);
    errors_.erase(name);
    if (programs_.program_fd(hook.program) < 0) {
      errors_[name] = programs_.program_error(hook.program);
    } else if (!is_for_jobs(hook.attach) && hook.attach != AttachKind::kUprobe) {
      if (Result<> attached = attach(hook); !attached) errors_[name] = attached.error().text;
    }
  }
  if (for_job_) attach_job_hooks(programs);
}

Result<> HookSet::attach(const HookInfo& hook) {
  const int program = programs_.program_fd(hook.program);
  Result<UniqueFd> link = hook.attach == AttachKind::kCgroup
                              ? attach_cgroup(program, cgroup_root_.get(), hook.cgroup_type)
                              : attach_tracing(program);
  if (!link) return std::unexpected(std::move(link).error());
  pins_.keep(hook.program, std::move(*link));
  return {};
}

void HookSet::attach_job_hooks(const Names& programs) {
  std::optional<Result<SyscallTracepoints>> tracepoints;  // opened for the first that needs them
  const auto attach_one = [&](const HookInfo& hook) -> Result<> {
    if (hook.attach != AttachKind::kSyscall) return attach_unless_there(hook);
    if (is_adopted_ && has_links(hook, pins_)) return {};
    if (!tracepoints) tracepoints = SyscallTracepoints::open();
    if (!*tracepoints) return std::unexpected(tracepoints->error());
    CICD_TRY(attach_syscalls(hook, programs_.program_fd(hook.program), **tracepoints, pins_));
    if (is_adopted_) ++attached_anew_;
    return {};
  };
  for (const HookInfo& hook : hooks()) {
    if (!is_for_jobs(hook.attach) || !programs.contains(hook.program)) continue;
    if (programs_.program_fd(hook.program) < 0) continue;  // known by now
    if (Result<> attached = attach_one(hook); !attached) {
      errors_[std::string(hook.program)] = attached.error().text;
    }
  }
}

void HookSet::attach_for_job() {
  if (for_job_) return;
  for_job_ = true;
  Names programs = programs_in_use();
  programs.merge(programs_without_choice());
  programs.insert(kStrictProgram);
  attach_job_hooks(programs);
  if (was_detached_) renew_trampolines();
  while (fall_back()) {
  }
}

// Before 5.13 a program at a function attaches once only: for a second time it is loaded anew, with
// all that share its maps.
void HookSet::renew_trampolines() {
  Names programs;
  bool any_failed = false;
  for (const Chain& chain : chains_) {
    if (chain.taken->kind != BackendKind::kTrampoline) continue;
    any_failed |= is_refused(*chain.taken);
    programs.insert(chain.taken->programs.begin(), chain.taken->programs.end());
  }
  if (any_failed) load_and_attach(programs);
}

void HookSet::detach_after_job() {
  for (const HookInfo& hook : hooks()) {
    for (const std::string_view name : hook.tracepoints) pins_.drop(pin_name(hook, name));
    if (is_for_jobs(hook.attach)) pins_.drop(hook.program);
  }
  for_job_ = false;
  was_detached_ = true;
}

void HookSet::note_no_probes(const std::string& reason) {
  for (const HookInfo& hook : hooks()) {
    if (hook.attach == AttachKind::kUprobe && is_wanted(hook)) {
      errors_[std::string(hook.program)] = reason;
    }
  }
}

HookSet::Names HookSet::programs_in_use() const {
  Names names;
  for (const Chain& chain : chains_) {
    names.insert(chain.taken->programs.begin(), chain.taken->programs.end());
  }
  return names;
}

bool HookSet::is_wanted(const HookInfo& hook) const {
  if (!hook.second_of.empty() && running_kernel() < kPreemptsTracepoints) return false;
  return hook.family != HookFamily::kStrict && (hook.family != HookFamily::kTls || tls_capture_);
}

HookSet::Names HookSet::programs_without_choice() const {
  Names names;
  for (const HookInfo& hook : hooks()) {
    if (is_wanted(hook)) names.insert(hook.program);
  }
  for (const Chain& chain : chains_) {
    for (const EventBackend* each = chain.best; each != nullptr; each = each->fallback) {
      for (const std::string_view program : each->programs) names.erase(program);
    }
  }
  return names;
}

const HookSet::Chain& HookSet::chain_of(EventType type) const {
  return *std::ranges::find_if(
      chains_, [&](const Chain& chain) { return !chain.is_helper && chain.best->type == type; });
}

bool HookSet::is_absent(const EventBackend& backend) const {
  return !backend.programs.empty() &&
         std::ranges::all_of(backend.programs, [&](std::string_view program) {
           return programs_.is_absent(program);
         });
}

bool HookSet::is_refused(const EventBackend& backend) const {
  return std::ranges::any_of(backend.programs,
                             [&](std::string_view program) { return errors_.contains(program); });
}

std::string HookSet::limits_of(const EventBackend& backend) const {
  if (!strict_ || backend.strict_limits.empty()) return std::string(backend.limits);
  const auto error = errors_.find(kStrictProgram);
  if (error == errors_.end()) return std::string(backend.strict_limits);
  return std::string(backend.limits) + " --strict is not in force: " + error->second;
}

// What --tls-capture adds, and what is missing of it.
void HookSet::add_tls(Coverage& coverage) const {
  for (const HookInfo& hook : hooks()) {
    if (hook.family != HookFamily::kTls) continue;
    const auto error = errors_.find(hook.program);
    if (error == errors_.end()) continue;
    coverage.reason += (coverage.reason.empty() ? "" : "; ") + error->first + ": " + error->second;
    return;
  }
  coverage.backend = coverage.available ? coverage.backend + ", uprobe" : "uprobe";
  coverage.available = true;
}

void HookSet::append_errors(const EventBackend& backend, std::string& text) const {
  for (const std::string_view program : backend.programs) {
    const auto error = errors_.find(program);
    if (error == errors_.end()) continue;
    // What holds for all trampolines is told once.
    const bool is_general = error->second == programs_.trampoline_error();
    if (is_general && text.find(error->second) != std::string::npos) continue;
    if (!text.empty()) text += "; ";
    text += is_general ? error->second : std::string(program) + ": " + error->second;
  }
}

Coverage HookSet::coverage_of(const Chain& chain) const {
  const EventBackend& taken = *chain.taken;
  Coverage coverage;
  coverage.type = chain.best->type;
  coverage.available = taken.backend != kNoBackend && !is_refused(taken);
  if (taken.backend == kNoBackend) coverage.reason = "this version has no hook for it";
  // Those that were tried before, and this one when it failed as well.
  for (const EventBackend* backend = chain.best; backend != nullptr; backend = backend->fallback) {
    append_errors(*backend, coverage.reason);
    if (backend == &taken) break;
  }
  if (taken.relies_on && is_refused(*chain_of(*taken.relies_on).taken)) {
    coverage.available = false;
    append_errors(*chain_of(*taken.relies_on).taken, coverage.reason);
  }
  const bool is_none_there = is_absent(taken);
  const bool is_needed = taken.facility == nullptr || ::access(taken.facility, F_OK) == 0;
  if (is_none_there && is_needed) {
    coverage.available = false;
    coverage.reason = "this kernel has no tracepoint for it";
  }
  coverage.backend = coverage.available ? taken.backend : kNoBackend;
  if (is_none_there && !is_needed) coverage.backend = kNotInThisKernel;
  if (coverage.available && !is_none_there) coverage.limits = limits_of(taken);
  return coverage;
}

std::vector<Coverage> HookSet::coverage() const {
  std::vector<Coverage> out;
  for (const Chain& chain : chains_) {
    if (chain.is_helper) continue;
    Coverage coverage = coverage_of(chain);
    if (coverage.type == EventType::kHttpRequest && tls_capture_) add_tls(coverage);
    // Not its backend, but where some of its names come from.
    const auto resolver = errors_.find("getaddrinfo_called");
    if (coverage.type == EventType::kNetworkConnect && resolver != errors_.end()) {
      coverage.reason += (coverage.reason.empty() ? "" : "; ") +
                         ("names of the C library are not seen: " + resolver->second);
    }
    out.push_back(std::move(coverage));
  }
  return out;
}

}  // namespace cicd
