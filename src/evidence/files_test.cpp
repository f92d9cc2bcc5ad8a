// SPDX-License-Identifier: Apache-2.0
// The files themselves: where they may be made, and that they end in a whole row whatever happens.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "evidence/output_directory.h"
#include "evidence/row_file.h"

namespace cicd {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "cicd-evidence-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  static std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  OutputDirectory open(const fs::path& path, FileOwner owner = {}) {
    auto directory = OutputDirectory::open(path.string(), owner);
    EXPECT_TRUE(directory) << directory.error().text;
    return std::move(*directory);
  }
  std::string error_of(const fs::path& path, FileOwner owner = {}) {
    const auto directory = OutputDirectory::open(path.string(), owner);
    if (directory) return "no error";
    EXPECT_FALSE(directory.error().hint.empty());
    EXPECT_EQ(directory.error().text.find('\n'), std::string::npos);
    return directory.error().text;
  }

  fs::path root_;
};

// Files of this process can be no longer than `bytes`: what a full disk looks like, without one.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  sighandler_t handler_;
};

void add_row(RowFile& file, const std::string& row) {
  file.buffer() += row + "\n";
  file.row_added();
}

TEST_F(Files, MakesTheDirectoryAndItsParents) {
  open(root_ / "a/b/c");
  EXPECT_TRUE(fs::is_directory(root_ / "a/b/c"));
  open(root_ / "a/b/c/");
}

TEST_F(Files, SaysWhatIsWrongWithADirectory) {
  std::ofstream(root_ / "file") << "x";
  EXPECT_THAT(error_of(root_ / "file"), HasSubstr("not a directory"));
  EXPECT_THAT(error_of(root_ / "file/sub"), HasSubstr("not a directory"));
  EXPECT_THAT(error_of(""), HasSubstr("empty"));
  EXPECT_THAT(error_of("/proc/no/such"), HasSubstr("output directory /proc/no/such"));
}

TEST_F(Files, ReplacesWhatStandsUnderTheNameAndFollowsNoLink) {
  const fs::path victim = root_ / "victim";
  std::ofstream(victim) << "precious";
  const OutputDirectory directory = open(root_ / "out");
  fs::create_symlink(victim, root_ / "out/events.jsonl");
  fs::create_hard_link(victim, root_ / "out/detections.jsonl");
  for (const char* name : {"events.jsonl", "detections.jsonl"}) {
    auto file = RowFile::create(directory, name);
    ASSERT_TRUE(file) << file.error().text;
    add_row(*file, "{}");
    file->flush();
    EXPECT_EQ(content(root_ / "out" / name), "{}\n");
    EXPECT_FALSE(fs::is_symlink(root_ / "out" / name));
  }
  EXPECT_EQ(content(victim), "precious");
}

TEST_F(Files, LeavesOtherFilesAlone) {
  const OutputDirectory directory = open(root_);
  std::ofstream(root_ / "notes.txt") << "mine";
  ASSERT_TRUE(RowFile::create(directory, "events.jsonl"));
  EXPECT_EQ(content(root_ / "notes.txt"), "mine");
}

TEST_F(Files, ADirectoryInTheWayIsAnError) {
  const OutputDirectory directory = open(root_);
  fs::create_directory(root_ / "events.jsonl");
  const auto file = RowFile::create(directory, "events.jsonl");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().text, HasSubstr("events.jsonl"));
  EXPECT_FALSE(file.error().hint.empty());
}

TEST_F(Files, ReplaceIsWholeOrNothing) {
  const OutputDirectory directory = open(root_);
  ASSERT_TRUE(directory.replace("summary.json", "old"));
  {
    const FileSizeLimit limit(4);
    const auto result = directory.replace("summary.json", "longer than four bytes");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kResource);
    EXPECT_THAT(result.error().hint, HasSubstr("space"));
  }
  EXPECT_EQ(content(root_ / "summary.json"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(root_), fs::directory_iterator()), 1);
  ASSERT_TRUE(directory.replace("summary.json", "new"));
  EXPECT_EQ(content(root_ / "summary.json"), "new");
}

TEST_F(Files, NoRoomAtTheStartIsAnErrorWithAHint) {
  const OutputDirectory directory = open(root_);
  const FileSizeLimit limit(100);
  const auto file = RowFile::create(directory, "events.jsonl");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kResource);
  EXPECT_THAT(file.error().hint, HasSubstr("space"));
}

