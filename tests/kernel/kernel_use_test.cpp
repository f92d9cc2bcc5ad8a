// SPDX-License-Identifier: Apache-2.0
// Modules and the bpf system call.
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "support.h"
#include "this_kernel.h"

namespace cicd::test {

namespace {

class KernelUseHooks : public HookTest {
 protected:
  std::vector<cicd_sample_bpf> bpf_uses(const Act& act) {
    auto out = observe(act).fixed<cicd_sample_bpf>(CICD_SAMPLE_BPF, finished().pid);
    EXPECT_EQ(finished().status, 0);
    return out;
  }
};

long bpf(int command, bpf_attr& attr) { return ::syscall(SYS_bpf, command, &attr, sizeof(attr)); }

int load_program(__u32 type, bool valid = true) {
  const bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  bpf_attr attr{};
  attr.prog_type = type;
  attr.insns = reinterpret_cast<__u64>(program);
  attr.insn_cnt = valid ? 2 : 1;
  attr.license = reinterpret_cast<__u64>("GPL");
  return static_cast<int>(bpf(BPF_PROG_LOAD, attr));
}

TEST_F(KernelUseHooks, ProgramLoadWithItsType) {
  const auto seen = bpf_uses([] { return load_program(BPF_PROG_TYPE_SOCKET_FILTER) >= 0 ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].command, static_cast<unsigned>(BPF_PROG_LOAD));
  EXPECT_EQ(seen[0].program_type, static_cast<unsigned>(BPF_PROG_TYPE_SOCKET_FILTER));
  EXPECT_EQ(seen[0].error, 0u);
}

TEST_F(KernelUseHooks, RefusedProgramLoad) {
  const auto seen =
      bpf_uses([] { return load_program(BPF_PROG_TYPE_TRACEPOINT, false) < 0 ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].program_type, static_cast<unsigned>(BPF_PROG_TYPE_TRACEPOINT));
  EXPECT_EQ(seen[0].error, static_cast<unsigned>(EINVAL));
}

TEST_F(KernelUseHooks, ACommandIsReportedOnceForAProgram) {
  const auto seen = bpf_uses([] {
    bpf_attr attr{};
    attr.map_type = BPF_MAP_TYPE_HASH;
    attr.key_size = 4;
    attr.value_size = 4;
    attr.max_entries = 16;
    const int map = static_cast<int>(bpf(BPF_MAP_CREATE, attr));
    if (map < 0) return 1;
    for (__u32 key = 0; key < 10; ++key) {
      bpf_attr element{};
      element.map_fd = static_cast<__u32>(map);
      element.key = reinterpret_cast<__u64>(&key);
      element.value = reinterpret_cast<__u64>(&key);
      if (bpf(BPF_MAP_UPDATE_ELEM, element) != 0) return 2;
    }
    if (load_program(BPF_PROG_TYPE_SOCKET_FILTER) < 0) return 3;
    if (load_program(BPF_PROG_TYPE_CGROUP_SKB) < 0) return 4;
    return load_program(BPF_PROG_TYPE_SOCKET_FILTER) >= 0 ? 0 : 5;
  });
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].command, static_cast<unsigned>(BPF_MAP_CREATE));
  EXPECT_EQ(seen[1].command, static_cast<unsigned>(BPF_MAP_UPDATE_ELEM));
  EXPECT_EQ(seen[2].program_type, static_cast<unsigned>(BPF_PROG_TYPE_SOCKET_FILTER));
  EXPECT_EQ(seen[3].program_type, static_cast<unsigned>(BPF_PROG_TYPE_CGROUP_SKB));
}

TEST_F(KernelUseHooks, UnprivilegedTry) {
  const auto seen = bpf_uses([] {
    if (::syscall(SYS_setuid, 65534) != 0) return 1;
    return load_program(BPF_PROG_TYPE_KPROBE) < 0 ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].program_type, static_cast<unsigned>(BPF_PROG_TYPE_KPROBE));
  EXPECT_EQ(seen[0].error, static_cast<unsigned>(EPERM));
}

