// SPDX-License-Identifier: Apache-2.0
#include "kernel/program_set.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <memory>
#include <set>

#include "cgroup.skel.h"
#include "dns.skel.h"
#include "exec_memory.skel.h"
#include "file_change.skel.h"
#include "file_open.skel.h"
#include "http.skel.h"
#include "io_uring.skel.h"
#include "kernel/hook_catalogue.h"
#include "kernel/kernel_release.h"
#include "kernel/libbpf_log.h"
#include "kernel_use.skel.h"
#include "library.skel.h"
#include "maps.skel.h"
#include "mount.skel.h"
#include "namespace.skel.h"
#include "network.skel.h"
#include "privilege.skel.h"
#include "process.skel.h"
#include "resolver.skel.h"
#include "signal.skel.h"
#include "strict.skel.h"
#include "target.skel.h"
#include "tls.skel.h"
#include "unix_cgroup.skel.h"
#include "unix_syscall.skel.h"

namespace cicd {

namespace {

struct ObjectCloser {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};
using BpfObject = std::unique_ptr<bpf_object, ObjectCloser>;

// The skeletons serve as carriers of the compiled objects only.
struct ObjectBytes {
  const char* name;
  const void* (*bytes)(std::size_t* size);
};
constexpr ObjectBytes kMaps = {"maps", maps_bpf__elf_bytes};
constexpr std::array<ObjectBytes, kHookFamilyCount> kFamilies = {{
    {"process", process_bpf__elf_bytes},
    {"cgroup", cgroup_bpf__elf_bytes},
    {"network", network_bpf__elf_bytes},
    {"file_open", file_open_bpf__elf_bytes},
    {"target", target_bpf__elf_bytes},
    {"signal", signal_bpf__elf_bytes},
    {"exec_memory", exec_memory_bpf__elf_bytes},
    {"privilege", privilege_bpf__elf_bytes},
    {"namespace", namespace_bpf__elf_bytes},
    {"kernel_use", kernel_use_bpf__elf_bytes},
    {"io_uring", io_uring_bpf__elf_bytes},
    {"strict", strict_bpf__elf_bytes},
    {"dns", dns_bpf__elf_bytes},
    {"file_change", file_change_bpf__elf_bytes},
    {"mount", mount_bpf__elf_bytes},
    {"unix_cgroup", unix_cgroup_bpf__elf_bytes},
    {"unix_syscall", unix_syscall_bpf__elf_bytes},
    {"http", http_bpf__elf_bytes},
    {"library", library_bpf__elf_bytes},
    {"resolver", resolver_bpf__elf_bytes},
    {"tls", tls_bpf__elf_bytes},
}};

// sched_process_exit says since this release whether the last thread has gone.
constexpr KernelRelease kGroupDeadSince{6, 16};

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
// The one map of a single object that user space has business with.
constexpr const char* kKnownLibraries = "known_libraries";

UniqueFd duplicate(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

}  // namespace

struct ProgramSet::Loader {
  const ProgramSetOptions& options;
  ProgramSet& set;

  Result<BpfObject> open(const ObjectBytes& source) const {
    std::size_t size = 0;
    const void* bytes = source.bytes(&size);
    bpf_object_open_opts opts{};
    opts.sz = sizeof(opts);
    opts.object_name = source.name;
    if (!options.btf_path.empty()) opts.btf_custom_path = options.btf_path.c_str();
    bpf_object* object = ::bpf_object__open_mem(bytes, size, &opts);
    if (object == nullptr) return fail_errno(errno, std::string("open object ") + source.name);
    return BpfObject(object);
  }

  Result<> load_maps() const {
    LibbpfLog log;
    Result<BpfObject> object = open(kMaps);
    if (!object) return std::unexpected(std::move(object).error());
    const auto set_size = [&](const char* name, std::size_t bytes) {
      bpf_map* map = ::bpf_object__find_map_by_name(object->get(), name);
      ::bpf_map__set_max_entries(map, static_cast<std::uint32_t>(bytes));
    };
    set_size("control_ring", options.control_ring_bytes);
    set_size("bulk_ring", options.bulk_ring_bytes);
    const int error = ::bpf_object__load(object->get());
    if (error != 0) return fail_errno(-error, "make the BPF maps" + log.last_lines());
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object->get()) {
      UniqueFd fd = duplicate(::bpf_map__fd(map));
      if (!fd) return fail_errno(errno, "keep a BPF map");
      set.maps_[::bpf_map__name(map)] = std::move(fd);
    }
    return {};
  }

