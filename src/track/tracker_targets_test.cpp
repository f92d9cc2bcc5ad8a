// SPDX-License-Identifier: Apache-2.0
// Records of ptrace, memory_read, signal and exec_memory.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>

#include "track/tracker_test_support.h"

namespace cicd {

namespace {

SampleBuffer target_sample(std::uint16_t type, const cicd_sample_target& fixed,
                           const StringPart& program = walked("/usr/bin/node")) {
  return make_sample(kShell, type, fixed, {program});
}

class TrackerTargets : public ::testing::Test {
 protected:
  void SetUp() override { bench_.start_shell(); }
  const EventRecord& the_record(const SampleBuffer& sample) {
    bench_.batch().reset();
    bench_.send(sample);
    EXPECT_EQ(bench_.records().size(), 1u);
    return bench_.records().at(0);
  }
  TrackerBench bench_;
};

TEST_F(TrackerTargets, PtraceNamesItsRequest) {
  namespace f = field::ptrace;
  const EventRecord& record = the_record(target_sample(
      CICD_SAMPLE_PTRACE, {.value = 0x4206, .target_pid = 77, .target_named = 5, .error = EPERM}));
  EXPECT_EQ(record.type, EventType::kPtrace);
  EXPECT_EQ(record.text(f::kRequest), "PTRACE_SEIZE");
  EXPECT_EQ(record.number(f::kTargetPid), 77);
  EXPECT_EQ(record.text(f::kTargetExecPath), "/usr/bin/node");
  EXPECT_EQ(record.text(f::kError), "EPERM");
  EXPECT_EQ(record.process->exec_path(), "/bin/sh");
  EXPECT_EQ(record.marks, 0);
}

TEST_F(TrackerTargets, RequestsWithoutANameAreNumbers) {
  const auto request = [&](std::uint64_t value) {
    const EventRecord& record = the_record(target_sample(CICD_SAMPLE_PTRACE, {.value = value}));
    EXPECT_EQ(record.text(field::ptrace::kError), "");
    return std::string(record.text(field::ptrace::kRequest));
  };
  EXPECT_EQ(request(0), "PTRACE_TRACEME");
  EXPECT_EQ(request(5), "PTRACE_POKEDATA");
  EXPECT_EQ(request(16), "PTRACE_ATTACH");
  EXPECT_EQ(request(CICD_PTRACE_PIDFD_GETFD), "pidfd_getfd");
  EXPECT_EQ(request(999), "999");
  EXPECT_EQ(request(~std::uint64_t{0}), "18446744073709551615");
}

TEST_F(TrackerTargets, MemoryReadNamesItsMethod) {
  namespace f = field::memory_read;
  const char* const names[] = {
      "0", "proc_mem", "process_vm_readv", "process_vm_writev", "proc_environ", "proc_maps", "6"};
  for (std::uint64_t value = 0; value < std::size(names); ++value) {
    const EventRecord& record =
        the_record(target_sample(CICD_SAMPLE_MEMORY, {.value = value, .target_pid = 78}));
    EXPECT_EQ(record.type, EventType::kMemoryRead);
    EXPECT_EQ(record.text(f::kMethod), names[value]);
    EXPECT_EQ(record.number(f::kTargetPid), 78);
    EXPECT_EQ(record.text(f::kTargetExecPath), "/usr/bin/node");
    EXPECT_EQ(record.text(f::kError), "");
  }
}

TEST_F(TrackerTargets, SignalHasItsNumber) {
  namespace f = field::signal;
  const EventRecord& record = the_record(target_sample(
      CICD_SAMPLE_SIGNAL, {.value = SIGKILL, .target_pid = 79, .error = EPERM}, walked("/x/y")));
  EXPECT_EQ(record.type, EventType::kSignal);
  EXPECT_EQ(record.number(f::kSignal), SIGKILL);
  EXPECT_EQ(record.number(f::kTargetPid), 79);
  EXPECT_EQ(record.text(f::kTargetExecPath), "/x/y");
  EXPECT_EQ(record.text(f::kError), "EPERM");
}

TEST_F(TrackerTargets, ATargetThatEndedIsNamedByWhatIsKnownOfIt) {
  const auto program = [&](std::uint32_t pid, std::uint64_t start) {
    const EventRecord& record = the_record(target_sample(
        CICD_SAMPLE_PTRACE,
        {.target_start_time_ns = start, .value = 16, .target_pid = pid, .error = EPERM}, raw("")));
    return std::string(record.text(field::ptrace::kTargetExecPath));
  };
  EXPECT_EQ(program(kShell.pid, kShell.start_time_ns), "/bin/sh");
  EXPECT_EQ(program(kShell.pid, kShell.start_time_ns + 1), "") << "another process of that pid";
  EXPECT_EQ(program(0, 0), "");
}

TEST_F(TrackerTargets, TargetsPathKeepsItsMarks) {
  const EventRecord& cut =
      the_record(target_sample(CICD_SAMPLE_MEMORY, {.value = 1, .target_pid = 78},
                               walked("/deep/file", CICD_STRING_TRUNCATED)));
  EXPECT_EQ(cut.text(field::memory_read::kTargetExecPath), ".../deep/file");
  EXPECT_EQ(cut.marks, kMarkTruncatedPath);
}

TEST_F(TrackerTargets, ExecMemoryHasKindSizeAndCount) {
  namespace f = field::exec_memory;
  const auto sample = [](std::uint32_t kind) {
    return make_sample(kShell, CICD_SAMPLE_EXEC_MEMORY,
                       cicd_sample_exec_memory{.size_bytes = 1ull << 33, .count = 4, .kind = kind});
  };
  const EventRecord& mapped = the_record(sample(CICD_EXEC_MEMORY_MMAP));
  EXPECT_EQ(mapped.type, EventType::kExecMemory);
  EXPECT_EQ(mapped.text(f::kKind), "mmap");
  EXPECT_EQ(mapped.number(f::kSizeBytes), std::int64_t{1} << 33);
  EXPECT_EQ(mapped.number(f::kCount), 4);
  EXPECT_EQ(the_record(sample(CICD_EXEC_MEMORY_MPROTECT)).text(f::kKind), "mprotect");
}

TEST_F(TrackerTargets, NobodyWantsRecords) {
  bench_.batch().reset();
  bench_.set_wanted(false);
  bench_.send(target_sample(CICD_SAMPLE_SIGNAL, {.value = SIGTERM, .target_pid = 79}));
  bench_.send(make_sample(kShell, CICD_SAMPLE_EXEC_MEMORY, cicd_sample_exec_memory{}));
  EXPECT_EQ(bench_.records().size(), 0u);
}

}  // namespace

}  // namespace cicd
