// SPDX-License-Identifier: Apache-2.0
// JobIdentity and JobMetadata: which job this is. Names of members are those of the log rows
// (proto3 JSON, empty ones omitted). Pure data; any thread.
#pragma once

#include <string>

namespace cicd {

struct JobIdentity {
  std::string provider;       // "generic", "github", "gitlab", ...
  std::string provider_host;  // "local" for `run`
  std::string project_path;   // --name for `run`
  std::string job_key;        // generic: free text that tells runs of a project apart
};

struct JobMetadata {
  std::string commit_sha;
  std::string ref_name;
};

}  // namespace cicd
