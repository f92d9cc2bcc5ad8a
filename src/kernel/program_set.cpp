// SPDX-License-Identifier: Apache-2.0
#include "kernel/program_set.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "hooks.skel.h"
#include "hooks_old.skel.h"
#include "kernel/hook_catalogue.h"
#include "kernel/hook_state.h"
#include "kernel/libbpf_log.h"
#include "kernel/pin_folder.h"
#include "kernel/trampoline_probe.h"
#include "wire/egress.h"

namespace cicd {

namespace {

struct ObjectCloser {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};
using BpfObject = std::unique_ptr<bpf_object, ObjectCloser>;

// A libbpf older than the hook does not know it by its section.
void name_cgroup_hook(bpf_program* program) {
  if (::bpf_program__type(program) != BPF_PROG_TYPE_UNSPEC) return;
  const std::string_view name = ::bpf_program__name(program);
  for (const HookInfo& hook : hooks()) {
    if (hook.program != name || hook.attach != AttachKind::kCgroup) continue;
    ::bpf_program__set_type(program, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
    const auto type = static_cast<bpf_attach_type>(hook.cgroup_type);
    ::bpf_program__set_expected_attach_type(program, type);
  }
}

// Maps that user space has business with; the others live as long as the programs that use them.
constexpr std::string_view kOurMaps[] = {"build_parents",   "bulk_ring",     "control_ring",
                                         "dns_clients",     "egress_addrs",  "egress_denied",
                                         "egress_flows",    "egress_nets",   "egress_policies",
                                         "egress_steps",    "egress_totals", "escaped",
                                         "known_libraries", "loss",          "made_names",
                                         "members",         "netns_ring",    "resolver_nets",
                                         "shared",          "socket_owners", "staged_names",
                                         "tracked_cgroups", "wanted_vars"};

// Which of the two objects this kernel gets (bpf/include/path.h).
bool has_bpf_loop() {
  static const bool has =
      ::libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, BPF_FUNC_loop, nullptr) == 1;
  return has;
}

std::string_view object_bytes() {
  std::size_t size = 0;
  const void* bytes =
      has_bpf_loop() ? hooks_bpf__elf_bytes(&size) : hooks_old_bpf__elf_bytes(&size);
  return {static_cast<const char*>(bytes), size};
}

UniqueFd duplicate(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

}  // namespace

struct ProgramSet::Loader {
  using Names = std::set<std::string, std::less<>>;

  ProgramSet& set;
  const ProgramSetOptions& options = set.options_;

  Result<BpfObject> open() const {
    const std::string_view bytes = object_bytes();
    bpf_object_open_opts opts{};
    opts.sz = sizeof(opts);
    opts.object_name = "cicd";
    if (!options.btf_path.empty()) opts.btf_custom_path = options.btf_path.c_str();
    bpf_object* object = ::bpf_object__open_mem(bytes.data(), bytes.size(), &opts);
    if (object == nullptr) return fail_errno(errno, "open the object with the kernel programs");
    return BpfObject(object);
  }

  // Sizes; maps that an earlier object made serve this one too.
  Result<> prepare(bpf_object* object) const {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
      const std::string name = ::bpf_map__name(map);  // reuse_fd lets the map's own go
      if (const int made = set.map_fd(name); made >= 0) {
        const int error = ::bpf_map__reuse_fd(map, made);
        if (error != 0) return fail_errno(-error, "share map " + name);
      }
    }
    const auto set_size = [&](const char* name, std::size_t bytes) {
      if (set.map_fd(name) >= 0) return;
      ::bpf_map__set_max_entries(::bpf_object__find_map_by_name(object, name),
                                 static_cast<std::uint32_t>(bytes));
    };
    set_size("control_ring", options.control_ring_bytes);
    set_size("bulk_ring", options.bulk_ring_bytes);
    set_size("loss", std::size_t{options.slots} * CICD_LOSS_STRIDE);
    set_size("egress_policies", options.slots);
    set_size("egress_totals", std::size_t{options.slots} * CICD_TOTALS_STRIDE);
    return {};
  }

