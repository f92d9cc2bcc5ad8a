// SPDX-License-Identifier: Apache-2.0
// Memory that becomes executable: which mappings count, and how many of them are reported.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <fstream>

#include "this_kernel.h"
#include "victim.h"

namespace cicd::test {

namespace {

constexpr std::size_t kBytes = 3 * 4096;

class ExecMemoryHooks : public HookTest {
 protected:
  std::vector<cicd_sample_exec_memory> exec_memory(const Act& act) {
    const Samples samples = observe(act);
    EXPECT_EQ(finished().status, 0);
    return samples.fixed<cicd_sample_exec_memory>(CICD_SAMPLE_EXEC_MEMORY, finished().pid);
  }
  void expect_one(std::uint32_t kind, int protection, const Act& act) {
    const auto seen = exec_memory(act);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].kind, kind);
    EXPECT_EQ(seen[0].protection, static_cast<std::uint32_t>(protection));
    EXPECT_EQ(seen[0].size_bytes, kBytes);
    EXPECT_EQ(seen[0].count, 1u);
    EXPECT_NE(seen[0].address, 0u);
    EXPECT_EQ(seen[0].address % 4096, 0u);
    EXPECT_EQ(seen[0].header.flags, 0);
    EXPECT_EQ(seen[0].header.slot, kSlot);
  }
};

void* map(int protection, int flags, int fd = -1) {
  return ::mmap(nullptr, kBytes, protection, flags, fd, 0);
}

TEST_F(ExecMemoryHooks, AnonymousMap) {
  expect_one(CICD_EXEC_MEMORY_MMAP, PROT_READ | PROT_WRITE | PROT_EXEC, [] {
    void* at = map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
    return at == MAP_FAILED ? 1 : 0;
  });
  expect_one(CICD_EXEC_MEMORY_MMAP, PROT_READ | PROT_EXEC, [] {
    return map(PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS) == MAP_FAILED ? 1 : 0;
  });
}

TEST_F(ExecMemoryHooks, AFixedAddressIsTheOneReported) {
  void* const wanted = reinterpret_cast<void*>(0x7000'0000'0000);
  const auto seen = exec_memory([&] {
    void* at = ::mmap(wanted, kBytes, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return at == wanted ? 0 : 1;
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].address, reinterpret_cast<std::uint64_t>(wanted));
}

TEST_F(ExecMemoryHooks, FilesThatLiveInMemory) {
  expect_one(CICD_EXEC_MEMORY_MMAP, PROT_READ | PROT_EXEC, [] {
    const auto fd = static_cast<int>(::syscall(SYS_memfd_create, "x", 0));
    if (::ftruncate(fd, kBytes) != 0) return 1;
    return map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd) == MAP_FAILED ? 2 : 0;
  });
  expect_one(CICD_EXEC_MEMORY_MMAP, PROT_READ | PROT_EXEC, [] {
    const int fd = ::open("/dev/zero", O_RDWR);
    return map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd) == MAP_FAILED ? 1 : 0;
  });
}

TEST_F(ExecMemoryHooks, Mprotect) {
  expect_one(CICD_EXEC_MEMORY_MPROTECT, PROT_READ | PROT_EXEC, [] {
    void* at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    return ::mprotect(at, kBytes, PROT_READ | PROT_EXEC);
  });
}

TEST_F(ExecMemoryHooks, MprotectWithAKey) {
  if (!kernel_has_call(SYS_pkey_mprotect)) {
    GTEST_SKIP() << kNotInThisKernel << "pkey_mprotect (arm64 has it since 6.12)";
  }
  expect_one(CICD_EXEC_MEMORY_MPROTECT, PROT_READ | PROT_WRITE | PROT_EXEC, [] {
    void* at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    const int all = PROT_READ | PROT_WRITE | PROT_EXEC;
    return ::syscall(SYS_pkey_mprotect, at, kBytes, all, -1) == 0 ? 0 : 1;
  });
}

TEST_F(ExecMemoryHooks, WhatIsNotExecutableOrHasAFileOrFailsIsNone) {
  std::ofstream(scratch() + "/code") << std::string(kBytes, 'c');
  const auto seen = exec_memory([&] {
    void* at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (at == MAP_FAILED || ::mprotect(at, kBytes, PROT_READ) != 0) return 1;
    const int fd = ::open((scratch() + "/code").c_str(), O_RDONLY);
    if (map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd) == MAP_FAILED) return 2;
    if (map(PROT_READ | PROT_EXEC, MAP_PRIVATE, 999) != MAP_FAILED) return 3;
    return ::mprotect(reinterpret_cast<void*>(4096), 4096, PROT_EXEC) == -1 ? 0 : 4;
  });
  EXPECT_EQ(seen.size(), 0u);
}

TEST_F(ExecMemoryHooks, AnOrdinaryProgramHasNone) {
  EXPECT_EQ(exec_memory([] { return exec("/bin/true", {"true"}); }).size(), 0u);
}

TEST_F(ExecMemoryHooks, LaterOnesAreCounted) {
  const std::uint64_t before = source().losses(kSlot)->repeated_acts;
  const auto seen = exec_memory([] {
    for (int i = 0; i < 1000; ++i) {
      if (map(PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS) == MAP_FAILED) return 1;
    }
    return 0;
  });
  ASSERT_EQ(seen.size(), 10u);
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i].count, 1u << i);
  EXPECT_EQ(source().losses(kSlot)->repeated_acts - before, 990u);
}

TEST_F(ExecMemoryHooks, EachProcessAndEachProgramCountsForItself) {
  const Samples samples = observe([] {
    const auto twice = [] {
      for (int i = 0; i < 2; ++i) {
        if (map(PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS) == MAP_FAILED) ::_exit(1);
      }
    };
    twice();
    const pid_t child = ::fork();
    if (child == 0) {
      twice();
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status == 0 ? 0 : 2;
  });
  EXPECT_EQ(finished().status, 0);
  std::vector<std::uint64_t> counts;
  for (const auto& each : samples.fixed<cicd_sample_exec_memory>(CICD_SAMPLE_EXEC_MEMORY)) {
    counts.push_back(each.count);
  }
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{1, 2, 1, 2}));
}

}  // namespace

}  // namespace cicd::test
