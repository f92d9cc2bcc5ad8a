// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_request.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_writer.h"

namespace cicd {

namespace {

using nlohmann::json;

constexpr std::size_t kIdDigits = 64;
constexpr std::string_view kLabelPrefix = "com.gitlab.gitlab-runner.job.";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string unescape(std::string_view text, bool is_query) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                           hex_digit(text[i + 2]) >= 0;
    if (is_escape) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(is_query && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

// The path of "/path?query" or "http://host/path?query".
std::string_view path_of(std::string_view target, std::string_view& query) {
  if (const std::size_t mark = target.find('?'); mark != std::string_view::npos) {
    query = target.substr(mark + 1);
    target = target.substr(0, mark);
  }
  if (target.starts_with('/')) return target;
  const std::size_t host = target.find("://");
  if (host == std::string_view::npos) return {};
  const std::size_t path = target.find('/', host + 3);
  return path == std::string_view::npos ? std::string_view{} : target.substr(path);
}

// "/v1.43/x" becomes "/x".
std::string_view without_version(std::string_view path) {
  if (!path.starts_with("/v")) return path;
  const std::size_t end = path.find_first_not_of("0123456789.", 2);
  return end != std::string_view::npos && end > 2 && path[end] == '/' ? path.substr(end) : path;
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || unescape(pair.substr(0, equals), true) != name)
      continue;
    return unescape(pair.substr(equals + 1), true);
  }
  return {};
}

// A member by its name as Go reads it: letters of any case; of two the last one.
const json* find_member(const json& object, std::string_view name) {
  const json* found = nullptr;
  if (!object.is_object()) return nullptr;
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::equal(key, name, {}, lower, lower)) found = &value;
  }
  return found;
}

std::string string_member(const json* object, const std::string& name) {
  if (object == nullptr || !object->is_object()) return {};
  const auto found = object->find(name);
  if (found == object->end() || !found->is_string()) return {};
  return found->get_ref<const std::string&>();
}

// Host and project of "https://HOST[:PORT]/GROUP/PROJECT/-/jobs/1".
bool take_job_url(std::string_view url, JobIdentity& identity) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  url.remove_prefix(scheme + 3);
  const std::size_t path = url.find('/');
  const std::size_t jobs = url.find("/-/jobs/");
  if (path == std::string_view::npos || jobs == std::string_view::npos || jobs <= path)
    return false;
  std::string_view host = url.substr(0, path);
  if (const std::size_t at = host.rfind('@'); at != std::string_view::npos) {
    host.remove_prefix(at + 1);
  }
  host = host.substr(0, host.rfind(':'));
  identity.provider_host.assign(host);
  std::ranges::transform(identity.provider_host, identity.provider_host.begin(), lower);
  identity.project_path.assign(url.substr(path + 1, jobs - path - 1));
  return true;
}

}  // namespace

DockerRequest read_docker_request(std::string_view method, std::string_view target) {
  DockerRequest request;
  if (method != "POST") return request;
  std::string_view query;
  const std::string decoded = unescape(path_of(target, query), false);
  std::string_view path = without_version(decoded);
  if (path == "/build") {
    const std::string version = query_value(query, "version");
    const bool is_classic = version.empty() || version == "1";
    request.act = is_classic ? DockerAct::kBuild : DockerAct::kBuildKit;
    const std::string quiet = query_value(query, "q");
    request.is_quiet = !quiet.empty() && quiet != "0" && quiet != "false";
    return request;
  }
  if (path == "/grpc") {
    request.act = DockerAct::kBuildKit;
    return request;
  }
  constexpr std::string_view kContainers = "/containers/";
  if (!path.starts_with(kContainers)) return request;
  path.remove_prefix(kContainers.size());
  if (path == "create") {
    request.act = DockerAct::kCreate;
    request.name = query_value(query, "name");
    return request;
  }
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return request;
  const std::string_view verb = path.substr(slash + 1);
  if (verb == "start" || verb == "restart") request.act = DockerAct::kStart;
  if (verb == "rename") request.act = DockerAct::kRename;
  if (request.act != DockerAct::kOther) request.name = path.substr(0, slash);
  return request;
}

bool is_container_id(std::string_view id) {
  return id.size() == kIdDigits && std::ranges::all_of(id, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<std::string> read_container_id(std::string_view answer) {
  const json document = json::parse(answer, nullptr, false);
  const json* id = find_member(document, "Id");
  if (id == nullptr || !id->is_string()) return std::nullopt;
  const std::string& text = id->get_ref<const std::string&>();
  if (!is_container_id(text)) return std::nullopt;
  return text;
}

std::optional<std::string> read_unstarted_id(std::string_view answer, std::string_view head) {
  const json document = json::parse(answer, nullptr, false);
  if (!document.is_array() || document.size() != 1) return std::nullopt;
  const std::string id = string_member(&document.front(), "Id");
  const bool is_it = is_container_id(id) && id.starts_with(head) &&
                     string_member(&document.front(), "State") == "created";
  return is_it ? std::optional(id) : std::nullopt;
}

std::array<std::string, 2> cgroup_basenames(const std::string& id) {
  return {"docker-" + id + ".scope", id};
}

Result<JobDescription> read_gitlab_labels(std::string_view body) {
  const json document = json::parse(body, nullptr, false);
  if (!document.is_object()) return fail(ErrorCode::kInvalidInput, "the body is no JSON object");
  const json* labels = find_member(document, "Labels");
  // What inspect says has them in Config.
  if (labels == nullptr) {
    const json* config = find_member(document, "Config");
    if (config != nullptr) labels = find_member(*config, "Labels");
  }
  const auto label = [&](std::string_view name) {
    return string_member(labels, std::string(kLabelPrefix) + std::string(name));
  };
  JobDescription job;
  job.identity.provider = "gitlab";
  job.identity.gitlab_job_id = label("id");
  const std::string url = label("url");
  if (job.identity.gitlab_job_id.empty() && url.empty()) {
    return fail(ErrorCode::kNotFound, "no labels of GitLab Runner");
  }
  if (!take_job_url(url, job.identity)) {
    return fail(ErrorCode::kInvalidInput,
                "the label " + std::string(kLabelPrefix) + "url is not the page of a job");
  }
  CICD_TRY(validate(job.identity));
  job.metadata.commit_sha = label("sha");
  job.metadata.ref_name = label("ref");
  return job;
}

std::string staging_body(std::string_view basename, int peer_pid, std::string_view container,
                         const JobDescription* job) {
  std::string body;
  JsonWriter writer(body);
  writer.begin_object();
  writer.member("basename", basename);
  if (peer_pid > 0) writer.member_number("peer_pid", peer_pid);
  writer.member_if("container", container);
  if (job != nullptr) {
    writer.key("job_identity");
    writer.begin_object();
    for (const IdentityField& field : identity_fields()) {
      writer.member_if(field.name, job->identity.*field.member);
    }
    writer.end_object();
    writer.key("metadata");
    writer.begin_object();
    for (const MetadataField& field : metadata_fields()) {
      writer.member_if(field.name, job->metadata.*field.member);
    }
    writer.end_object();
  }
  writer.end_object();
  return body;
}

}  // namespace cicd
