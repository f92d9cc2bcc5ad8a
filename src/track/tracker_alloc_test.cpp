// SPDX-License-Identifier: Apache-2.0
// The steady state allocates nothing: every allocation of this program is counted.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "track/dns_test_support.h"
#include "track/tracker_test_support.h"

namespace {
std::size_t allocations = 0;
}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace cicd {
namespace {

std::size_t in_tracker = 0;

TEST(TrackerAlloc, TheCounterCounts) {
  const std::size_t before = allocations;
  delete ::new std::string(100, 'x');
  EXPECT_GE(allocations - before, 2u);
}

std::vector<SampleBuffer> file_samples() {
  cicd_sample_paths names{};
  cicd_sample_unix_connect unix{};
  const StringPart none;
  std::vector<SampleBuffer> samples;
  for (const std::uint16_t type :
       {CICD_SAMPLE_REMOVE, CICD_SAMPLE_MOVE, CICD_SAMPLE_LINK, CICD_SAMPLE_MOUNT}) {
    samples.push_back(
        make_sample(kShell, type, names, {raw("x"), walked("/build/dir"), raw("/a/../b"), none}));
  }
  samples.push_back(make_sample(kShell, CICD_SAMPLE_UNIX_CONNECT, unix, {raw("s"), walked("/r")}));
  unix.header.flags = CICD_UNIX_ABSTRACT;
  samples.push_back(make_sample(kShell, CICD_SAMPLE_UNIX_CONNECT, unix, {raw("name"), none}));
  return samples;
}

TEST(TrackerAlloc, OpensAndConnectsOfKnownProcessesAllocateNothing) {
  TrackerBench bench;
  bench.start_shell();
  bench.send(cgroup_sample(kShell, CICD_SAMPLE_CGROUP_ATTACH,
                           {.target_cgroup_id = 7, .flags = CICD_ATTACH_ESCAPE}));
  std::vector<SampleBuffer> samples = {
      open_sample(kShell, {.path = walked("/usr/lib/x86_64-linux-gnu/libc.so.6")}),
      open_sample(kShell, {.path = walked("/tmp/gone", CICD_STRING_DELETED)}),
      open_sample(kShell, {.path = raw("", CICD_STRING_PIPE)}),
      open_sample(kShell, {.path = walked(std::string(4'000, 'x'))}),
      open_sample(kShell, {.path = raw("./no/such"), .base = walked("/b"), .error = ENOENT}),
      open_sample(kShell, {.path = raw("no"), .base = walked("/b"), .error = 4'000}),
      connect_sample(kShell, {}),
      connect_sample(kShell, {.remote_ip = "2001:db8::1", .protocol = 132}),
      exit_sample(Actor{.pid = 1, .slot = 7}),  // of no job
      SampleBuffer(20),                         // malformed
  };
  for (SampleBuffer& sample : file_samples()) samples.push_back(std::move(sample));
  const auto round = [&] {
    for (int i = 0; i < 500; ++i) {
      for (const SampleBuffer& sample : samples) bench.send(sample);
    }
  };
  round();  // the batch grows to its size
  bench.batch().reset();
  const std::size_t before = allocations;
  round();
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(bench.records().size(), 7'000u);
}

TEST(TrackerAlloc, NamesAllocateNothingOnceTheyAreKnown) {
  using support::DnsBuilder;
  TrackerBench bench;
  bench.start_shell();
  DnsBuilder answer(1, DnsBuilder::kAnswer);
  answer.question("www.a.test", kDnsA).cname("@12", "cdn.test").a("cdn.test", "192.0.2.1");
  DnsBuilder other(1, DnsBuilder::kAnswer);
  other.question("other.test", kDnsA).a("@12", "192.0.2.1");
  const DnsBuilder query = DnsBuilder(1).question("www.a.test", kDnsA);
  std::uint64_t now_ns = 2'000;
  const auto round = [&] {
    for (int i = 0; i < 100; ++i) {
      now_ns += 30'000'000'000;  // so that each makes its records
      for (const SampleBuffer& sample : {
               dns_sample(kShell.at(now_ns), query.bytes()),
               dns_sample(kShell.at(now_ns), answer.bytes(), {.is_answer = true}),
               dns_sample(kShell.at(now_ns), DnsBuilder(1).question("other.test", 1).bytes()),
               dns_sample(kShell.at(now_ns), other.bytes(), {.is_answer = true}),
               connect_sample(kShell.at(now_ns), {.remote_ip = "192.0.2.1"}),
           }) {
        const std::size_t before = allocations;
        bench.send(sample);
        in_tracker += allocations - before;
      }
    }
  };
  round();
  EXPECT_EQ(bench.records().back().marks, kMarkAmbiguousDomain);
  bench.batch().reset();
  in_tracker = 0;
  round();
  EXPECT_EQ(in_tracker, 0u);
  EXPECT_EQ(bench.records().size(), 500u);
}

}  // namespace
}  // namespace cicd
