// SPDX-License-Identifier: Apache-2.0
#include "agent/folder_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <vector>

namespace cicd {
namespace {

using testing::ElementsAre;

class FolderWatchTest : public testing::Test {
 protected:
  FolderWatchTest() {
    char name[] = "/tmp/cicd-folder-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~FolderWatchTest() override { std::filesystem::remove_all(folder_); }
  void make(const std::string& name) const {
    ASSERT_EQ(::mkdir((folder_ + "/" + name).c_str(), 0755), 0);
  }
  void hear(const std::string& name) {
    const std::lock_guard lock(mutex_);
    heard_.push_back(name);
    changed_.notify_all();
  }
  std::vector<std::string> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return heard_.size() >= count; });
    return heard_;
  }

  std::string folder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> heard_;
};

TEST_F(FolderWatchTest, TellsOfNewFoldersOnce) {
  FolderWatch watch([this](const std::string& name) { hear(name); });
  make("before");
  ASSERT_TRUE(watch.watch(folder_));
  ASSERT_TRUE(watch.watch(folder_)) << "once more is no mistake";
  make("first");
  make("first/below");
  std::ofstream(folder_ + "/file") << "x";
  make("a:b:c");
  EXPECT_THAT(wait_for(2), ElementsAre("first", "a:b:c"));
}

TEST_F(FolderWatchTest, WhatIsNotThereCannotBeWatched) {
  FolderWatch watch([](const std::string&) {});
  const auto watched = watch.watch(folder_ + "/nowhere");
  ASSERT_FALSE(watched);
  EXPECT_NE(watched.error().text.find("nowhere"), std::string::npos);
  EXPECT_TRUE(watch.watch(folder_));
}

TEST_F(FolderWatchTest, IsNotStartedWithoutNeed) {
  const FolderWatch watch([](const std::string&) {});
}

}  // namespace
}  // namespace cicd
