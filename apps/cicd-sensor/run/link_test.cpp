// SPDX-License-Identifier: Apache-2.0
#include "run/link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace cicd {
namespace {

Message message_of(MessageType type, std::int64_t number, std::string text = {},
                   std::string hint = {}) {
  Message message;
  message.type = type;
  message.number = number;
  message.text = std::move(text);
  message.hint = std::move(hint);
  return message;
}

TEST(Link, CarriesNumbersTextsAndDescriptors) {
  auto [front, engine] = Link::make_pair().value();
  ASSERT_TRUE(front.send(message_of(MessageType::kBegin, -1)));
  ASSERT_TRUE(front.send(message_of(MessageType::kFailed, 3, "what", "hint")));
  Message started = message_of(MessageType::kStarted, 77);
  started.descriptor.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(front.send(started));

  EXPECT_EQ(engine.receive(0)->number, -1);
  const auto failed = engine.receive(0);
  EXPECT_EQ(failed->text, "what");
  EXPECT_EQ(failed->hint, "hint");
  const auto got = engine.receive(0);
  EXPECT_EQ(got->number, 77);
  struct stat sent{}, received{};
  ASSERT_EQ(::fstat(started.descriptor.get(), &sent), 0);
  ASSERT_EQ(::fstat(got->descriptor.get(), &received), 0);
  EXPECT_EQ(sent.st_rdev, received.st_rdev);
  EXPECT_NE(::fcntl(got->descriptor.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(engine.receive(0));
  EXPECT_FALSE(engine.is_closed());
}

TEST(Link, TextsThatAreTooLongAreCutAndStayApart) {
  auto [front, engine] = Link::make_pair().value();
  ASSERT_TRUE(front.send(
      message_of(MessageType::kFailed, 0, std::string(5000, 'a'), std::string(5000, 'b'))));
  const auto got = engine.receive(0);
  EXPECT_EQ(got->text, std::string(1023, 'a'));
  EXPECT_EQ(got->hint, std::string(1023, 'b'));
}

TEST(Link, WhatWasSentBeforeTheEndStillArrives) {
  auto [front, engine] = Link::make_pair().value();
  ASSERT_TRUE(engine.send(message_of(MessageType::kDone, 1)));
  engine.close();
  EXPECT_EQ(front.receive(0)->number, 1);
  EXPECT_FALSE(front.is_closed());
  EXPECT_FALSE(front.receive(-1));
  EXPECT_TRUE(front.is_closed());
  EXPECT_FALSE(front.send(message_of(MessageType::kEnded, 0)));
}

}  // namespace
}  // namespace cicd
