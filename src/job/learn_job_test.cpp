// SPDX-License-Identifier: Apache-2.0
#include "job/learn_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

DestinationUse use(std::string ip, std::uint16_t port, std::string protocol, std::uint64_t packets,
                   std::string domain = {}) {
  DestinationUse out;
  out.remote_ip = std::move(ip);
  out.remote_port = port;
  out.protocol = std::move(protocol);
  out.domain = std::move(domain);
  out.count = 1;
  out.traffic.sent_packets = packets;
  return out;
}

std::vector<std::string> learned(const JobSummary& summary) {
  std::vector<std::string> out;
  for (const LearnedUse& each : learned_job(summary).uses) {
    out.push_back(each.host + ":" + std::to_string(each.port) + "/" + each.proto);
  }
  return out;
}

TEST(LearnJob, AConnectThatSendsNothingIsNoDestination) {
  JobSummary summary;
  summary.destinations = {use("192.0.2.1", 443, "udp", 0, "sorted.test"),
                          use("192.0.2.1", 443, "tcp", 0, "sorted.test"),
                          use("192.0.2.1", 0, "udp", 0, "sorted.test"),
                          use("192.0.2.2", 443, "udp", 3, "quic.test")};
  EXPECT_THAT(learned(summary), ElementsAre("sorted.test:443/tcp", "quic.test:443/udp"));
}

TEST(LearnJob, TrafficIsOfTheAddressWhateverTheName) {
  JobSummary summary;
  summary.destinations = {use("192.0.2.2", 443, "udp", 3, "a.test"),
                          use("192.0.2.2", 443, "udp", 0, "b.test"),
                          use("192.0.2.2", 444, "udp", 0, "b.test")};
  EXPECT_THAT(learned(summary), ElementsAre("a.test:443/udp", "b.test:443/udp"));
}

TEST(LearnJob, WhereNothingIsCountedNothingIsKnown) {
  JobSummary summary;
  summary.destinations = {use("192.0.2.1", 443, "udp", 0)};
  EXPECT_THAT(learned(summary), ElementsAre("192.0.2.1:443/udp"));
  summary.egress.emplace().kernel_totals.emplace();
  EXPECT_THAT(learned(summary), IsEmpty()) << "counted, and nothing was sent";
  summary.egress->kernel_totals->flows_missing = 1;
  EXPECT_THAT(learned(summary), ElementsAre("192.0.2.1:443/udp"));
}

TEST(LearnJob, WhatNeedsNoRule) {
  JobSummary summary;
  summary.destinations = {use("198.51.100.53", 53, "udp", 9), use("127.0.0.1", 80, "tcp", 1),
                          use("::1", 80, "tcp", 1)};
  EXPECT_THAT(learned(summary), IsEmpty());
}

}  // namespace
}  // namespace cicd
