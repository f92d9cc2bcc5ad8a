// SPDX-License-Identifier: Apache-2.0
// HookSet: the programs that are in use, and their attachments. Chooses a backend for each event
// type: the best one whose programs all load and attach here. What costs untracked work nothing is
// attached at once, the rest only between attach_for_job() and detach_after_job(); a program that
// fails only then lets its backend fall back, too.
//
// Threads: one. Processes: survives fork(); whoever goes last detaches (link_pins.h).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/event_source.h"
#include "kernel/hook_catalogue.h"
#include "kernel/link_pins.h"
#include "kernel/program_set.h"

namespace cicd {

struct HookState;
struct LiveOptions;
class PinFolder;

class HookSet {
 public:
  // Fails when a backend that was asked for does not exist or cannot be had here, and when nothing
  // at all loads. `pins` (may be null): where attachments are to outlive this process.
  static Result<std::unique_ptr<HookSet>> open(const LiveOptions& options,
                                               const ProgramSetOptions& programs,
                                               UniqueFd cgroup_root, const PinFolder* pins);
  // Takes over what another process left in `pins`. Attachments that are not there any more,
  // because this kernel cannot pin them, are made anew; those of jobs at attach_for_job().
  static Result<std::unique_ptr<HookSet>> adopt(const LiveOptions& options,
                                                const ProgramSetOptions& programs,
                                                UniqueFd cgroup_root, const PinFolder& pins,
                                                const HookState& state);
  // Pins programs and maps when others are loaded than were pinned, and says so in `state`.
  Result<> save(PinFolder& pins, HookState state);
  bool is_adopted() const { return is_adopted_; }
  // How many attachments had to be made anew after the take-over.
  std::size_t attached_anew() const { return attached_anew_; }

  const ProgramSet& programs() const { return programs_; }
  int cgroup_root() const { return cgroup_root_.get(); }

  // An error: a hook without which a job's policy would not be in force, and why it is missing.
  Result<> check_egress() const;
  void attach_for_job();
  void detach_after_job();
  // The library prober does not run.
  void note_no_probes(const std::string& reason);

  std::vector<Coverage> coverage() const;

 private:
  // Backends of a type, best first, and the one that is taken.
  struct Chain {
    const EventBackend* best = nullptr;
    const EventBackend* taken = nullptr;
    bool is_forced = false;
    bool is_helper = false;
  };
  using Names = std::set<std::string_view>;

  HookSet(ProgramSet programs, UniqueFd cgroup_root, LinkPins pins, const LiveOptions& options);

  void make_chains();
  bool take_backends(const std::vector<std::string>& names);
  void attach_missing();
  Result<> attach_unless_there(const HookInfo& hook);

  Result<> choose(const LiveOptions& options);
  static void force(Chain& chain, const LiveOptions& options);
  bool fall_back();
  void renew_trampolines();
  void same_kind_of_files();
  void let_go(const Names& programs);
  void load_and_attach(const Names& programs);
  void attach_job_hooks(const Names& programs);
  Names programs_in_use() const;
  Names programs_without_choice() const;
  bool is_wanted(const HookInfo& hook) const;
  bool is_refused(const EventBackend& backend) const;
  bool is_absent(const EventBackend& backend) const;
  const Chain& chain_of(EventType type) const;

  Result<> attach(const HookInfo& hook);
  void append_errors(const EventBackend& backend, std::string& text) const;
  std::string limits_of(const EventBackend& backend) const;
  Coverage coverage_of(const Chain& chain) const;
  void add_tls(Coverage& coverage) const;

  ProgramSet programs_;
  UniqueFd cgroup_root_;
  LinkPins pins_;
  std::vector<Chain> chains_;
  std::map<std::string, std::string, std::less<>> errors_;  // by program: not loaded, not attached
  const bool strict_;
  const bool tls_capture_;
  bool for_job_ = false;
  bool was_detached_ = false;
  bool is_adopted_ = false;
  bool is_saved_ = false;  // what is loaded now is what is pinned
  std::size_t attached_anew_ = 0;
};

}  // namespace cicd
