// SPDX-License-Identifier: Apache-2.0
// The values of a policy file, from text: hosts, ranges of ports and addresses, name servers. A
// mistake is an Error whose text says what is wrong and what to write instead, in one line.
// Threads: pure functions.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "egress/policy.h"

namespace cicd {

// "Example.com." -> "example.com"; "*.example.com". Names with other letters stand as xn--...
Result<std::string> parse_host(const std::string& text);
// "443" or "8000-8100"; 1 to 65535.
Result<PortRange> parse_ports(const std::string& text);
// Sorted; ranges that touch are one.
std::vector<PortRange> joined_ports(std::vector<PortRange> ranges);
// A range in CIDR form or one address.
Result<IpPrefix> parse_net(const std::string& text);
// "9.9.9.9", "9.9.9.9:5353", "2620:fe::fe", "[2620:fe::fe]:53"; given back as it is.
Result<std::string> parse_upstream(const std::string& text);
// "group/project" or "group/*".
Result<std::string> parse_project(const std::string& text);

// The one of `known` that `word` is most likely a slip of the pen for; empty: none is near.
std::string_view nearest(std::string_view word, std::initializer_list<std::string_view> known);

}  // namespace cicd
