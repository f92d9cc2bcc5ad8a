// SPDX-License-Identifier: Apache-2.0
#include "docker/container_book.h"

#include <gtest/gtest.h>

#include <vector>

namespace cicd {

namespace {

std::string id_of(char head) { return std::string(1, head) + std::string(63, '0'); }

TEST(ContainerBook, FindsByIdNameAndHead) {
  ContainerBook book(10);
  book.begin(id_of('a'), "web", nullptr);
  book.begin(id_of('b'), "/db", nullptr);
  EXPECT_EQ(book.find(id_of('a')), id_of('a'));
  EXPECT_EQ(book.find("web"), id_of('a'));
  EXPECT_EQ(book.find("/web"), id_of('a'));
  EXPECT_EQ(book.find("db"), id_of('b'));
  EXPECT_EQ(book.find("b000"), id_of('b'));
  for (const char* name : {"", "/", "we", "c", "b1", "webs"})
    EXPECT_EQ(book.find(name), "") << name;
}

TEST(ContainerBook, AHeadOfTwoIsNotClear) {
  ContainerBook book(10);
  const std::string first = "ab" + std::string(62, '1');
  const std::string second = "ab" + std::string(62, '2');
  book.begin(first, "", nullptr);
  book.begin(second, "", nullptr);
  EXPECT_EQ(book.find("ab"), "");
  EXPECT_EQ(book.find("ab2"), second);
}

TEST(ContainerBook, WaitersHearHowItEnded) {
  ContainerBook book(10);
  std::vector<bool> heard;
  const auto hear = [&](bool is_staged) { heard.push_back(is_staged); };
  book.begin(id_of('a'), "", nullptr);
  book.wait(id_of('a'), hear);
  book.wait(id_of('a'), hear);
  EXPECT_EQ(book.staging(id_of('a')), Staging::kPending);
  book.finish(id_of('a'), true);
  EXPECT_EQ(heard, (std::vector<bool>{true, true}));
  EXPECT_EQ(book.staging(id_of('a')), Staging::kStaged);
  book.use(id_of('a'));
  EXPECT_EQ(book.staging(id_of('a')), Staging::kUsed);
  book.begin(id_of('a'), "", nullptr);
  book.wait(id_of('a'), hear);
  book.finish(id_of('a'), false);
  EXPECT_EQ(book.staging(id_of('a')), Staging::kFailed);
  book.wait(id_of('x'), hear);
  EXPECT_EQ(heard, (std::vector<bool>{true, true, false, false}));
}

TEST(ContainerBook, WhatWasStagedLongAgoIsStagedAgain) {
  ContainerBook book(10, std::chrono::milliseconds(0));
  book.begin(id_of('a'), "", nullptr);
  EXPECT_EQ(book.staging(id_of('a')), Staging::kPending);
  book.finish(id_of('a'), true);
  EXPECT_EQ(book.staging(id_of('a')), Staging::kUsed);
}

TEST(ContainerBook, NamesGoToTheNewest) {
  ContainerBook book(10);
  book.begin(id_of('a'), "web", nullptr);
  book.begin(id_of('b'), "web", nullptr);
  EXPECT_EQ(book.find("web"), id_of('b'));
  book.forget_names();
  EXPECT_EQ(book.find("web"), "");
}

TEST(ContainerBook, IsBounded) {
  ContainerBook book(3);
  bool was_told = false;
  book.begin(id_of('a'), "first", nullptr);
  book.wait(id_of('a'), [&](bool is_staged) { was_told = !is_staged; });
  for (const char head : {'b', 'c', 'd'}) book.begin(id_of(head), std::string(1, head), nullptr);
  EXPECT_EQ(book.size(), 3u);
  EXPECT_TRUE(was_told);
  EXPECT_EQ(book.find("first"), "");
  EXPECT_EQ(book.staging(id_of('a')), Staging::kUnknown);
  EXPECT_EQ(book.find("d"), id_of('d'));
}

}  // namespace

}  // namespace cicd