const Coverage* coverage_of(const std::vector<Coverage>& all, EventType type) {
  const auto found = std::ranges::find(all, type, &Coverage::type);
  return found == all.end() ? nullptr : &*found;
}

// Without modules there is no system call to hook, and nothing to miss.
TEST_F(KernelUseHooks, ModulesAreServedWhereThereAreAny) {
  const auto all = source().coverage();
  const Coverage* modules = coverage_of(all, EventType::kModuleLoad);
  ASSERT_NE(modules, nullptr);
  EXPECT_TRUE(modules->available) << modules->reason;
  EXPECT_EQ(modules->backend, !kernel_has_modules()              ? "not in this kernel"
                              : at_functions(EventType::kBpfUse) ? "trampoline"
                                                                 : "tp_btf");
}

TEST_F(KernelUseHooks, ModuleThatIsLoaded) {
  if (!kernel_has_modules()) GTEST_SKIP() << kNotInThisKernel << "modules";
  const std::string modprobe = "/sbin/modprobe";
  utsname names{};
  ASSERT_EQ(::uname(&names), 0);
  const std::string folder = std::string("/lib/modules/") + names.release;
  if (::access(modprobe.c_str(), X_OK) != 0 || ::access(folder.c_str(), F_OK) != 0) {
    GTEST_SKIP() << "optional: needs modprobe and the modules of the running kernel";
  }
  const auto modprobes = [&](const std::vector<std::string>& words) {
    std::vector<std::string> argv = {"modprobe"};
    argv.insert(argv.end(), words.begin(), words.end());
    return run(nullptr, [&] { return exec(modprobe, argv); }).status;
  };
  // A small one that nothing needs and that needs nothing.
  modprobes({"-r", "dummy"});
  const auto samples = observe_inside([&] { return exec(modprobe, {"modprobe", "dummy"}); });
  EXPECT_EQ(finished().status, 0);
  EXPECT_EQ(modprobes({"-r", "dummy"}), 0);
  const auto seen = samples.of(CICD_SAMPLE_MODULE, finished().pid);
  ASSERT_EQ(seen.size(), 1u);
  using T = cicd_sample_module;
  EXPECT_EQ(seen[0].strings<T>({&T::name})[0].bytes, "dummy");
  EXPECT_EQ(seen[0].fixed<T>().error, 0u);
}

TEST_F(KernelUseHooks, ModuleThatIsRefused) {
  const std::string file = scratch() + "/evil.ko";
  std::ofstream(file) << "no module";
  const auto samples = observe([&] {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 1;
    if (::syscall(SYS_finit_module, fd, "", 0) == 0) return 2;
    const int first = errno;
    if (::syscall(SYS_init_module, "x", 1, "") == 0) return 3;
    return first != 0 && errno != 0 ? 0 : 4;
  });
  EXPECT_EQ(finished().status, 0);
  const auto seen = samples.of(CICD_SAMPLE_MODULE, finished().pid);
  if (!kernel_has_modules()) {
    EXPECT_TRUE(seen.empty());
    return;
  }
  ASSERT_EQ(seen.size(), 2u);
  using T = cicd_sample_module;
  const auto name = seen[0].strings<T>({&T::name})[0];
  EXPECT_EQ(name.path(), file);
  const std::uint32_t error = seen[0].fixed<T>().error;
  EXPECT_TRUE(error == ENOEXEC || error == EPERM) << error;
  EXPECT_EQ(seen[1].strings<T>({&T::name})[0].bytes, "");
  EXPECT_NE(seen[1].fixed<T>().error, 0u);
}

TEST_F(KernelUseHooks, EveryTypeIsServed) {
  const auto all = source().coverage();
  for (const EventType type : {EventType::kPrivilegeChange, EventType::kNamespaceChange,
                               EventType::kBpfUse, EventType::kIoUringOp}) {
    const Coverage* coverage = coverage_of(all, type);
    ASSERT_NE(coverage, nullptr);
    EXPECT_TRUE(coverage->available) << info_of(type).name << ": " << coverage->reason;
  }
}

}  // namespace

}  // namespace cicd::test
