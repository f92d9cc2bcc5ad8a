// SPDX-License-Identifier: Apache-2.0
#include "job/command_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace cicd {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class FindCommand : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cicd-find-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    for (const char* folder : {"a", "b"}) fs::create_directory(root_ + "/" + folder);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string make(const std::string& name, mode_t mode) {
    const std::string path = root_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n";
    ::chmod(path.c_str(), mode);
    return path;
  }

  std::string search_path() const { return root_ + "/a:" + root_ + "/b"; }
  std::string root_;
};

TEST_F(FindCommand, TakesTheFirstThatCanBeRun) {
  make("a/tool", 0644);
  const std::string good = make("b/tool", 0755);
  EXPECT_EQ(find_command("tool", search_path()).value(), good);
  EXPECT_EQ(find_command(good, "").value(), good);
}

TEST_F(FindCommand, NotFoundIsNotFound) {
  for (const std::string& name :
       {std::string("nope"), root_ + "/nope", root_ + "/a/x/y", std::string("")}) {
    const auto result = find_command(name, search_path());
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
    EXPECT_FALSE(result.error().hint.empty());
  }
}

TEST_F(FindCommand, WhatCannotBeRunIsToldApart) {
  make("b/tool", 0644);
  fs::create_directory(root_ + "/a/folder");
  for (const std::string& name : {std::string("tool"), root_ + "/b/tool", root_ + "/a/folder"}) {
    const auto result = find_command(name, search_path());
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code, ErrorCode::kPermission) << result.error().text;
    EXPECT_THAT(result.error().text, HasSubstr(name));
  }
  // In PATH a folder of that name is no candidate at all.
  EXPECT_EQ(find_command("folder", search_path()).error().code, ErrorCode::kNotFound);
}

TEST_F(FindCommand, AnEmptyElementIsTheCurrentFolder) {
  make("a/here", 0755);
  const fs::path before = fs::current_path();
  fs::current_path(root_ + "/a");
  EXPECT_EQ(find_command("here", root_ + "/b:").value(), "./here");
  fs::current_path(before);
}

}  // namespace
}  // namespace cicd
