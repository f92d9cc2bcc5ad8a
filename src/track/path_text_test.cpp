// SPDX-License-Identifier: Apache-2.0
#include "track/path_text.h"

#include <gtest/gtest.h>

#include "event/event_record.h"
#include "wire/sample_builder.h"

namespace cicd {
namespace {

WireString view(const StringPart& part) { return {part.bytes, part.flags}; }

std::string text_of(const StringPart& part, std::uint64_t inode = 0) {
  Arena arena;
  return std::string(path_text(view(part), inode, arena).text);
}
std::uint32_t marks_of(const StringPart& part) {
  Arena arena;
  return path_text(view(part), 0, arena).marks;
}
std::string failed(std::string_view path, const StringPart& base = {}) {
  Arena arena;
  const PathText text = unresolved_path_text({path, 0}, view(base), arena);
  EXPECT_TRUE(text.marks & kMarkUnresolvedPath);
  return std::string(text.text);
}

TEST(PathText, WalkedPaths) {
  EXPECT_EQ(text_of(walked("/")), "/");
  EXPECT_EQ(text_of(walked("/a")), "/a");
  EXPECT_EQ(text_of(walked("/usr/lib/x86_64-linux-gnu/libc.so.6")),
            "/usr/lib/x86_64-linux-gnu/libc.so.6");
  EXPECT_EQ(marks_of(walked("/a/b")), 0);
}

TEST(PathText, BytesAreKept) {
  EXPECT_EQ(text_of(walked("/a\nb/\xff\xfe/c d/\xc3")), "/a\nb/\xff\xfe/c d/\xc3");
  EXPECT_EQ(failed("x\n\xff", walked("/\x80")), "/\x80/x\n\xff");
}

TEST(PathText, DeletedFiles) {
  EXPECT_EQ(text_of(walked("/tmp/x", CICD_STRING_DELETED)), "/tmp/x (deleted)");
  EXPECT_EQ(marks_of(walked("/tmp/x", CICD_STRING_DELETED)), kMarkDeletedPath);
}

TEST(PathText, FilesOutsideEveryPath) {
  EXPECT_EQ(text_of(raw("", CICD_STRING_PIPE), 4711), "pipe:[4711]");
  EXPECT_EQ(text_of(raw("", CICD_STRING_SOCKET), 18'446'744'073'709'551'615u),
            "socket:[18446744073709551615]");
  EXPECT_EQ(text_of(raw("mnt", CICD_STRING_NAMESPACE), 4026531840), "mnt:[4026531840]");
  EXPECT_EQ(text_of(raw("/", CICD_STRING_NAMESPACE), 5), "ns:[5]");
  EXPECT_EQ(text_of(raw("[eventpoll]", CICD_STRING_ANON_INODE)), "anon_inode:[eventpoll]");
  EXPECT_EQ(text_of(raw("memfd:payload", CICD_STRING_MEMFD)), "/memfd:payload (deleted)");
  EXPECT_EQ(text_of(raw("memfd:", CICD_STRING_MEMFD)), "/memfd: (deleted)");
  EXPECT_EQ(marks_of(raw("memfd:payload", CICD_STRING_MEMFD | CICD_STRING_DELETED)), 0);
}

// A path cut at its top must not read as another absolute path.
TEST(PathText, MissingTopIsVisible) {
  EXPECT_EQ(text_of(walked("/etc/passwd", CICD_STRING_TRUNCATED)), ".../etc/passwd");
  EXPECT_EQ(marks_of(walked("/etc/passwd", CICD_STRING_TRUNCATED)), kMarkTruncatedPath);
  EXPECT_EQ(text_of(walked("/etc/passwd", CICD_STRING_FAULT)), ".../etc/passwd");
  EXPECT_EQ(marks_of(walked("/etc/passwd", CICD_STRING_FAULT)), kMarkFaultPath);
  EXPECT_EQ(text_of(walked("/", CICD_STRING_FAULT)), ".../");
}

TEST(PathText, LongestPaths) {
  std::string deep;
  while (deep.size() < CICD_PATH_MAX) deep += "/d";
  EXPECT_EQ(text_of(walked(deep)), deep);
  const std::string wide = "/" + std::string(CICD_PATH_MAX - 1, 'w');
  EXPECT_EQ(text_of(walked(wide, CICD_STRING_DELETED)), wide + " (deleted)");
  const std::string raw_path(CICD_PATH_MAX, 'r');
  EXPECT_EQ(failed(raw_path, walked(deep)), deep + "/" + raw_path);
}

// What no kernel sends must still be harmless.
TEST(PathText, OddComponents) {
  using std::string_view_literals::operator""sv;
  const auto odd = [](std::string_view bytes) { return raw(bytes, CICD_STRING_COMPONENTS); };
  EXPECT_EQ(text_of(odd("leaf")), "/leaf");
  EXPECT_EQ(text_of(odd("leaf\0\0\0top"sv)), "/top/leaf");
  EXPECT_EQ(text_of(odd("\0\0"sv)), "/");
  EXPECT_EQ(text_of(raw("plain\0rest"sv)), "plain");
}

TEST(PathText, OutsideTheRootIsMarked) {
  Arena arena;
  const StringPart path = walked("/shadow", CICD_STRING_UNREACHABLE);
  const PathText text = path_text(view(path), 7, arena);
  EXPECT_EQ(text.text, "/shadow");
  EXPECT_EQ(text.marks, kMarkUnreachablePath);
}

TEST(PathText, FailedOpensAreJoined) {
  EXPECT_EQ(failed("/etc/shadow"), "/etc/shadow");
  EXPECT_EQ(failed("/etc/shadow", walked("/build")), "/etc/shadow");
  EXPECT_EQ(failed("x", walked("/build")), "/build/x");
  EXPECT_EQ(failed("x", walked("/")), "/x");
  EXPECT_EQ(failed("./a//b/./c/", walked("/build")), "/build/a/b/c");
  EXPECT_EQ(failed("//etc//passwd"), "/etc/passwd");
  EXPECT_EQ(failed("."), ".");
  EXPECT_EQ(failed(".", walked("/build")), "/build");
  EXPECT_EQ(failed("/"), "/");
  EXPECT_EQ(failed("/."), "/");
  EXPECT_EQ(failed("", walked("/build")), "");
}

// "link/.." is where the link leads to, which nobody knows afterwards.
TEST(PathText, DotDotStays) {
  EXPECT_EQ(failed("../x", walked("/build/y")), "/build/y/../x");
  EXPECT_EQ(failed("a/../../b", walked("/")), "/a/../../b");
  EXPECT_EQ(failed("...", walked("/")), "/...");
}

TEST(PathText, WithoutABaseRelativeStaysRelative) {
  EXPECT_EQ(failed("etc/passwd"), "./etc/passwd");
}

TEST(PathText, MarksOfTheBaseCount) {
  Arena arena;
  const StringPart gone = walked("/gone", CICD_STRING_DELETED);
  PathText text = unresolved_path_text({"x", CICD_STRING_TRUNCATED}, view(gone), arena);
  EXPECT_EQ(text.text, "/gone/x");
  EXPECT_EQ(text.marks, kMarkUnresolvedPath | kMarkDeletedPath | kMarkTruncatedPath);
  const StringPart cut = walked("/tail", CICD_STRING_TRUNCATED);
  text = unresolved_path_text({"x", 0}, view(cut), arena);
  EXPECT_EQ(text.text, ".../tail/x");
  EXPECT_EQ(text.marks, kMarkUnresolvedPath | kMarkTruncatedPath);
}

}  // namespace
}  // namespace cicd
