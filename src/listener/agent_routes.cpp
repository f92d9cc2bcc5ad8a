// SPDX-License-Identifier: Apache-2.0
#include "listener/agent_routes.h"

#include <unistd.h>

#include <functional>
#include <utility>

#include "base/json_writer.h"
#include "listener/job_request.h"
#include "listener/project_request.h"

namespace cicd {

namespace {

HttpResponse api_error(const ApiError& error) { return http_error(error.status, error.message); }

void append_identity(JsonWriter& json, const JobIdentity& identity) {
  json.key("job_identity");
  json.begin_object();
  for (const IdentityField& field : identity_fields()) {
    json.member_if(field.name, identity.*field.member);
  }
  json.end_object();
}

HttpResponse done(const JobIdentity& identity) {
  HttpResponse response;
  JsonWriter json(response.body);
  json.begin_object();
  append_identity(json, identity);
  json.member("status", "ok");
  json.end_object();
  return response;
}

HttpResponse health(const JobIdentity& identity, const JobHealth& found) {
  HttpResponse response;
  JsonWriter json(response.body);
  const auto scope = [&](std::string_view name, bool is_there) {
    json.key(name);
    json.begin_object();
    json.member("status", is_there ? "active" : "missing");
    json.end_object();
  };
  json.begin_object();
  scope("host", found.has_host_scope);
  append_identity(json, identity);
  scope("project", found.has_project_scope);
  json.member("status", "ok");
  json.end_object();
  return response;
}

// Reads the body; answers 400 by itself when that is all that is to be said.
template <typename Read, typename Handle>
HttpHandler job_handler(const std::string& provider, Read read, const Handle& handle) {
  return [=](HttpRequest request, const HttpResponder& respond) {
    // GitLab's runner asks for its jobs from outside of them.
    if (provider == "gitlab" && request.peer.uid != ::geteuid()) {
      return respond(http_error(403, "only the agent's own user may ask for jobs of GitLab"));
    }
    auto call = read(request.body);
    if (!call) return respond(http_error(400, call.error().text));
    const bool is_of_github_or_gitlab =
        call->identity.provider == "github" || call->identity.provider == "gitlab";
    const bool fits = provider == "github" || provider == "gitlab"
                          ? call->identity.provider == provider
                          : !is_of_github_or_gitlab;
    if (!fits) {
      return respond(http_error(400, "provider must be one that this agent was started for"));
    }
    call->peer = std::move(request.peer);
    handle(std::move(*call), respond);
  };
}

// What a Docker proxy asks, with a body that `read` reads.
template <typename Read, typename Handle>
HttpHandler proxy_handler(const Read& read, const Handle& handle) {
  return [=](const HttpRequest& request, const HttpResponder& respond) {
    if (request.peer.uid != ::geteuid()) {
      return respond(http_error(403, "only the agent's own user may tell of containers"));
    }
    auto call = read(request.body);
    if (!call) return respond(http_error(400, call.error().text));
    handle(std::move(*call), request.peer, respond);
  };
}

HttpRoute staging_route(const std::string& provider, AgentApi& api) {
  const auto read = [provider](const std::string& body) {
    return read_staging_request(body, provider);
  };
  const auto handle = [&api](StagingCall call, const HttpPeer&, const HttpResponder& respond) {
    api.stage_container(std::move(call), [=](const auto& result) {
      if (!result) return respond(api_error(result.error()));
      const bool is_staged = *result == StagingAnswer::kStaged;
      respond({200, is_staged ? R"({"status":"staged"})" : R"({"status":"ignored"})"});
    });
  };
  return {job_route(provider, "staging/put"), proxy_handler(read, handle)};
}

HttpRoute builds_route(const std::string& provider, AgentApi& api) {
  const auto handle = [&api](std::vector<Build> builds, const HttpPeer& peer,
                             const HttpResponder& respond) {
    api.put_builds({std::move(builds), peer}, [=](const auto& result) {
      respond(result ? HttpResponse{200, R"({"status":"ok"})"} : api_error(result.error()));
    });
  };
  return {job_route(provider, "builds/put"), proxy_handler(read_builds_request, handle)};
}

using Add = std::function<void(std::string_view what, MetadataUse metadata,
                               const std::function<void(JobCall, const HttpResponder&)>& handle)>;

Answer<NoContent> done_of(const JobIdentity& identity, const HttpResponder& respond) {
  return [=](const std::expected<NoContent, ApiError>& result) {
    respond(result ? done(identity) : api_error(result.error()));
  };
}

// What a process of a job asks for.
void add_job_routes(const Add& add, AgentApi& api) {
  add("host/start", MetadataUse::kTaken, [&api](JobCall call, const HttpResponder& respond) {
    auto answer = done_of(call.identity, respond);
    api.host_start(std::move(call), std::move(answer));
  });
  add("host/end", MetadataUse::kRefused, [&api](JobCall call, const HttpResponder& respond) {
    auto answer = done_of(call.identity, respond);
    api.host_end(std::move(call), std::move(answer));
  });
  add("job/health", MetadataUse::kRefused, [&api](JobCall call, const HttpResponder& respond) {
    const JobIdentity identity = call.identity;
    api.job_health(std::move(call), [=](const std::expected<JobHealth, ApiError>& result) {
      respond(result ? health(identity, *result) : api_error(result.error()));
    });
  });
}

HttpRoute project_route(const std::string& provider, AgentApi& api) {
  const auto start = [&api](ProjectStartCall call, const HttpResponder& respond) {
    auto answer = done_of(call.identity, respond);
    api.project_start(std::move(call), std::move(answer));
  };
  return {job_route(provider, "project/start"), job_handler(provider, read_project_request, start)};
}

HttpRoute status_route(AgentApi& api) {
  return {std::string(kStatusRoute), [&api](const HttpRequest&, const HttpResponder& respond) {
            api.status([=](const std::expected<std::string, ApiError>& result) {
              HttpResponse response;
              if (result) response.body = *result;
              respond(result ? response : api_error(result.error()));
            });
          }};
}

}  // namespace

std::string job_route(std::string_view provider, std::string_view what) {
  if (provider == "github" || provider == "gitlab") {
    return "/v1/" + std::string(provider) + "/" + std::string(what);
  }
  const bool is_of_a_job = what.starts_with("host/") || what.starts_with("job/");
  return "/v1/job/" + std::string(is_of_a_job ? what.substr(what.find('/') + 1) : what);
}

namespace {

void add_results(std::vector<HttpRoute>& routes, const std::string& provider, AgentApi& api) {
  const auto read = [](const std::string& body) {
    return read_job_request(body, MetadataUse::kRefused);
  };
  const auto add = [&](std::string_view what, ResultOf which) {
    const auto handle = [&api, which](JobCall call, const HttpResponder& respond) {
      api.job_result(std::move(call), which,
                     [=](const std::expected<std::string, ApiError>& result) {
                       respond(result ? HttpResponse{200, *result} : api_error(result.error()));
                     });
    };
    routes.push_back({job_route(provider, what), job_handler(provider, read, handle)});
  };
  add("project/result", ResultOf::kProject);
  // On GitHub and GitLab the host's findings are not for the job.
  if (provider != "github" && provider != "gitlab") add("job/result", ResultOf::kProjectOrHost);
}

}  // namespace

std::vector<HttpRoute> agent_routes(std::string_view provider, AgentApi& api) {
  const std::string name(provider);
  std::vector<HttpRoute> routes;
  const Add add = [&](std::string_view what, MetadataUse metadata, const auto& handle) {
    const auto read = [=](const std::string& body) { return read_job_request(body, metadata); };
    routes.push_back({job_route(provider, what), job_handler(name, read, handle)});
  };
  if (provider == "gitlab") {
    // Its runner asks from outside of its jobs, which are known by their containers. No process of
    // such a job could ask for more.
    add("host/start", MetadataUse::kTaken, [&api](JobCall call, const HttpResponder& respond) {
      auto answer = done_of(call.identity, respond);
      api.host_register(std::move(call), std::move(answer));
    });
  } else {
    add_job_routes(add, api);
    routes.push_back(project_route(name, api));
    add_results(routes, name, api);
  }
  routes.push_back(staging_route(name, api));
  routes.push_back(builds_route(name, api));
  routes.push_back(status_route(api));
  return routes;
}

}  // namespace cicd
