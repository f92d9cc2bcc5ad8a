// SPDX-License-Identifier: Apache-2.0
// Bodies of requests about jobs: what is accepted is written and read again to the same.
#include <cstdint>
#include <cstdlib>

#include "listener/job_request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto call = cicd::read_job_request(body, cicd::MetadataUse::kTaken);
  if (!call) {
    if (call.error().text.empty()) std::abort();
    return 0;
  }
  const std::string written = cicd::write_job_request(call->identity, &call->metadata);
  const auto again = cicd::read_job_request(written, cicd::MetadataUse::kTaken);
  if (!again || again->identity != call->identity) std::abort();
  if (cicd::identity_key(call->identity).size() > 255) std::abort();
  return 0;
}