  Result<> keep(bpf_object* object) const {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
      const int fd = ::bpf_program__fd(program);
      if (fd < 0) continue;
      UniqueFd kept = duplicate(fd);
      if (!kept) return fail_errno(errno, "keep a BPF program");
      set.programs_[::bpf_program__name(program)] = std::move(kept);
    }
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
      if (::bpf_map__is_internal(map) || set.map_fd(::bpf_map__name(map)) >= 0) continue;
      UniqueFd kept = duplicate(::bpf_map__fd(map));
      if (!kept) return fail_errno(errno, "keep a BPF map");
      set.maps_[::bpf_map__name(map)] = std::move(kept);
    }
    return {};
  }

  // What the program is put at has another name in another kernel.
  Result<> set_function(bpf_program* program) const {
    const auto function = set.functions_.find(::bpf_program__name(program));
    if (function == set.functions_.end()) return {};
    const int error = ::bpf_program__set_attach_target(program, 0, function->second.c_str());
    if (error != 0) return fail_errno(-error, "find kernel function " + function->second);
    return {};
  }

  // Loads these programs, all or none. The error ends in the verifier's last lines.
  Result<> load(const Names& wanted) const {
    LibbpfLog log;
    Result<BpfObject> object = open();
    if (!object) return std::unexpected(std::move(object).error());
    if (Result<> prepared = prepare(object->get()); !prepared) return prepared;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object->get()) {
      const bool is_wanted = wanted.contains(::bpf_program__name(program));
      ::bpf_program__set_autoload(program, is_wanted);
      name_cgroup_hook(program);
      if (!is_wanted) continue;
      if (Result<> found = set_function(program); !found) return found;
    }
    const int error = ::bpf_object__load(object->get());
    if (error != 0) return fail_errno(-error, "load the kernel programs" + log.last_lines());
    return keep(object->get());
  }

  void find_function(const btf* types, const HookInfo& hook) const {
    for (const std::string_view function : hook.functions) {
      std::string name(function);
      if (::btf__find_by_name_kind(types, name.c_str(), BTF_KIND_FUNC) < 0) continue;
      if (hook.attach == AttachKind::kTrampoline) set.functions_[hook.program] = std::move(name);
      return;
    }
    if (hook.is_optional) {
      set.absent_.emplace(hook.program);
    } else {
      set.refuse(hook.program,
                 "this kernel has no function " + std::string(hook.functions.front()));
    }
  }

  void refuse_split_functions() const {
    std::set<std::string_view> functions;
    for (const HookInfo& hook : hooks()) {
      if (hook.attach != AttachKind::kTrampoline) continue;
      functions.insert(hook.functions.begin(), hook.functions.end());
    }
    const auto split = split_functions(functions);
    for (const HookInfo& hook : hooks()) {
      if (hook.attach != AttachKind::kTrampoline) continue;
      for (const std::string_view function : hook.functions) {
        if (!split.contains(function)) continue;
        set.refuse(hook.program, "the compiler has split " + std::string(function));
      }
    }
  }

  // Functions are those of the running kernel; a BTF file that was named need not have them.
  void find_functions(const btf* types) const {
    if (options.trampolines) {
      const Result<> probed = types != nullptr
                                  ? probe_trampolines(types)
                                  : fail(ErrorCode::kUnsupported, "the running kernel has no BTF");
      if (!probed) set.trampoline_error_ = probed.error().text;
    }
    const bool none = !options.trampolines || !set.trampoline_error_.empty();
    if (!none) refuse_split_functions();
    for (const HookInfo& hook : hooks()) {
      if (hook.functions.empty() || set.is_absent(hook.program)) continue;
      if (set.errors_.contains(hook.program)) continue;
      if (hook.attach == AttachKind::kTrampoline && none) {
        set.refuse(hook.program, set.trampoline_error_);
      } else if (types != nullptr) {
        find_function(types, hook);
      }
    }
  }

  // Without type information nothing is absent: what does not load is an error then.
  void find_absent(const btf* types) const {
    if (types == nullptr) return;
    for (const HookInfo& hook : hooks()) {
      if (hook.needs_type.empty()) continue;
      const std::string type(hook.needs_type);
      if (::btf__find_by_name_kind(types, type.c_str(), BTF_KIND_TYPEDEF) < 0) {
        set.absent_.emplace(hook.program);
      }
    }
  }

  void inspect_kernel() const {
    btf* own = ::btf__load_vmlinux_btf();
    if (options.btf_path.empty()) {
      find_absent(own);
    } else {
      btf* named = ::btf__parse(options.btf_path.c_str(), nullptr);
      find_absent(named);
      ::btf__free(named);
    }
    find_functions(own);
    ::btf__free(own);
  }

  // When they fail together, each by itself, so that one costs only itself.
  void load_family(const Names& names) const {
    if (load(names)) return;
    for (const std::string& name : names) {
      if (Result<> loaded = load({name}); !loaded) set.errors_[name] = std::move(loaded).error();
    }
  }
};

