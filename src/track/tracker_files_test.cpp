// SPDX-License-Identifier: Apache-2.0
// Names of files and Unix sockets: what samples of them become.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "track/tracker_test_support.h"

namespace cicd {
namespace {

const StringPart kNone{};

SampleBuffer paths(std::uint16_t type, std::uint16_t flags, const StringPart& path,
                   const StringPart& base, const StringPart& other = kNone,
                   const StringPart& other_base = kNone, std::uint32_t operation = 0) {
  cicd_sample_paths fixed{};
  fixed.header.flags = flags;
  fixed.operation = operation;
  return make_sample(kShell, type, fixed, {path, base, other, other_base});
}

SampleBuffer unix_connect(std::uint16_t flags, std::uint16_t socket_type, const StringPart& path,
                          const StringPart& base = kNone) {
  cicd_sample_unix_connect fixed{};
  fixed.header.flags = flags;
  fixed.socket_type = socket_type;
  return make_sample(kShell, CICD_SAMPLE_UNIX_CONNECT, fixed, {path, base});
}

class TrackerFiles : public ::testing::Test {
 protected:
  TrackerFiles() { bench_.start_shell(); }
  // The records of one sample.
  const RecordList<EventRecord>& records_of(const SampleBuffer& sample) {
    bench_.batch().reset();
    bench_.send(sample);
    return bench_.records();
  }
  EventRecord record_of(const SampleBuffer& sample) {
    EXPECT_EQ(records_of(sample).size(), 1u);
    return bench_.records().empty() ? EventRecord{} : bench_.records()[0];
  }
  EventRecord removed(const StringPart& path, const StringPart& base = kNone) {
    return record_of(paths(CICD_SAMPLE_REMOVE, 0, path, base));
  }
  TrackerBench bench_;
};

TEST_F(TrackerFiles, RemoveOfFileAndFolder) {
  namespace f = field::file_remove;
  const EventRecord file = removed(raw("name"), walked("/build"));
  EXPECT_EQ(file.type, EventType::kFileRemove);
  EXPECT_EQ(file.text(f::kPath), "/build/name");
  EXPECT_EQ(file.number(f::kIsFolder), 0);
  EXPECT_EQ(file.marks, 0u);
  EXPECT_EQ(file.process->exec_path(), "/bin/sh");
  const EventRecord folder =
      record_of(paths(CICD_SAMPLE_REMOVE, CICD_PATHS_FOLDER, raw("/build/x"), kNone));
  EXPECT_EQ(folder.text(f::kPath), "/build/x");
  EXPECT_EQ(folder.number(f::kIsFolder), 1);
}

TEST_F(TrackerFiles, MarkedWhereASymlinkMayBe) {
  const auto is_marked = [&](const char* path, const StringPart& base) {
    return (removed(raw(path), base).marks & kMarkUnresolvedPath) != 0;
  };
  for (const char* exact : {"name", "./name", ".//name/", "/name", "...", "..name"}) {
    EXPECT_FALSE(is_marked(exact, walked("/build"))) << exact;
  }
  for (const char* other : {"a/b", "..", ".", "../a", "a/..", "a/.", "/a/b", "/..", "/"}) {
    EXPECT_TRUE(is_marked(other, walked("/build"))) << other;
  }
  EXPECT_TRUE(is_marked("name", kNone)) << "its base is not known";
}

TEST_F(TrackerFiles, DamagedNamesAreMarked) {
  EXPECT_EQ(removed(raw("x", CICD_STRING_FAULT), walked("/b")).marks,
            kMarkUnresolvedPath | kMarkFaultPath);
  EXPECT_EQ(removed(raw("", CICD_STRING_FAULT), walked("/b")).text(field::file_remove::kPath), "");
  EXPECT_EQ(removed(raw("x", CICD_STRING_TRUNCATED), walked("/b")).marks,
            kMarkUnresolvedPath | kMarkTruncatedPath);
  const EventRecord gone = removed(raw("x"), walked("/b/gone", CICD_STRING_DELETED));
  EXPECT_EQ(gone.text(field::file_remove::kPath), "/b/gone/x");
  EXPECT_EQ(gone.marks, kMarkDeletedPath);
}

TEST_F(TrackerFiles, WhereItCameFrom) {
  EXPECT_EQ(record_of(paths(CICD_SAMPLE_REMOVE, CICD_PATHS_COMPAT, raw("x"), walked("/"))).marks,
            kMark32Bit);
  EXPECT_EQ(record_of(paths(CICD_SAMPLE_REMOVE, CICD_PATHS_IO_URING, raw("x"), walked("/"))).marks,
            kMarkIoUring);
}

TEST_F(TrackerFiles, MoveAndExchange) {
  namespace f = field::file_move;
  const EventRecord move =
      record_of(paths(CICD_SAMPLE_MOVE, 0, raw("a"), walked("/from"), raw("b"), walked("/to")));
  EXPECT_EQ(move.type, EventType::kFileMove);
  EXPECT_EQ(move.text(f::kFromPath), "/from/a");
  EXPECT_EQ(move.text(f::kToPath), "/to/b");
  EXPECT_EQ(move.marks, 0u);
  const auto& both = records_of(
      paths(CICD_SAMPLE_MOVE, CICD_PATHS_EXCHANGE, raw("a"), walked("/from"), raw("/x/b"), kNone));
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].text(f::kFromPath), "/from/a");
  EXPECT_EQ(both[0].text(f::kToPath), "/x/b");
  EXPECT_EQ(both[1].text(f::kFromPath), "/x/b");
  EXPECT_EQ(both[1].text(f::kToPath), "/from/a");
  EXPECT_EQ(both[1].marks, kMarkUnresolvedPath) << "of the second name";
}

