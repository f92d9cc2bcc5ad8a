// SPDX-License-Identifier: Apache-2.0
// EgressPolicy: what a job may reach, as its owner wrote it (YAML, docs/policy.md), checked and
// immutable. It answers two questions: may this name be resolved, may this flow leave.
//
// Order of answers for a flow, in one scope: metadata, DNS over TLS and IPv6 when the policy blocks
// them; then a rule that denies, or DNS over HTTPS; then one that allows, or a trusted net, or the
// loopback network, or metadata when the policy allows it; then the default. Among rules that say
// the same the most specific is named: an exact host before a wildcard, a longer prefix before a
// shorter one.
//
// Threads: any, once made. Nothing is allocated by the answers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "egress/verdict.h"
#include "rule/diagnostic.h"
#include "rule/ip_prefix.h"

namespace cicd {

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 65'535;
  bool operator==(const PortRange&) const = default;
};

enum class EgressProto : std::uint8_t { kAny, kTcp, kUdp, kIcmp };
std::string_view name_of(EgressProto proto);

inline constexpr std::size_t kMaxHostBytes = 253;
inline constexpr std::size_t kMaxPolicyNameBytes = 128;  // rule_id, step, profile; CICD_STEP_ID_MAX
inline constexpr std::size_t kMaxPolicyRules = 10'000;   // with those of `extends`

struct EgressRule {
  bool is_deny = false;
  std::string rule_id;             // given, or "allow[3]" by its place
  std::string host;                // lower case, no last dot; "*.example.com": every name below it
  std::vector<IpPrefix> prefixes;  // instead of a host; also a single address
  std::vector<PortRange> ports;    // empty: all
  EgressProto proto = EgressProto::kAny;
  std::string step, job, project;  // empty: all. The step's id, exact (event/step.h)
  int line = 0;                    // in `file`
  std::string file;
};

enum class DeniedNameAnswer : std::uint8_t { kRefused, kNxdomain };

// What a policy says once it is read, `extends` followed.
struct PolicyDocument {
  std::string profile;
  std::string version_digest;  // "sha256:..." of all texts it was made of
  bool is_audit = false;       // enforce only tells
  bool default_allow = false;
  std::vector<EgressRule> rules;  // those that deny and those that allow, in the order written
  std::vector<IpPrefix> trusted_nets;
  std::vector<std::string> upstreams;  // "9.9.9.9", "[2620:fe::fe]:53"; empty: the machine's
  DeniedNameAnswer denied_names = DeniedNameAnswer::kRefused;
  bool block_doh = true;
  bool block_dot = true;
  bool allow_metadata = false;
  bool block_ipv6 = false;
};

// What a policy is asked about a job. Rules of other jobs and projects are left out.
struct PolicySubject {
  std::string_view project;  // JobIdentity's project path
  std::string_view job;      // name of the job on its platform
};

struct EgressJudgement {
  bool is_allowed = true;
  EgressReason reason = EgressReason::kNone;
  const EgressRule* rule = nullptr;  // that decided; null: the default or a general block
};

struct EgressFlow {
  std::string_view host;  // name that the address was resolved from; empty: none is known
  IpBytes ip{};           // mapped (rule/ip_prefix.h)
  std::uint16_t port = 0;
  std::uint8_t proto = 0;  // IPPROTO_*; ICMPv6 is ICMP to a rule
  std::string_view step;   // id; empty: none
};

class EgressPolicy {
 public:
  EgressPolicy(PolicyDocument document, const PolicySubject& subject);
  ~EgressPolicy();

  const PolicyDocument& document() const { return document_; }
  // Rules that hold for this job; `cicd_egress_rule::rule` is an index into them plus one.
  const std::vector<const EgressRule*>& rules() const { return rules_; }

  // Whether the name may be asked for at all: some rule allows a port of it in some step, or the
  // default does, and none denies all of it. A DNS over HTTPS endpoint is denied by its name, too.
  EgressJudgement judge_name(std::string_view name) const;
  EgressJudgement judge_flow(const EgressFlow& flow) const;
  // An address that an allowed name must not lead to: loopback, link-local, metadata, private and
  // the like, unless a trusted net or a rule for the range has it.
  bool is_inside(const IpBytes& ip) const;
  bool is_trusted(const IpBytes& ip) const;

 private:
  struct Index;
  PolicyDocument document_;
  std::vector<const EgressRule*> rules_;
  std::unique_ptr<Index> index_;
};

// 169.254.169.254 and fd00:ec2::254.
bool is_metadata_address(const IpBytes& ip);
// Also the unspecified addresses, which lead there.
bool is_loopback_address(const IpBytes& ip);

struct LoadedPolicy {
  std::vector<Diagnostic> diagnostics;             // with file, line and column
  std::shared_ptr<const PolicyDocument> document;  // null when one of them is an error
};
// `name` stands for the file in diagnostics. A base file is looked for beside the file that extends
// it; in a text without a file (base_dir empty) only the built-in ones are there (policy_bases.h).
LoadedPolicy load_policy_file(const std::string& path);
LoadedPolicy load_policy_text(std::string_view text, const std::string& name,
                              const std::string& base_dir);

}  // namespace cicd
