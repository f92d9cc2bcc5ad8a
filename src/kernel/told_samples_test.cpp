// SPDX-License-Identifier: Apache-2.0
#include "kernel/told_samples.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "kernel/egress_samples.h"
#include "wire/decode.h"

namespace cicd {
namespace {

InsideAnswer answer(std::string_view name) {
  InsideAnswer out;
  out.client = {.start_time_ns = 5, .cgroup_id = 9, .slot = 3, .pid = 77, .exec_id = 2, .step = 0};
  out.name = name;
  out.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  out.scopes = CICD_SCOPE_HOST;
  return out;
}

TEST(ToldSamples, AnAnswerThatLeadsInsideIsASample) {
  const std::vector<std::byte> bytes = sample_of(answer("a.test"), 1'000);
  const auto sample = decode(bytes);
  ASSERT_TRUE(sample);
  const auto& egress = std::get<EgressSample>(*sample);
  EXPECT_EQ(egress.name, "a.test");
  EXPECT_EQ(egress.fixed.header.slot, 3u);
  EXPECT_EQ(egress.fixed.header.pid, 77u);
  EXPECT_EQ(egress.fixed.header.time_ns, 1'000u);
  EXPECT_EQ(egress.fixed.family, AF_INET);
  EXPECT_EQ(egress.fixed.remote_ip[0], 10);
  EXPECT_EQ(egress.fixed.remote_ip[3], 1);
  EXPECT_EQ(egress.fixed.reason, CICD_REASON_REBINDING);
  EXPECT_EQ(egress.fixed.is_audit, 0);
}

TEST(ToldSamples, ALongNameIsCut) {
  const std::string name(1'000, 'a');
  const std::vector<std::byte> bytes = sample_of(answer(name), 1);
  const auto sample = decode(bytes);
  ASSERT_TRUE(sample);
  EXPECT_EQ(std::get<EgressSample>(*sample).name, name.substr(0, 255));
}

TEST(ToldSamples, ComeOutInOrderAndOnce) {
  ToldSamples told;
  for (const char* name : {"a", "b"}) told.add(3, sample_of(answer(name), 1));
  std::string names;
  const auto take = [&](SampleBytes bytes) {
    const auto sample = decode(bytes);
    ASSERT_TRUE(sample);
    names += std::get<EgressSample>(*sample).name;
  };
  EXPECT_EQ(told.drain(take), 2u);
  EXPECT_EQ(told.drain(take), 0u);
  EXPECT_EQ(names, "ab");
}

TEST(ToldSamples, WhatHasNoRoomIsCountedForItsJob) {
  ToldSamples told;
  for (std::size_t i = 0; i < ToldSamples::kMaxWaiting + 2; ++i) told.add(3, {});
  told.add(4, {});
  EXPECT_EQ(told.dropped(3), 2u);
  EXPECT_EQ(told.dropped(4), 1u);
  told.forget(3);
  EXPECT_EQ(told.dropped(3), 0u);
  EXPECT_EQ(told.drain([](SampleBytes) { FAIL() << "of a job that is over"; }), 0u);
}

}  // namespace
}  // namespace cicd
