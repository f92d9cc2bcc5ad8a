// SPDX-License-Identifier: Apache-2.0
#include "job/subject.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

class SubjectText : public testing::Test {
 protected:
  EventRecord record(EventType type) {
    EventRecord out;
    out.type = type;
    return out;
  }
  EventRecord target(EventType type, std::string_view what, std::string_view program,
                     std::int64_t pid) {
    EventRecord out = record(type);
    out.fields[field::ptrace::kRequest] = what;
    out.fields[field::ptrace::kTargetExecPath] = program;
    out.fields[field::ptrace::kTargetPid] = pid;
    return out;
  }
};

TEST_F(SubjectText, OfAnotherProcessSaysWhatWasDoneToWhich) {
  EventRecord memory = target(EventType::kMemoryRead, "proc_mem", "/opt/runner/Runner.Worker", 123);
  EXPECT_EQ(subject_of(memory), "read memory of /opt/runner/Runner.Worker (pid 123)");
  memory.fields[field::memory_read::kError] = "EACCES";
  EXPECT_EQ(subject_of(memory),
            "read memory of /opt/runner/Runner.Worker (pid 123) (failed: EACCES)");
  EXPECT_EQ(subject_of(target(EventType::kMemoryRead, "process_vm_writev", "/x", 7)),
            "wrote memory of /x (pid 7)");
  EXPECT_EQ(subject_of(target(EventType::kMemoryRead, "proc_environ", "", 0)),
            "read environment of a process");
  EXPECT_EQ(subject_of(target(EventType::kMemoryRead, "proc_maps", "/x", 7)),
            "read memory map of /x (pid 7)");
  EXPECT_EQ(subject_of(target(EventType::kPtrace, "PTRACE_ATTACH", "/x", 7)),
            "PTRACE_ATTACH of /x (pid 7)");
  EventRecord signal = target(EventType::kSignal, "", "/x", 7);
  signal.fields[field::signal::kSignal] = 9;
  EXPECT_EQ(subject_of(signal), "SIGKILL to /x (pid 7)");
  signal.fields[field::signal::kSignal] = 4'000;
  EXPECT_EQ(subject_of(signal), "signal 4000 to /x (pid 7)");
}

TEST_F(SubjectText, OfFilesAndMountsNamesBothEnds) {
  EventRecord move = record(EventType::kFileMove);
  move.fields[field::file_move::kFromPath] = "/a";
  move.fields[field::file_move::kToPath] = "/b";
  EXPECT_EQ(subject_of(move), "/a -> /b");
  EventRecord link = record(EventType::kFileLink);
  link.fields[field::file_link::kCreatedPath] = "/new";
  link.fields[field::file_link::kExistingPath] = "/old";
  link.fields[field::file_link::kIsSymlink] = 1;
  EXPECT_EQ(subject_of(link), "/new -> /old");
  EventRecord removed = record(EventType::kFileRemove);
  removed.fields[field::file_remove::kPath] = "/a";
  removed.fields[field::file_remove::kIsFolder] = 1;
  EXPECT_EQ(subject_of(removed), "/a");
  EventRecord mount = record(EventType::kMount);
  mount.fields[field::mount::kSourcePath] = "/a";
  mount.fields[field::mount::kTargetPath] = "/b";
  EXPECT_EQ(subject_of(mount), "mount /a on /b");
  mount.fields[field::mount::kOperation] = "bind";
  EXPECT_EQ(subject_of(mount), "bind /a on /b");
  mount.fields[field::mount::kOperation] = "umount";
  mount.fields[field::mount::kSourcePath] = "";
  EXPECT_EQ(subject_of(mount), "umount /b");
}

TEST_F(SubjectText, OfNamesAndRequests) {
  EventRecord domain = record(EventType::kDomain);
  domain.fields[field::domain::kDomain] = "a.example.test";
  domain.fields[field::domain::kQueryType] = "TXT";
  EXPECT_EQ(subject_of(domain), "a.example.test TXT");
  EventRecord request = record(EventType::kHttpRequest);
  request.fields[field::http_request::kMethod] = "POST";
  request.fields[field::http_request::kHost] = "x.test";
  request.fields[field::http_request::kPath] = "/a";
  request.fields[field::http_request::kSource] = "http";
  EXPECT_EQ(subject_of(request), "POST http://x.test/a");
  request.fields[field::http_request::kSource] = "openssl";
  EXPECT_EQ(subject_of(request), "POST https://x.test/a");
  EventRecord socket = record(EventType::kUnixSocketConnect);
  socket.fields[field::unix_socket_connect::kPath] = "@bus";
  socket.fields[field::unix_socket_connect::kIsAbstract] = 1;
  EXPECT_EQ(subject_of(socket), "@bus");
}

TEST_F(SubjectText, OfRightsAndTheKernel) {
  EventRecord privilege = record(EventType::kPrivilegeChange);
  privilege.fields[field::privilege_change::kKind] = "setuid";
  privilege.fields[field::privilege_change::kUidFrom] = 1'000;
  privilege.fields[field::privilege_change::kCapabilities] = "all";
  EXPECT_EQ(subject_of(privilege), "setuid user 1000 -> 0 gained all capabilities");
  EventRecord spaces = record(EventType::kNamespaceChange);
  spaces.fields[field::namespace_change::kOperation] = "unshare";
  spaces.fields[field::namespace_change::kFlags] = "user,mnt";
  EXPECT_EQ(subject_of(spaces), "unshare user,mnt");
  EventRecord socket = record(EventType::kSocketCreate);
  socket.fields[field::socket_create::kFamily] = "AF_PACKET";
  socket.fields[field::socket_create::kType] = "SOCK_RAW";
  EXPECT_EQ(subject_of(socket), "AF_PACKET SOCK_RAW");
  EventRecord bpf = record(EventType::kBpfUse);
  bpf.fields[field::bpf_use::kCommand] = "BPF_PROG_LOAD";
  bpf.fields[field::bpf_use::kProgramType] = "kprobe";
  bpf.fields[field::bpf_use::kError] = "EPERM";
  EXPECT_EQ(subject_of(bpf), "BPF_PROG_LOAD kprobe (failed: EPERM)");
  EventRecord uring = record(EventType::kIoUringOp);
  uring.fields[field::io_uring_op::kOperation] = "connect";
  uring.fields[field::io_uring_op::kRemoteIp] = "::1";
  uring.fields[field::io_uring_op::kRemotePort] = 443;
  EXPECT_EQ(subject_of(uring), "connect [::1]:443");
  EventRecord memory = record(EventType::kExecMemory);
  memory.fields[field::exec_memory::kKind] = "mprotect";
  memory.fields[field::exec_memory::kSizeBytes] = 4'096;
  EXPECT_EQ(subject_of(memory), "mprotect of 4096 bytes");
}

}  // namespace
}  // namespace cicd
