// SPDX-License-Identifier: Apache-2.0
// What a DNS packet and a connect cost: parsing messages, learning names, looking one up.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "names/dns_message.h"
#include "names/name_table.h"
#include "names/query_memory.h"
#include "support/dns_builder.h"

namespace {

using namespace cicd;
using support::DnsBuilder;

void parse(benchmark::State& state, const DnsBuilder& builder) {
  const auto message = std::make_unique<DnsMessage>();
  for (auto _ : state) {
    parse_dns(builder.bytes(), *message);
    benchmark::DoNotOptimize(message->address_count);
  }
  state.SetItemsProcessed(state.iterations());
}

void parse_query(benchmark::State& state) {
  parse(state, DnsBuilder(1).question("registry.pkg.example", kDnsA));
}
BENCHMARK(parse_query);

void parse_answer(benchmark::State& state) {
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("registry.pkg.example", kDnsA).cname("@12", "edge.cdn.example");
  for (int i = 0; i < 8; ++i) builder.a("edge.cdn.example", "192.0.2.1");
  parse(state, builder);
}
BENCHMARK(parse_answer);

// The worst that fits into one sample: names of nothing but pointers.
void parse_hostile(benchmark::State& state) {
  std::vector<std::uint8_t> chain;
  for (int i = 1; i <= 100; ++i) {
    DnsBuilder::append(chain, DnsBuilder::wire("@" + std::to_string(30 + 2 * i)));
  }
  DnsBuilder::append(chain, DnsBuilder::wire("b"));
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("a", kDnsA).record(".", 16, 60, chain);
  while (builder.bytes().size() < 4'096 - 16) builder.a("@30", "192.0.2.1");
  parse(state, builder);
}
BENCHMARK(parse_hostile);

constexpr NameUser kUser{100, 5};

IpAddress address_of(std::size_t number) {
  IpAddress address = support::ip("10.0.0.0");
  address.bytes[2] = static_cast<std::uint8_t>(number >> 8);
  address.bytes[3] = static_cast<std::uint8_t>(number);
  return address;
}

// Addresses times names on each.
NameTable table_of(std::size_t addresses, std::size_t names) {
  NameTable table;
  for (std::size_t i = 0; i < addresses; ++i) {
    for (std::size_t n = 0; n < names; ++n) {
      const std::string name = std::to_string(n) + ".host" + std::to_string(i) + ".example";
      table.add(address_of(i), {name, NameSource::kDnsAnswer, kUser, 1'000 + n, 60});
    }
  }
  return table;
}

void find_name(benchmark::State& state) {
  const auto addresses = static_cast<std::size_t>(state.range(0));
  const NameTable table = table_of(addresses, static_cast<std::size_t>(state.range(1)));
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.find(address_of(next), kUser, 2'000));
    next = next + 1 < addresses ? next + 1 : 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(find_name)->Args({1, 1})->Args({8'000, 1})->Args({1'000, 16});

void learn_known_name(benchmark::State& state) {
  NameTable table = table_of(1'000, 1);
  std::uint64_t now_ns = 2'000;
  for (auto _ : state) {
    table.add(address_of(7), {"0.host7.example", NameSource::kDnsAnswer, kUser, ++now_ns, 60});
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(learn_known_name);

// A full table: each new address pushes an old one out.
void learn_new_name(benchmark::State& state) {
  NameTable table = table_of(8'000, 1);
  std::size_t next = 8'000;
  for (auto _ : state) {
    const std::size_t number = next++ % 60'000;
    const std::string name = std::to_string(number) + ".tunnel.example";
    table.add(address_of(number), {name, NameSource::kDnsAnswer, kUser, next, 60});
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(learn_new_name);

void remember_question(benchmark::State& state) {
  RecentNames recent;
  std::vector<std::string> names;
  for (int i = 0; i < 4'096; ++i) names.push_back(std::to_string(i) + ".tunnel.example");
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(recent.is_new(kUser, names[next++ % names.size()], 0, 1'000));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(remember_question);

}  // namespace