TEST_F(Files, AFullDiskCutsAtAWholeRowCountsTheRestAndGoesOnLater) {
  const OutputDirectory directory = open(root_);
  auto file = RowFile::create(directory, "events.jsonl");
  ASSERT_TRUE(file);
  const std::string row(99, 'x');
  add_row(*file, row);
  file->flush();
  {
    const FileSizeLimit limit(450);
    for (int i = 0; i < 5; ++i) add_row(*file, row);
    file->flush();  // 350 bytes of 500 fit: three rows and a half
    EXPECT_EQ(file->rows_lost(), 2u);
    EXPECT_EQ(content(root_ / "events.jsonl").size(), 400u);
    EXPECT_TRUE(content(root_ / "events.jsonl").ends_with("x\n"));
    add_row(*file, row);
    file->flush();
    EXPECT_EQ(file->rows_lost(), 3u);
    EXPECT_EQ(content(root_ / "events.jsonl").size(), 400u);
  }
  add_row(*file, "back");
  file->flush();
  EXPECT_EQ(file->rows_lost(), 3u);
  EXPECT_TRUE(content(root_ / "events.jsonl").ends_with("x\nback\n"));
  EXPECT_EQ(file->bytes_written(), 405u);
}

TEST_F(Files, WritesWhenTheBufferIsFull) {
  const OutputDirectory directory = open(root_);
  auto file = RowFile::create(directory, "events.jsonl");
  ASSERT_TRUE(file);
  const std::string row(1'023, 'x');
  for (int i = 0; i < 255; ++i) add_row(*file, row);
  EXPECT_EQ(fs::file_size(root_ / "events.jsonl"), 0u);
  add_row(*file, row);
  EXPECT_EQ(fs::file_size(root_ / "events.jsonl"), 256u * 1'024u);
  add_row(*file, std::string(8 << 20, 'y'));  // one huge row passes
  EXPECT_EQ(fs::file_size(root_ / "events.jsonl"), 256u * 1'024u + (8u << 20) + 1);
}

class FilesAsRoot : public Files {
 protected:
  void SetUp() override {
    Files::SetUp();
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: files of another user are made";
    ASSERT_EQ(::chmod(root_.c_str(), 0755), 0);
    fs::create_directory(root_ / "home");
    ASSERT_EQ(::chown((root_ / "home").c_str(), kUser, kUser), 0);
  }
  static struct stat info_of(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info;
  }
  static constexpr uid_t kUser = 12'345;
  static constexpr FileOwner kOwner{12'345, 12'345};
};

TEST_F(FilesAsRoot, FilesAndDirectoriesBelongToTheOwner) {
  const OutputDirectory directory = open(root_ / "home/out/deep", kOwner);
  ASSERT_TRUE(RowFile::create(directory, "events.jsonl"));
  ASSERT_TRUE(directory.replace("summary.json", "{}"));
  for (const char* name :
       {"home/out", "home/out/deep", "home/out/deep/events.jsonl", "home/out/deep/summary.json"}) {
    EXPECT_EQ(info_of(root_ / name).st_uid, kUser) << name;
    EXPECT_EQ(info_of(root_ / name).st_gid, kUser) << name;
  }
}

TEST_F(FilesAsRoot, ADirectoryOfRootsWorksTooAndTheFilesAreTheOwners) {
  fs::create_directory(root_ / "roots");
  const OutputDirectory directory = open(root_ / "roots", kOwner);
  ASSERT_TRUE(RowFile::create(directory, "events.jsonl"));
  EXPECT_EQ(info_of(root_ / "roots/events.jsonl").st_uid, kUser);
  EXPECT_EQ(info_of(root_ / "roots").st_uid, 0u);
}

// The job's user swaps the directory for a link into a place only root may write.
TEST_F(FilesAsRoot, ALinkIntoAPlaceTheOwnerMayNotWriteIsRefused) {
  fs::create_directory(root_ / "etc");
  fs::create_directory_symlink(root_ / "etc", root_ / "home/out");
  ASSERT_EQ(::lchown((root_ / "home/out").c_str(), kUser, kUser), 0);
  EXPECT_NE(error_of(root_ / "home/out", kOwner), "no error");
  EXPECT_NE(error_of(root_ / "home/out/./", kOwner), "no error");
  EXPECT_TRUE(fs::is_empty(root_ / "etc"));
}

TEST_F(FilesAsRoot, RightsComeBackAfterwards) {
  open(root_ / "home/out", kOwner);
  std::ofstream(root_ / "only-root") << "x";
  EXPECT_EQ(info_of(root_ / "only-root").st_uid, 0u);
  ASSERT_EQ(::chmod((root_ / "only-root").c_str(), 0000), 0);
  EXPECT_EQ(content(root_ / "only-root"), "x");  // CAP_DAC_OVERRIDE is effective again
}

}  // namespace
}  // namespace cicd
