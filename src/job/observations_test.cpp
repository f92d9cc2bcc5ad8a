// SPDX-License-Identifier: Apache-2.0
#include "job/observations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/records.h"

namespace cicd {
namespace {

using support::make_connect;
using support::make_exec;
using support::make_open;
using support::make_process;
using support::make_record;
using testing::ElementsAre;

TEST(Observations, ProgramsByUseThenName) {
  Observations observations;
  for (const char* path : {"/bin/b", "/bin/a", "/bin/c", "/bin/c"}) {
    observations.add(make_exec(make_process(1, path, {})));
  }
  const auto programs = observations.programs();
  ASSERT_EQ(programs.size(), 3u);
  EXPECT_EQ(programs[0].exec_path, "/bin/c");
  EXPECT_EQ(programs[0].count, 2u);
  EXPECT_EQ(programs[1].exec_path, "/bin/a");
  EXPECT_EQ(programs[2].exec_path, "/bin/b");
}

TEST(Observations, DestinationsAreToldApartByAddressPortAndProtocol) {
  Observations observations;
  const auto curl = make_process(1, "/usr/bin/curl", {});
  const auto node = make_process(2, "/usr/bin/node", {});
  observations.add(make_connect(curl, "10.0.0.1", 443));
  observations.add(make_connect(node, "10.0.0.1", 443));
  observations.add(make_connect(curl, "10.0.0.1", 443));
  observations.add(make_connect(curl, "10.0.0.1", 443, "udp"));
  observations.add(make_connect(curl, "10.0.0.1", 44));
  observations.add(make_connect(curl, "2001:db8::1", 443));
  const auto destinations = observations.destinations();
  ASSERT_EQ(destinations.size(), 4u);
  EXPECT_EQ(destinations[0].count, 3u);
  EXPECT_THAT(destinations[0].exec_paths, ElementsAre("/usr/bin/curl", "/usr/bin/node"));
  EXPECT_EQ(destinations[0].protocol, "tcp");
  EXPECT_EQ(destinations[0].remote_port, 443);
  EXPECT_EQ(destinations[1].remote_port, 44);
  EXPECT_EQ(destinations[3].remote_ip, "2001:db8::1");
}

TEST(Observations, ADestinationHasOneEntryForEachName) {
  Observations observations;
  const auto curl = make_process(1, "/usr/bin/curl", {});
  for (const char* name : {"", "a.test", "b.test"}) {
    EventRecord record = make_connect(curl, "10.0.0.1", 443);
    record.fields[field::network_connect::kDomain] = name;
    if (name == std::string("b.test")) record.marks |= kMarkAmbiguousDomain;
    observations.add(record);
  }
  const auto destinations = observations.destinations();
  ASSERT_EQ(destinations.size(), 3u);
  EXPECT_EQ(destinations[1].domain, "a.test");
  EXPECT_FALSE(destinations[1].is_ambiguous);
  EXPECT_EQ(destinations[2].domain, "b.test");
  EXPECT_TRUE(destinations[2].is_ambiguous);
}

TEST(Observations, NamesAskedForByUseThenName) {
  namespace f = field::domain;
  Observations observations;
  const auto ask = [&](std::string_view name, const char* program, std::string_view result) {
    EventRecord record = make_record(EventType::kDomain, make_process(1, program, {}));
    record.fields[f::kDomain] = name;
    record.fields[f::kResult] = result;
    observations.add(record);
  };
  ask("a.test", "/bin/a", "");
  ask("a.test", "/bin/a", "NOERROR");  // the answer to it
  ask("b.test", "/bin/a", "");
  ask("b.test", "/bin/b", "");
  const auto domains = observations.domains();
  ASSERT_EQ(domains.size(), 2u);
  EXPECT_EQ(domains[0].domain, "b.test");
  EXPECT_EQ(domains[0].count, 2u);
  EXPECT_THAT(domains[0].exec_paths, ElementsAre("/bin/a", "/bin/b"));
  EXPECT_EQ(domains[1].count, 1u);
}

TEST(Observations, ADestinationKeepsTenProgramsAndCountsTheRest) {
  Observations observations;
  for (int i = 0; i < 13; ++i) {
    observations.add(make_connect(make_process(1, "/bin/" + std::to_string(i), {}), "1.1.1.1", 1));
  }
  const auto destinations = observations.destinations();
  ASSERT_EQ(destinations.size(), 1u);
  EXPECT_EQ(destinations[0].exec_paths.size(), 10u);
  EXPECT_EQ(destinations[0].process_overflow_count, 3u);
  EXPECT_EQ(destinations[0].count, 13u);
}

TEST(Observations, TenProcessesOfADestinationAreNamed) {
  Observations observations;
  const auto shell = make_process(100, "/bin/sh", {});
  const auto curl = make_process(1, "/usr/bin/curl", {}, shell);
  for (int i = 0; i < 3; ++i) observations.add(make_connect(curl, "1.1.1.1", 1));
  for (std::uint64_t id = 2; id < 14; ++id) {
    observations.add(make_connect(make_process(id, "/usr/bin/curl", {}, shell), "1.1.1.1", 1));
  }
  const auto destinations = observations.destinations();
  ASSERT_EQ(destinations.size(), 1u);
  const ProcessUse& use = destinations[0].processes;
  ASSERT_EQ(use.traces.size(), 10u);
  EXPECT_EQ(use.unlisted_count, 3u);
  const ProcessTraces& traces = observations.traces();
  EXPECT_EQ(traces.traces[use.traces[0]].pid, curl->pid);
  EXPECT_EQ(traces.traces[use.traces[9]].pid, 1'010u);
  EXPECT_EQ(traces.exec_path(traces.traces[use.traces[9]].parent), "/bin/sh");
  EXPECT_EQ(traces.traces.size(), 11u) << "the shell once, and nobody beyond the ten";
}

TEST(Observations, AnotherProgramOfAProcessIsNamedButNotAnotherPictureOfIt) {
  Observations observations;
  const auto with = [&](std::uint64_t id, const char* program) {
    auto process = std::make_shared<Process>(*make_process(1, program, {}));
    process->id = id;
    observations.add(make_connect(process, "1.1.1.1", 1));
  };
  with(1, "/bin/sh");
  with(2, "/bin/sh");  // after setuid
  with(3, "/usr/bin/curl");
  const ProcessUse use = observations.destinations()[0].processes;
  ASSERT_EQ(use.traces.size(), 2u);
  EXPECT_EQ(observations.traces().exec_path(use.traces[1]), "/usr/bin/curl");
}

TEST(Observations, SensitiveFilesCountReadsAndWritesButNoFailedOpens) {
  Observations observations;
  const auto node = make_process(1, "/usr/bin/node", {});
  observations.add(make_open(node, "/home/u/.npmrc"));
  observations.add(make_open(node, "/home/u/.npmrc"));
  observations.add(make_open(node, "/home/u/.npmrc", true));
  observations.add(make_open(node, "/home/u/package.json"));
  EventRecord failed = make_open(node, "/home/u/.pypirc");
  failed.fields[field::file_open::kError] = "ENOENT";
  observations.add(failed);
  EventRecord path_only = make_open(node, "/home/u/.netrc");
  path_only.fields[field::file_open::kIsRead] = 0;
  observations.add(path_only);
  const auto files = observations.sensitive_files();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].path, "/home/u/.npmrc");
  EXPECT_EQ(files[0].kind, "npm token");
  EXPECT_EQ(files[0].reads, 2u);
  EXPECT_EQ(files[0].writes, 1u);
  EXPECT_THAT(files[0].exec_paths, ElementsAre("/usr/bin/node"));
}

TEST(Observations, EachKindIsCappedAndTheOverflowCounted) {
  Observations observations;
  for (int i = 0; i < 1'007; ++i) {
    const std::string n = std::to_string(i);
    observations.add(make_exec(make_process(1, "/bin/" + n, {})));
    observations.add(
        make_connect(make_process(1, "/bin/x", {}), "1.1.1.1", static_cast<std::uint16_t>(i)));
    observations.add(make_open(make_process(1, "/bin/x", {}), "/h/" + n + "/.npmrc"));
  }
  EXPECT_EQ(observations.programs().size(), 1'000u);
  EXPECT_EQ(observations.destinations().size(), 1'000u);
  EXPECT_EQ(observations.sensitive_files().size(), 1'000u);
  EXPECT_EQ(observations.overflow(), 21u);
  observations.add(make_exec(make_process(1, "/bin/5", {})));  // known: no overflow
  EXPECT_EQ(observations.overflow(), 21u);
}

TEST(Traffic, GoesToTheFirstDestinationWithTheAddress) {
  std::vector<DestinationUse> destinations(3);
  destinations[0].remote_ip = destinations[1].remote_ip = "192.0.2.1";
  destinations[0].remote_port = destinations[1].remote_port = 443;
  destinations[0].protocol = destinations[1].protocol = "tcp";
  destinations[2].remote_ip = "2001:db8::1";
  destinations[2].remote_port = 53;
  destinations[2].protocol = "udp";
  add_traffic(destinations, {{"2001:db8::1", 53, "udp", {.sent_bytes = 1}},
                             {"192.0.2.1", 443, "tcp", {.sent_bytes = 2, .received_bytes = 3}},
                             {"192.0.2.9", 22, "tcp", {.blocked_packets = 4}}});
  ASSERT_EQ(destinations.size(), 4u);
  EXPECT_EQ(destinations[0].traffic.sent_bytes, 2u);
  EXPECT_EQ(destinations[0].traffic.received_bytes, 3u);
  EXPECT_EQ(destinations[1].traffic.sent_bytes, 0u);
  EXPECT_EQ(destinations[2].traffic.sent_bytes, 1u);
  EXPECT_EQ(destinations[3].remote_ip, "192.0.2.9");
  EXPECT_EQ(destinations[3].count, 0u);
  EXPECT_EQ(destinations[3].traffic.blocked_packets, 4u);
}

TEST(Traffic, TheListStaysBounded) {
  std::vector<DestinationUse> destinations;
  std::vector<FlowTraffic> flows;
  for (std::size_t i = 0; i < 2 * kMaxObservations; ++i) {
    flows.push_back({"192.0.2.1", static_cast<std::uint16_t>(i), "tcp", {.sent_bytes = 1}});
  }
  add_traffic(destinations, flows);
  EXPECT_EQ(destinations.size(), kMaxObservations);
}

}  // namespace
}  // namespace cicd
