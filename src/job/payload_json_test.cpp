// SPDX-License-Identifier: Apache-2.0
#include "job/payload_json.h"

#include <gtest/gtest.h>

#include "support/records.h"

namespace cicd {
namespace {

using support::make_process;

TEST(PayloadJson, HasWhatRulesSeeAndOurAdditionsWhereTheyAre) {
  const auto process = make_process(1, "/bin/cat", {});
  EXPECT_EQ(payload_json(support::make_open(process, "/etc/\"x\"")),
            R"({"flags":524288,"is_read":true,"is_write":false,"path":"/etc/\"x\""})");
  EventRecord connect = support::make_connect(process, "10.0.0.1", 443);
  EXPECT_EQ(payload_json(connect),
            R"({"family":"ipv4","protocol":"tcp","remote_ip":"10.0.0.1","remote_port":443})");
  connect.fields[field::network_connect::kDomain] = "a.test";
  EXPECT_EQ(payload_json(connect).find(R"({"domain":"a.test",)"), 0u) << payload_json(connect);
  EXPECT_EQ(payload_json(support::make_exec(process)), R"({"is_memfd":false})");
  EventRecord asked = support::make_record(EventType::kDomain, process);
  asked.fields[field::domain::kDomain] = "a.test";
  asked.fields[field::domain::kSource] = "dns";
  EXPECT_EQ(payload_json(asked), R"({"domain":"a.test","source":"dns"})") << "not name, as in rows";
}

}  // namespace
}  // namespace cicd
