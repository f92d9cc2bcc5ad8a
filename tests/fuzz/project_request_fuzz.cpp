// SPDX-License-Identifier: Apache-2.0
// Bodies of requests for a project scope, settings and rule files of a project: whatever they are,
// they are read or refused with a reason.
#include <cstdint>
#include <cstdlib>

#include "listener/project_request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto call = cicd::read_project_request(text);
  if (!call && call.error().text.empty()) std::abort();
  const auto settings = cicd::read_project_settings(text);
  if (!settings && settings.error().text.empty()) std::abort();
  const cicd::JobIdentity job{
      .provider = "generic", .provider_host = "h", .project_path = "p", .job_key = "k"};
  const auto body = cicd::write_project_request(job, {}, {}, text);
  if (!body) return 0;
  const auto again = cicd::read_project_request(*body);
  if (again && again->identity != job) std::abort();
  return 0;
}