  Result<> prepare(bpf_object* object, bool group_dead) const {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
      const std::string name = ::bpf_map__name(map);  // reuse_fd lets the map's own go
      const int shared = set.map_fd(name);
      if (shared >= 0) {
        const int error = ::bpf_map__reuse_fd(map, shared);
        if (error != 0) return fail_errno(-error, "share map " + name);
      }
      if (group_dead && name.ends_with(".rodata")) {
        std::size_t size = 0;
        void* value = const_cast<void*>(::bpf_map__initial_value(map, &size));
        // process.bpf.c has this one constant.
        if (value != nullptr && size >= 1) *static_cast<bool*>(value) = true;
      }
    }
    return {};
  }

  // Loads the programs of `wanted` (all when empty). The error ends in the verifier's last lines.
  Result<> load(const ObjectBytes& source, const std::set<std::string>& wanted,
                bool group_dead) const {
    LibbpfLog log;
    Result<BpfObject> object = open(source);
    if (!object) return std::unexpected(std::move(object).error());
    if (Result<> prepared = prepare(object->get(), group_dead); !prepared) return prepared;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object->get()) {
      const char* name = ::bpf_program__name(program);
      const bool load = wanted.empty() || wanted.contains(name);
      ::bpf_program__set_autoload(program, load && !set.is_absent(name));
      name_cgroup_hook(program);
    }
    const int error = ::bpf_object__load(object->get());
    if (error != 0)
      return fail_errno(-error, std::string("load ") + source.name + log.last_lines());
    bpf_object__for_each_program(program, object->get()) {
      const int fd = ::bpf_program__fd(program);
      if (fd >= 0) set.programs_[::bpf_program__name(program)] = duplicate(fd);
    }
    if (bpf_map* map = ::bpf_object__find_map_by_name(object->get(), kKnownLibraries)) {
      set.maps_[kKnownLibraries] = duplicate(::bpf_map__fd(map));
    }
    return {};
  }

  // Without type information nothing is absent: what does not load is an error then.
  void find_absent() const {
    btf* types = options.btf_path.empty() ? ::btf__load_vmlinux_btf()
                                          : ::btf__parse(options.btf_path.c_str(), nullptr);
    if (types == nullptr) return;
    for (const HookInfo& hook : hooks()) {
      if (hook.needs_type.empty()) continue;
      const std::string type(hook.needs_type);
      if (::btf__find_by_name_kind(types, type.c_str(), BTF_KIND_TYPEDEF) < 0) {
        set.absent_.emplace(hook.program);
      }
    }
    ::btf__free(types);
  }

  // All together; when that fails, each by itself, so that one costs only itself.
  void load_family(HookFamily family) const {
    const ObjectBytes& source = kFamilies[static_cast<std::size_t>(family)];
    const bool group_dead = family == HookFamily::kProcess && running_kernel() >= kGroupDeadSince;
    if (load(source, {}, group_dead)) return;
    for (const HookInfo& hook : hooks()) {
      if (hook.family != family || set.is_absent(hook.program)) continue;
      const std::string name(hook.program);
      if (Result<> loaded = load(source, {name}, false); !loaded) {
        set.errors_[name] = std::move(loaded).error();
      }
    }
  }
};

Result<ProgramSet> ProgramSet::load(const ProgramSetOptions& options) {
  ProgramSet set;
  const Loader loader{options, set};
  if (Result<> maps = loader.load_maps(); !maps) return std::unexpected(std::move(maps).error());
  loader.find_absent();
  for (std::size_t i = 0; i < kHookFamilyCount; ++i) {
    const auto family = static_cast<HookFamily>(i);
    const bool is_wanted = (family != HookFamily::kStrict || options.strict) &&
                           (family != HookFamily::kTls || options.tls_capture);
    if (is_wanted) loader.load_family(family);
  }
  if (set.programs_.empty()) {
    return std::unexpected(set.explain_nothing_loaded(options.btf_path).error());
  }
  return set;
}

Result<> ProgramSet::explain_nothing_loaded(const std::string& btf_path) const {
  if (errors_.empty()) return fail(ErrorCode::kInternal, "there are no kernel programs");
  Error error = errors_.begin()->second;
  error.text = "no kernel program could be loaded: " + error.text;
  if (!btf_path.empty()) {
    error.text += ", with the BTF of " + btf_path;
    error.hint = "check that this is the BTF file of the running kernel, or leave the option out";
  } else if (error.code == ErrorCode::kPermission) {
    error.hint = "a security module or kernel lockdown refuses tracing programs: look at `dmesg`";
  } else {
    error.hint = "report this line with the output of `uname -a`";
  }
  return std::unexpected(std::move(error));
}

}  // namespace cicd
