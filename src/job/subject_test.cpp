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
    out.fields[field::ptrace::kRequest].text = what;
    out.fields[field::ptrace::kTargetExecPath].text = program;
    out.fields[field::ptrace::kTargetPid].number = pid;
    return out;
  }
};

TEST_F(SubjectText, OfAnotherProcessSaysWhatWasDoneToWhich) {
  EventRecord memory = target(EventType::kMemoryRead, "proc_mem", "/opt/runner/Runner.Worker", 123);
  EXPECT_EQ(subject_of(memory), "read memory of /opt/runner/Runner.Worker (pid 123)");
  memory.fields[field::memory_read::kError].text = "EACCES";
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
  signal.fields[field::signal::kSignal].number = 9;
  EXPECT_EQ(subject_of(signal), "SIGKILL to /x (pid 7)");
  signal.fields[field::signal::kSignal].number = 4'000;
  EXPECT_EQ(subject_of(signal), "signal 4000 to /x (pid 7)");
}

TEST_F(SubjectText, OfFilesAndMountsNamesBothEnds) {
  EventRecord move = record(EventType::kFileMove);
  move.fields[field::file_move::kFromPath].text = "/a";
  move.fields[field::file_move::kToPath].text = "/b";
  EXPECT_EQ(subject_of(move), "/a -> /b");
  EventRecord link = record(EventType::kFileLink);
  link.fields[field::file_link::kCreatedPath].text = "/new";
  link.fields[field::file_link::kExistingPath].text = "/old";
  link.fields[field::file_link::kIsSymlink].number = 1;
  EXPECT_EQ(subject_of(link), "/new -> /old");
  EventRecord removed = record(EventType::kFileRemove);
  removed.fields[field::file_remove::kPath].text = "/a";
  removed.fields[field::file_remove::kIsFolder].number = 1;
  EXPECT_EQ(subject_of(removed), "/a");
  EventRecord mount = record(EventType::kMount);
  mount.fields[field::mount::kSourcePath].text = "/a";
  mount.fields[field::mount::kTargetPath].text = "/b";
  EXPECT_EQ(subject_of(mount), "mount /a on /b");
  mount.fields[field::mount::kOperation].text = "bind";
  EXPECT_EQ(subject_of(mount), "bind /a on /b");
  mount.fields[field::mount::kOperation].text = "umount";
  mount.fields[field::mount::kSourcePath].text = "";
  EXPECT_EQ(subject_of(mount), "umount /b");
}

TEST_F(SubjectText, OfNamesAndRequests) {
  EventRecord domain = record(EventType::kDomain);
  domain.fields[field::domain::kDomain].text = "a.example.test";
  domain.fields[field::domain::kQueryType].text = "TXT";
  EXPECT_EQ(subject_of(domain), "a.example.test TXT");
  EventRecord request = record(EventType::kHttpRequest);
  request.fields[field::http_request::kMethod].text = "POST";
  request.fields[field::http_request::kHost].text = "x.test";
  request.fields[field::http_request::kPath].text = "/a";
  request.fields[field::http_request::kSource].text = "http";
  EXPECT_EQ(subject_of(request), "POST http://x.test/a");
  request.fields[field::http_request::kSource].text = "openssl";
  EXPECT_EQ(subject_of(request), "POST https://x.test/a");
  EventRecord socket = record(EventType::kUnixSocketConnect);
  socket.fields[field::unix_socket_connect::kPath].text = "@bus";
  socket.fields[field::unix_socket_connect::kIsAbstract].number = 1;
  EXPECT_EQ(subject_of(socket), "@bus");
}

TEST_F(SubjectText, OfRightsAndTheKernel) {
  EventRecord privilege = record(EventType::kPrivilegeChange);
  privilege.fields[field::privilege_change::kKind].text = "setuid";
  privilege.fields[field::privilege_change::kUidFrom].number = 1'000;
  privilege.fields[field::privilege_change::kCapabilities].text = "all";
  EXPECT_EQ(subject_of(privilege), "setuid user 1000 -> 0 gained all capabilities");
  EventRecord spaces = record(EventType::kNamespaceChange);
  spaces.fields[field::namespace_change::kOperation].text = "unshare";
  spaces.fields[field::namespace_change::kFlags].text = "user,mnt";
  EXPECT_EQ(subject_of(spaces), "unshare user,mnt");
  EventRecord socket = record(EventType::kSocketCreate);
  socket.fields[field::socket_create::kFamily].text = "AF_PACKET";
  socket.fields[field::socket_create::kType].text = "SOCK_RAW";
  EXPECT_EQ(subject_of(socket), "AF_PACKET SOCK_RAW");
  EventRecord bpf = record(EventType::kBpfUse);
  bpf.fields[field::bpf_use::kCommand].text = "BPF_PROG_LOAD";
  bpf.fields[field::bpf_use::kProgramType].text = "kprobe";
  bpf.fields[field::bpf_use::kError].text = "EPERM";
  EXPECT_EQ(subject_of(bpf), "BPF_PROG_LOAD kprobe (failed: EPERM)");
  EventRecord uring = record(EventType::kIoUringOp);
  uring.fields[field::io_uring_op::kOperation].text = "connect";
  uring.fields[field::io_uring_op::kRemoteIp].text = "::1";
  uring.fields[field::io_uring_op::kRemotePort].number = 443;
  EXPECT_EQ(subject_of(uring), "connect [::1]:443");
  EventRecord memory = record(EventType::kExecMemory);
  memory.fields[field::exec_memory::kKind].text = "mprotect";
  memory.fields[field::exec_memory::kSizeBytes].number = 4'096;
  EXPECT_EQ(subject_of(memory), "mprotect of 4096 bytes");
}

}  // namespace
}  // namespace cicd
