// SPDX-License-Identifier: Apache-2.0
// Privileges, namespaces, modules, bpf and io_uring: from samples to records.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <sys/socket.h>

#include <cerrno>

#include "track/kernel_names.h"
#include "track/tracker_test_support.h"

namespace cicd {
namespace {

template <typename Fixed>
EventRecord the_record(TrackerBench& bench, std::uint16_t type, const Fixed& fixed,
                       const std::vector<StringPart>& strings = {}) {
  bench.start_shell();
  bench.send(make_sample(kShell, type, fixed, strings));
  EXPECT_EQ(bench.records().size(), 1u);
  return bench.records().empty() ? EventRecord{} : bench.records()[0];
}

TEST(TrackerActs, PrivilegeChangeTellsWhatWasGained) {
  namespace f = field::privilege_change;
  TrackerBench bench;
  const auto record =
      the_record(bench, CICD_SAMPLE_PRIVILEGE,
                 cicd_sample_privilege{.capabilities_from = 1u << CAP_CHOWN | 1u << CAP_KILL,
                                       .capabilities_to = 1u << CAP_KILL | 1u << CAP_NET_ADMIN |
                                                          std::uint64_t{1} << CAP_BPF,
                                       .uid_from = 1000,
                                       .uid_to = 0,
                                       .gid_from = 100,
                                       .gid_to = 7,
                                       .kind = CICD_PRIVILEGE_EXEC});
  EXPECT_EQ(record.type, EventType::kPrivilegeChange);
  EXPECT_EQ(record.text(f::kKind), "exec");
  EXPECT_EQ(record.number(f::kUidFrom), 1000);
  EXPECT_EQ(record.number(f::kUidTo), 0);
  EXPECT_EQ(record.number(f::kGidFrom), 100);
  EXPECT_EQ(record.number(f::kGidTo), 7);
  EXPECT_EQ(record.text(f::kCapabilities), "cap_net_admin,cap_bpf");
  EXPECT_EQ(record.process->exec_path(), "/bin/sh");
}

TEST(TrackerActs, EveryKindOfPrivilegeChangeHasItsName) {
  const std::pair<std::uint32_t, const char*> kinds[] = {{CICD_PRIVILEGE_SETUID, "setuid"},
                                                         {CICD_PRIVILEGE_SETGID, "setgid"},
                                                         {CICD_PRIVILEGE_CAPSET, "capset"},
                                                         {CICD_PRIVILEGE_EXEC, "exec"}};
  for (const auto& [kind, name] : kinds) {
    TrackerBench bench;
    const auto record =
        the_record(bench, CICD_SAMPLE_PRIVILEGE, cicd_sample_privilege{.kind = kind});
    EXPECT_EQ(record.text(field::privilege_change::kKind), name);
    EXPECT_EQ(record.text(field::privilege_change::kCapabilities), "");
  }
}

TEST(TrackerActs, NamespaceChange) {
  namespace f = field::namespace_change;
  TrackerBench bench;
  const auto made = the_record(bench, CICD_SAMPLE_NAMESPACE,
                               cicd_sample_namespace{.flags = CLONE_NEWNET | CLONE_NEWUSER,
                                                     .operation = CICD_NAMESPACE_CLONE});
  EXPECT_EQ(made.text(f::kOperation), "clone");
  EXPECT_EQ(made.text(f::kFlags), "user,net");
  EXPECT_EQ(made.text(f::kError), "");
  TrackerBench other;
  const auto refused = the_record(
      other, CICD_SAMPLE_NAMESPACE,
      cicd_sample_namespace{.flags = 0, .operation = CICD_NAMESPACE_SETNS, .error = EPERM});
  EXPECT_EQ(refused.text(f::kOperation), "setns");
  EXPECT_EQ(refused.text(f::kFlags), "");
  EXPECT_EQ(refused.text(f::kError), "EPERM");
}

TEST(TrackerActs, ModuleByNameOrByFile) {
  namespace f = field::module_load;
  TrackerBench bench;
  const auto loaded =
      the_record(bench, CICD_SAMPLE_MODULE, cicd_sample_module{}, {raw("nf_tables")});
  EXPECT_EQ(loaded.text(f::kName), "nf_tables");
  EXPECT_EQ(loaded.text(f::kError), "");
  TrackerBench other;
  const auto refused = the_record(other, CICD_SAMPLE_MODULE, cicd_sample_module{.error = EPERM},
                                  {walked("/tmp/evil.ko")});
  EXPECT_EQ(refused.text(f::kName), "/tmp/evil.ko");
  EXPECT_EQ(refused.text(f::kError), "EPERM");
}

TEST(TrackerActs, BpfUse) {
  namespace f = field::bpf_use;
  TrackerBench bench;
  const auto load = the_record(
      bench, CICD_SAMPLE_BPF,
      cicd_sample_bpf{
          .command = BPF_PROG_LOAD, .program_type = BPF_PROG_TYPE_KPROBE, .error = EPERM});
  EXPECT_EQ(load.text(f::kCommand), "BPF_PROG_LOAD");
  EXPECT_EQ(load.text(f::kProgramType), "kprobe");
  EXPECT_EQ(load.text(f::kError), "EPERM");
  TrackerBench other;
  const auto map = the_record(other, CICD_SAMPLE_BPF, cicd_sample_bpf{.command = BPF_MAP_CREATE});
  EXPECT_EQ(map.text(f::kCommand), "BPF_MAP_CREATE");
  EXPECT_EQ(map.text(f::kProgramType), "");
}

TEST(TrackerActs, SocketCreate) {
  struct Told {
    cicd_sample_socket fixed;
    std::string_view family, type, protocol, error;
  };
  const Told all[] = {
      {{.family = AF_PACKET, .type = SOCK_RAW, .protocol = htons(0x88cc)},
       "AF_PACKET",
       "SOCK_RAW",
       "0x88cc",
       ""},
      {{.family = AF_INET, .type = SOCK_RAW, .protocol = IPPROTO_ICMP, .error = EPERM},
       "AF_INET",
       "SOCK_RAW",
       "icmp",
       "EPERM"},
      {{.family = AF_INET6, .type = SOCK_RAW, .protocol = 89}, "AF_INET6", "SOCK_RAW", "89", ""},
      {{.family = AF_VSOCK, .type = SOCK_STREAM}, "AF_VSOCK", "SOCK_STREAM", "0", ""},
      {{.family = 77, .type = 9, .protocol = 4'711}, "77", "9", "4711", ""},
  };
  namespace f = field::socket_create;
  for (const Told& each : all) {
    TrackerBench bench;
    const auto record = the_record(bench, CICD_SAMPLE_SOCKET, each.fixed);
    EXPECT_EQ(record.text(f::kFamily), each.family);
    EXPECT_EQ(record.text(f::kType), each.type);
    EXPECT_EQ(record.text(f::kProtocol), each.protocol);
    EXPECT_EQ(record.text(f::kError), each.error);
  }
}

TEST(TrackerActs, IoUringOpenIsJoinedAndMarked) {
  namespace f = field::io_uring_op;
  TrackerBench bench;
  const auto record =
      the_record(bench, CICD_SAMPLE_IO_URING, cicd_sample_io_uring{.opcode = IORING_OP_OPENAT},
                 {raw("etc/passwd"), walked("/chroot")});
  EXPECT_EQ(record.text(f::kOperation), "openat");
  EXPECT_EQ(record.text(f::kPath), "/chroot/etc/passwd");
  EXPECT_EQ(record.marks, static_cast<unsigned>(kMarkUnresolvedPath));
  EXPECT_EQ(record.text(f::kRemoteIp), "");
}

TEST(TrackerActs, IoUringConnect) {
  namespace f = field::io_uring_op;
  cicd_sample_io_uring fixed{.remote_port = 443, .family = AF_INET, .opcode = IORING_OP_CONNECT};
  ASSERT_EQ(::inet_pton(AF_INET, "192.0.2.7", fixed.remote_ip), 1);
  TrackerBench bench;
  const auto record = the_record(bench, CICD_SAMPLE_IO_URING, fixed, {raw(""), raw("")});
  EXPECT_EQ(record.text(f::kOperation), "connect");
  EXPECT_EQ(record.text(f::kPath), "");
  EXPECT_EQ(record.text(f::kRemoteIp), "192.0.2.7");
  EXPECT_EQ(record.number(f::kRemotePort), 443);
  EXPECT_EQ(record.marks, 0u);
}

TEST(TrackerActs, A32BitOpenIsMarked) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(open_sample(kShell, {.path = walked("/etc/shadow"), .call = CICD_OPEN_COMPAT}));
  ASSERT_EQ(bench.records().size(), 1u);
  EXPECT_EQ(bench.records()[0].marks, static_cast<unsigned>(kMark32Bit));
  EXPECT_EQ(bench.records()[0].text(field::file_open::kPath), "/etc/shadow");
}

TEST(KernelNames, CapabilitiesAllAndUnknown) {
  Arena arena;
  EXPECT_EQ(capabilities_text(0, arena), "");
  EXPECT_EQ(capabilities_text((std::uint64_t{1} << (CAP_LAST_CAP + 1)) - 1, arena), "all");
  EXPECT_EQ(capabilities_text(~std::uint64_t{0}, arena), "all");
  EXPECT_EQ(capabilities_text(std::uint64_t{1} << 63 | 1, arena), "cap_chown,cap_63");
  // The longest there is must fit: all but one, and all unknown ones.
  EXPECT_TRUE(capabilities_text(~std::uint64_t{0} - 1, arena).ends_with(",cap_63"));
}

TEST(KernelNames, NumbersOfTheKernelHaveTheirNames) {
  Arena arena;
  EXPECT_EQ(bpf_command_text(BPF_MAP_CREATE, arena), "BPF_MAP_CREATE");
  EXPECT_EQ(bpf_command_text(BPF_LINK_CREATE, arena), "BPF_LINK_CREATE");
  EXPECT_EQ(bpf_command_text(BPF_PROG_BIND_MAP, arena), "BPF_PROG_BIND_MAP");
  EXPECT_EQ(bpf_command_text(4'000'000'000u, arena), "4000000000");
  EXPECT_EQ(bpf_program_type_text(BPF_PROG_TYPE_LSM, arena), "lsm");
  EXPECT_EQ(bpf_program_type_text(BPF_PROG_TYPE_SYSCALL, arena), "syscall");
  EXPECT_EQ(io_uring_text(IORING_OP_CONNECT, arena), "connect");
  EXPECT_EQ(io_uring_text(IORING_OP_LINKAT, arena), "linkat");
  EXPECT_EQ(io_uring_text(255, arena), "255");
  EXPECT_EQ(namespaces_text(~std::uint64_t{0}, arena), "user,mnt,pid,net,uts,ipc,cgroup,time");
}

}  // namespace
}  // namespace cicd
