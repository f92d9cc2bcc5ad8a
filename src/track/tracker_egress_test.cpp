// SPDX-License-Identifier: Apache-2.0
// What a policy does not allow, as the kernel side and the resolver tell it.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "track/tracker_test_support.h"
#include "wire/egress.h"

namespace cicd {
namespace {

namespace f = field::egress_violation;

class TrackerEgress : public ::testing::Test {
 protected:
  void SetUp() override { bench_.start_shell(); }
  const EventRecord& tell(const cicd_sample_egress& fixed, std::string_view name = {}) {
    bench_.send(egress_sample(kShell, fixed, name));
    return bench_.records().at(0);
  }
  TrackerBench bench_;
};

TEST_F(TrackerEgress, AnAnswerThatLeadsInsideHasTheNameAndWhoAsked) {
  const EventRecord& record = tell({.count = 1,
                                    .remote_ip = {10, 0, 0, 1},
                                    .family = AF_INET,
                                    .reason = CICD_REASON_REBINDING,
                                    .scopes = CICD_SCOPE_HOST,
                                    .hook = CICD_EGRESS_RESOLVER},
                                   "registry.test");
  EXPECT_EQ(record.text(f::kReason), "rebinding");
  EXPECT_EQ(record.text(f::kVerdict), "block");
  EXPECT_EQ(record.text(f::kScope), "host");
  EXPECT_EQ(record.text(f::kDomain), "registry.test");
  EXPECT_EQ(record.text(f::kDomainSource), "resolver");
  EXPECT_EQ(record.text(f::kRemoteIp), "10.0.0.1");
  EXPECT_EQ(record.text(f::kProtocol), "dns");
  EXPECT_EQ(record.number(f::kPackets), 0);
  EXPECT_EQ(record.process->exec_path(), "/bin/sh");
}

TEST_F(TrackerEgress, PacketsAreCountedWhereTheyWereDenied) {
  cicd_sample_egress fixed{.count = 3,
                           .bytes = 252,
                           .remote_ip = {192, 0, 2, 9},
                           .family = AF_INET,
                           .protocol = IPPROTO_ICMP,
                           .reason = CICD_REASON_RAW_SOCKET,
                           .scopes = CICD_SCOPE_PROJECT,
                           .hook = CICD_EGRESS_PACKET};
  EXPECT_EQ(tell(fixed).number(f::kPackets), 3);
  bench_.batch().reset();
  fixed.hook = CICD_EGRESS_CONNECT;
  EXPECT_EQ(tell(fixed).number(f::kPackets), 0);
  EXPECT_EQ(bench_.records().at(0).text(f::kDomainSource), "none");
}

}  // namespace
}  // namespace cicd
