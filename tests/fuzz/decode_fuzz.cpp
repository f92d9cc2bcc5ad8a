// SPDX-License-Identifier: Apache-2.0
// Any bytes as one sample: decode must not read outside them, and what it accepts must lie inside.
#include <cstdlib>
#include <type_traits>

#include "wire/decode.h"

namespace {

using cicd::WireString;

std::span<const std::byte> input;

void must_lie_inside(const WireString& string) {
  if (string.bytes.empty()) return;
  const auto* begin = reinterpret_cast<const std::byte*>(string.bytes.data());
  if (begin < input.data() || begin + string.bytes.size() > input.data() + input.size()) {
    std::abort();
  }
}

void check(const cicd::ExecSample& sample) {
  must_lie_inside(sample.exec_path);
  must_lie_inside(sample.filename);
  must_lie_inside(sample.cwd);
  must_lie_inside(sample.argv);
  must_lie_inside(sample.environment);
}
void check(const cicd::CgroupSample& sample) { must_lie_inside(sample.path); }
void check(const cicd::OpenSample& sample) {
  must_lie_inside(sample.path);
  must_lie_inside(sample.base);
}
template <typename Typed>
void check(const Typed& /*no strings*/) {}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input = {reinterpret_cast<const std::byte*>(data), size};
  const auto sample = cicd::decode(input);
  if (!sample) return cicd::name_of(sample.error()).empty() ? (std::abort(), 0) : 0;
  if (cicd::header_of(*sample).size != size) std::abort();
  std::visit([](const auto& typed) { check(typed); }, *sample);
  return 0;
}
