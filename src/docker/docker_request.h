// SPDX-License-Identifier: Apache-2.0
// What of the Docker API matters here: which requests make or start containers, what their bodies
// say, and what the agent is told of a container.
//
// Pure; any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "job/identity.h"

namespace cicd {

enum class DockerAct {
  kOther,
  kCreate,    // POST /containers/create
  kStart,     // POST /containers/NAME/start, and restart, which starts what never ran
  kRename,    // POST /containers/NAME/rename
  kBuild,     // POST /build with the classic builder
  kBuildKit,  // the same with BuildKit, and POST /grpc, which speaks to it
};

struct DockerRequest {
  DockerAct act = DockerAct::kOther;
  std::string name;       // of the container: of the path, or of create's query; may be empty
  bool is_quiet = false;  // a build that does not say what it runs
};

// By dockerd's own rules: any version prefix or none, escapes of the path decoded, a whole URL.
DockerRequest read_docker_request(std::string_view method, std::string_view target);

// Of the answer to create, or to inspect: 64 hexadecimal digits.
std::optional<std::string> read_container_id(std::string_view answer);
// Of the answer to a list of containers: the id of the only one that begins with `head`, when it
// was not started yet.
std::optional<std::string> read_unstarted_id(std::string_view answer, std::string_view head);
bool is_container_id(std::string_view id);

// Names that the container's cgroup may have: of Docker's systemd driver and of its cgroupfs one.
std::array<std::string, 2> cgroup_basenames(const std::string& id);

// The job that a container belongs to by the labels that GitLab Runner gives it. `body`: of a
// create request, or what inspect says. kNotFound: it has no such labels; kInvalidInput: they name
// no job, or the body is no JSON.
Result<JobDescription> read_gitlab_labels(std::string_view body);

// Body of the request that stages a basename. `container`: "new" when it has never been started,
// "missed" when it is too late for this step of a build, else "". `job`: GitLab's that its labels
// name, or null.
std::string staging_body(std::string_view basename, int peer_pid, std::string_view container,
                         const JobDescription* job);

}  // namespace cicd
