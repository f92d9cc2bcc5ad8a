// SPDX-License-Identifier: Apache-2.0
// What samples become: the records of each type.
#include "track/tracker.h"

#include <gtest/gtest.h>

#include "track/tracker_test_support.h"

namespace cicd {
namespace {

TEST(Tracker, ExecHasEverythingOfTheProgram) {
  TrackerBench bench;
  bench.send(fork_sample(kShell, kSensor));
  bench.send(exec_sample(
      kShell.image(2).at(3'000),
      {.exec_path = "/usr/bin/dash", .cwd = "/build/x", .argv = {"sh", "-c", ""}, .uid = 1000}));
  ASSERT_EQ(bench.records().size(), 1u);
  const EventRecord& record = bench.records()[0];
  EXPECT_EQ(record.type, EventType::kProcessExec);
  EXPECT_EQ(record.boot_time_ns, 3'000u);
  EXPECT_EQ(record.time_ns, 3'000u + 500u);
  EXPECT_EQ(record.process->exec_path(), "/usr/bin/dash");
  EXPECT_EQ(record.process->image->argv, (std::vector<std::string>{"sh", "-c", ""}));
  EXPECT_EQ(record.process->image->cwd, "/build/x");
  EXPECT_EQ(record.process->uid, 1000u);
  EXPECT_EQ(record.process->parent, nullptr);
  EXPECT_EQ(record.text(field::process_exec::kScriptPath), "");
  EXPECT_EQ(record.text(field::process_exec::kFilename), "");
  EXPECT_EQ(record.marks, 0);
}

TEST(Tracker, ExitTellsCodeSignalAndDuration) {
  TrackerBench bench;
  bench.send(fork_sample(kShell, kSensor));
  bench.send(exit_sample(kShell.at(1'000 + 42'000'000), 3 << 8));
  ASSERT_EQ(bench.records().size(), 1u);
  EXPECT_EQ(bench.records()[0].number(field::process_exit::kExitCode), 3);
  EXPECT_EQ(bench.records()[0].number(field::process_exit::kSignal), 0);
  EXPECT_EQ(bench.records()[0].number(field::process_exit::kDurationMs), 42);
  EXPECT_EQ(bench.tracker().activity(1).processes, 0u);
  EXPECT_EQ(bench.tracker().activity(1).processes_seen, 1u);
}

TEST(Tracker, ExitBySignalWithCore) {
  TrackerBench bench;
  bench.send(fork_sample(kShell, kSensor));
  bench.send(exit_sample(kShell, 0x80 | 11));
  EXPECT_EQ(bench.records().at(0).number(field::process_exit::kExitCode), 0);
  EXPECT_EQ(bench.records().at(0).number(field::process_exit::kSignal), 11);
}

TEST(Tracker, ConnectHasAddressPortProtocolAndFamily) {
  namespace f = field::network_connect;
  TrackerBench bench;
  bench.start_shell();
  bench.send(connect_sample(kShell, {.remote_ip = "192.0.2.10", .remote_port = 8080}));
  bench.send(connect_sample(kShell, {.remote_ip = "2001:db8::1",
                                     .remote_port = 53,
                                     .protocol = IPPROTO_UDP,
                                     .flags = CICD_CONNECT_SENDMSG}));
  bench.send(connect_sample(kShell, {.remote_ip = "::ffff:192.0.2.7", .protocol = 132}));
  ASSERT_EQ(bench.records().size(), 3u);
  const EventRecord& tcp = bench.records()[0];
  EXPECT_EQ(tcp.text(f::kRemoteIp), "192.0.2.10");
  EXPECT_EQ(tcp.number(f::kRemotePort), 8080);
  EXPECT_EQ(tcp.text(f::kProtocol), "tcp");
  EXPECT_EQ(tcp.text(f::kFamily), "ipv4");
  EXPECT_EQ(tcp.marks, 0);
  const EventRecord& udp = bench.records()[1];
  EXPECT_EQ(udp.text(f::kRemoteIp), "2001:db8::1");
  EXPECT_EQ(udp.text(f::kProtocol), "udp");
  EXPECT_EQ(udp.text(f::kFamily), "ipv6");
  EXPECT_EQ(udp.marks, kMarkSendmsg);
  const EventRecord& mapped = bench.records()[2];
  EXPECT_EQ(mapped.text(f::kRemoteIp), "192.0.2.7");
  EXPECT_EQ(mapped.text(f::kProtocol), "132");
  EXPECT_EQ(mapped.text(f::kFamily), "ipv6");
}

TEST(Tracker, OpenHasPathAccessFlagsAndError) {
  namespace f = field::file_open;
  TrackerBench bench;
  bench.start_shell();
  bench.send(open_sample(kShell, {.path = walked("/etc/passwd"), .open_flags = 02000000}));
  bench.send(
      open_sample(kShell, {.path = walked("/tmp/x"), .flags = CICD_OPEN_READ | CICD_OPEN_WRITE}));
  bench.send(open_sample(
      kShell, {.path = raw("./no//such/../file"), .base = walked("/build"), .error = ENOENT}));
  ASSERT_EQ(bench.records().size(), 3u);
  const EventRecord& read = bench.records()[0];
  EXPECT_EQ(read.text(f::kPath), "/etc/passwd");
  EXPECT_EQ(read.number(f::kIsRead), 1);
  EXPECT_EQ(read.number(f::kIsWrite), 0);
  EXPECT_EQ(read.number(f::kFlags), 02000000);
  EXPECT_EQ(read.text(f::kError), "");
  EXPECT_EQ(read.process->exec_path(), "/bin/sh");
  EXPECT_EQ(read.marks, 0);
  EXPECT_EQ(bench.records()[1].number(f::kIsWrite), 1);
  const EventRecord& failed = bench.records()[2];
  EXPECT_EQ(failed.text(f::kPath), "/build/no/such/../file");
  EXPECT_EQ(failed.text(f::kError), "ENOENT");
  EXPECT_EQ(failed.marks, kMarkUnresolvedPath);
}

TEST(Tracker, NoBatchNoRecordButTheProcessIsKnown) {
  TrackerBench bench;
  bench.set_wanted(false);
  bench.start_shell();
  EXPECT_EQ(bench.records().size(), 0u);
  bench.set_wanted(true);
  bench.send(open_sample(kShell, {.path = walked("/x")}));
  EXPECT_EQ(bench.records().at(0).process->exec_path(), "/bin/sh");
}

TEST(Tracker, SamplesOfAnUnregisteredSlotLeaveNoTrace) {
  TrackerBench bench;
  Actor stranger = kShell;
  stranger.slot = 9;
  bench.send(exec_sample(stranger, {}));
  EXPECT_EQ(bench.records().size(), 0u);
  EXPECT_EQ(bench.tracker().activity(9).processes_seen, 0u);
  ASSERT_EQ(bench.tracker().losses(0).entries.size(), 1u);
  EXPECT_EQ(bench.tracker().losses(0).entries[0].reason, "unknown_job");
}

}  // namespace
}  // namespace cicd