Result<ProgramSet> ProgramSet::open(const ProgramSetOptions& options) {
  ProgramSet set;
  set.options_ = options;
  set.inspect_kernel();
  return set;
}

Result<ProgramSet> ProgramSet::adopt(const ProgramSetOptions& options, const PinFolder& folder,
                                     const HookState& state) {
  ProgramSet set;
  set.options_ = options;
  set.absent_ = state.absent;
  set.trampoline_error_ = state.trampoline_error;
  for (const std::string_view name : kOurMaps) {
    CICD_ASSIGN(set.maps_[std::string(name)], folder.get("maps", name));
  }
  for (const std::string& name : folder.names("programs")) {
    CICD_ASSIGN(set.programs_[name], folder.get("programs", name));
  }
  return set;
}

std::string ProgramSet::object_id() {
  const std::string_view bytes = object_bytes();
  return std::to_string(bytes.size()) + "-" + std::to_string(std::hash<std::string_view>()(bytes));
}

Result<> ProgramSet::pin(PinFolder& folder) const {
  for (const auto& [name, fd] : maps_) CICD_TRY(folder.put("maps", name, fd.get()));
  for (const auto& [name, fd] : programs_) CICD_TRY(folder.put("programs", name, fd.get()));
  return {};
}

void ProgramSet::inspect_kernel() {
  Loader{*this}.inspect_kernel();
  is_inspected_ = true;
}

void ProgramSet::refuse(std::string_view program, std::string reason) {
  errors_[std::string(program)] = Error{ErrorCode::kUnsupported, 0, std::move(reason), {}};
}

void ProgramSet::load(const std::set<std::string_view>& names) {
  if (!is_inspected_) inspect_kernel();  // one that was adopted
  const Loader loader{*this};
  std::map<HookFamily, Loader::Names> families;
  Loader::Names all;
  for (const HookInfo& hook : hooks()) {
    if (!names.contains(hook.program) || is_absent(hook.program)) continue;
    // What this kernel cannot do at all is known by now.
    if (!hook.functions.empty() && errors_.contains(hook.program)) continue;
    families[hook.family].emplace(hook.program);
    all.emplace(hook.program);
  }
  if (all.empty()) return;
  // All at once: each time libbpf reads the types of the whole kernel anew.
  if (!loader.load(all)) {
    for (const auto& [family, wanted] : families) loader.load_family(wanted);
  }
  std::erase_if(maps_, [](const auto& map) {
    return std::ranges::find(kOurMaps, map.first) == std::end(kOurMaps);
  });
}

Result<> ProgramSet::check() const {
  if (!programs_.empty()) return {};
  // What a program without alternative says tells more than that there are no trampolines.
  const auto tells = [&](const auto& entry) { return entry.second.text != trampoline_error_; };
  const auto first = std::ranges::find_if(errors_, tells);
  if (first == errors_.end()) return fail(ErrorCode::kInternal, "there are no kernel programs");
  Error error = first->second;
  error.text = "no kernel program could be loaded: " + error.text;
  if (!options_.btf_path.empty()) {
    error.text += ", with the BTF of " + options_.btf_path;
    error.hint = "check that this is the BTF file of the running kernel, or leave the option out";
  } else if (error.code == ErrorCode::kPermission) {
    error.hint = "a security module or kernel lockdown refuses tracing programs: look at `dmesg`";
  } else {
    error.hint = "report this line with the output of `uname -a`";
  }
  return std::unexpected(std::move(error));
}

}  // namespace cicd