TEST_F(TrackerFiles, Links) {
  namespace f = field::file_link;
  const EventRecord hard =
      record_of(paths(CICD_SAMPLE_LINK, 0, raw("new"), walked("/b"), raw("old"), walked("/a")));
  EXPECT_EQ(hard.type, EventType::kFileLink);
  EXPECT_EQ(hard.text(f::kCreatedPath), "/b/new");
  EXPECT_EQ(hard.text(f::kExistingPath), "/a/old");
  EXPECT_EQ(hard.number(f::kIsHardlink), 1);
  EXPECT_EQ(hard.number(f::kIsSymlink), 0);
  EXPECT_EQ(hard.marks, 0u);
  const EventRecord followed = record_of(paths(CICD_SAMPLE_LINK, CICD_PATHS_FOLLOWED, raw("new"),
                                               walked("/b"), raw("old"), walked("/a")));
  EXPECT_EQ(followed.marks, kMarkUnresolvedPath);
  const EventRecord by_descriptor =
      record_of(paths(CICD_SAMPLE_LINK, 0, raw("new"), walked("/b"), raw(""), walked("/a/file")));
  EXPECT_EQ(by_descriptor.text(f::kExistingPath), "/a/file");
  EXPECT_EQ(by_descriptor.marks, 0u);
  const EventRecord soft = record_of(
      paths(CICD_SAMPLE_LINK, CICD_PATHS_SYMLINK, raw("new"), walked("/b"), raw("../some//text")));
  EXPECT_EQ(soft.text(f::kExistingPath), "../some//text");
  EXPECT_EQ(soft.number(f::kIsSymlink), 1);
  EXPECT_EQ(soft.number(f::kIsHardlink), 0);
  EXPECT_EQ(soft.marks, 0u);
}

TEST_F(TrackerFiles, Mounts) {
  namespace f = field::mount;
  const EventRecord made = record_of(
      paths(CICD_SAMPLE_MOUNT, 0, raw("to"), walked("/b"), raw("./proc"), kNone, CICD_MOUNT_NEW));
  EXPECT_EQ(made.type, EventType::kMount);
  EXPECT_EQ(made.text(f::kSourcePath), "./proc") << "any text: never joined";
  EXPECT_EQ(made.text(f::kTargetPath), "/b/to");
  EXPECT_EQ(made.text(f::kOperation), "new");
  EXPECT_EQ(made.marks, kMarkUnresolvedPath) << "mount follows links";
  const EventRecord bind = record_of(
      paths(CICD_SAMPLE_MOUNT, 0, walked("/b/to"), kNone, walked("/from"), kNone, CICD_MOUNT_BIND));
  EXPECT_EQ(bind.text(f::kSourcePath), "/from");
  EXPECT_EQ(bind.text(f::kTargetPath), "/b/to");
  EXPECT_EQ(bind.text(f::kOperation), "bind");
  EXPECT_EQ(bind.marks, 0u) << "both were walked";
  const EventRecord umount =
      record_of(paths(CICD_SAMPLE_MOUNT, 0, raw("/b"), kNone, kNone, kNone, CICD_MOUNT_UMOUNT));
  EXPECT_EQ(umount.text(f::kSourcePath), "");
  EXPECT_EQ(umount.text(f::kOperation), "umount");
  EXPECT_EQ(
      record_of(paths(CICD_SAMPLE_MOUNT, 0, raw("/"), kNone, kNone, kNone, 77)).text(f::kOperation),
      "unknown");
}

TEST_F(TrackerFiles, UnixSockets) {
  namespace f = field::unix_socket_connect;
  const EventRecord path = record_of(unix_connect(0, SOCK_STREAM, raw("./socket"), walked("/run")));
  EXPECT_EQ(path.type, EventType::kUnixSocketConnect);
  EXPECT_EQ(path.text(f::kPath), "/run/socket");
  EXPECT_EQ(path.text(f::kSocketType), "stream");
  EXPECT_EQ(path.number(f::kIsAbstract), 0);
  EXPECT_EQ(path.marks, kMarkUnresolvedPath);
  const EventRecord abstract = record_of(unix_connect(CICD_UNIX_ABSTRACT | CICD_UNIX_SENDMSG,
                                                      SOCK_DGRAM, {std::string("a\0b\n\xff", 5)}));
  EXPECT_EQ(abstract.text(f::kPath), "@a@b\n\xff");
  EXPECT_EQ(abstract.text(f::kSocketType), "dgram");
  EXPECT_EQ(abstract.number(f::kIsAbstract), 1);
  EXPECT_EQ(abstract.marks, kMarkSendmsg);
  EXPECT_EQ(record_of(unix_connect(CICD_UNIX_ABSTRACT, SOCK_SEQPACKET, raw(""))).text(f::kPath),
            "@");
  EXPECT_EQ(record_of(unix_connect(0, 77, raw("/x"))).text(f::kSocketType), "unknown");
}

TEST_F(TrackerFiles, TruncateIsAnOpen) {
  namespace f = field::file_open;
  const EventRecord record =
      record_of(open_sample(kShell, {.path = raw("x"),
                                     .base = walked("/b"),
                                     .flags = CICD_OPEN_WRITE | CICD_OPEN_UNRESOLVED,
                                     .call = CICD_OPEN_TRUNCATE}));
  EXPECT_EQ(record.type, EventType::kFileOpen);
  EXPECT_EQ(record.text(f::kPath), "/b/x");
  EXPECT_EQ(record.number(f::kIsWrite), 1);
  EXPECT_EQ(record.number(f::kIsRead), 0);
  EXPECT_EQ(record.text(f::kError), "");
  EXPECT_EQ(record.marks, kMarkTruncate | kMarkUnresolvedPath);
}

}  // namespace
}  // namespace cicd
