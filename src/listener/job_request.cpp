// SPDX-License-Identifier: Apache-2.0
#include "listener/job_request.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/json_writer.h"

namespace cicd {

namespace {

using nlohmann::json;

// Takes the body apart while it is read: nothing is built of what is refused.
class BodyReader final : public json::json_sax_t {
 public:
  BodyReader(JobCall& call, MetadataUse metadata) : call_(call), metadata_(metadata) {}

  const std::string& problem() const { return problem_; }

  bool start_object(std::size_t) override {
    if (depth_ == 0) {
      depth_ = 1;
      return true;
    }
    if (depth_ == 1 && member_ == "metadata" && metadata_ == MetadataUse::kTaken) {
      depth_ = 2;
      return true;
    }
    return wrong_type();
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool key(string_t& name) override {
    member_ = name;
    if (!(depth_ == 1 ? seen_ : seen_in_metadata_).insert(name).second) {
      return refuse("the member " + quoted(name) + " is there twice");
    }
    target_ = depth_ == 1 ? identity_member(name) : metadata_member(name);
    const bool is_metadata = depth_ == 1 && name == "metadata" && metadata_ == MetadataUse::kTaken;
    return target_ != nullptr || is_metadata || refuse("unknown member " + quoted(name));
  }
  bool string(string_t& text) override {
    if (depth_ == 0 || target_ == nullptr) return wrong_type();
    if (depth_ == 2 && text.size() > kMostMetadataBytes) {
      return refuse(quoted(member_) + " has more than " + std::to_string(kMostMetadataBytes) +
                    " bytes");
    }
    *target_ = std::move(text);
    return true;
  }
  bool null() override { return wrong_type(); }
  bool boolean(bool) override { return wrong_type(); }
  bool number_integer(number_integer_t) override { return wrong_type(); }
  bool number_unsigned(number_unsigned_t) override { return wrong_type(); }
  bool number_float(number_float_t, const string_t&) override { return wrong_type(); }
  bool binary(binary_t&) override { return wrong_type(); }
  bool start_array(std::size_t) override { return wrong_type(); }
  bool end_array() override { return wrong_type(); }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    return refuse("the body is not one JSON object (at byte " + std::to_string(position) + ")");
  }

 private:
  static std::string quoted(std::string_view name) {
    std::string out;
    JsonWriter(out).string(name.substr(0, 64));
    return out;
  }
  bool refuse(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
    return false;
  }
  bool wrong_type() {
    if (depth_ == 0) return refuse("the body must be one JSON object");
    return refuse(quoted(member_) + " must be " +
                  (depth_ == 1 && member_ == "metadata" ? "an object" : "a string"));
  }
  std::string* identity_member(std::string_view name) {
    for (const IdentityField& field : identity_fields()) {
      if (field.name == name) return &(call_.identity.*field.member);
    }
    return nullptr;
  }
  std::string* metadata_member(std::string_view name) {
    for (const MetadataField& field : metadata_fields()) {
      if (field.name == name) return &(call_.metadata.*field.member);
    }
    return nullptr;
  }

  JobCall& call_;
  MetadataUse metadata_;
  int depth_ = 0;
  std::string member_;
  std::string* target_ = nullptr;  // where the member's text goes; null: no text
  std::set<std::string> seen_, seen_in_metadata_;
  std::string problem_;
};

}  // namespace

Result<JobCall> read_job_request(std::string_view body, MetadataUse metadata) {
  JobCall call;
  BodyReader reader(call, metadata);
  if (!json::sax_parse(body.begin(), body.end(), &reader)) {
    return fail(ErrorCode::kInvalidInput, reader.problem());
  }
  CICD_TRY(validate(call.identity));
  return call;
}

namespace {

// A small body as a document, in which no name occurs twice. What lies deeper than a document of
// ours is left out while it is read: whoever walks a document does so with its own stack.
Result<json> read_small_body(std::string_view body, std::size_t most_bytes) {
  constexpr int kDeepest = 2;
  if (body.size() > most_bytes) {
    return fail(ErrorCode::kInvalidInput,
                "the body has more than " + std::to_string(most_bytes) + " bytes");
  }
  std::set<std::string> seen;
  bool is_repeated = false;
  bool is_too_deep = false;
  json document = json::parse(
      body.begin(), body.end(),
      [&](int depth, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::key) {
          is_repeated = is_repeated || !seen.insert(value.get<std::string>()).second;
        }
        is_too_deep = is_too_deep || depth > kDeepest;
        return !is_too_deep;
      },
      false);
  if (is_too_deep) return fail(ErrorCode::kInvalidInput, "the body is too deep");
  if (!document.is_object()) {
    return fail(ErrorCode::kInvalidInput, "the body must be one JSON object");
  }
  if (is_repeated) return fail(ErrorCode::kInvalidInput, "a member is there twice");
  return document;
}

std::string text_of(const json& value) {
  return value.dump(-1, ' ', true, json::error_handler_t::replace);
}

// As on the routes of jobs, where the metadata lies inside.
Result<JobDescription> read_named_job(json identity, const json* metadata) {
  if (!identity.is_object()) {
    return fail(ErrorCode::kInvalidInput, "job_identity must be an object");
  }
  if (identity.contains("metadata")) {
    return fail(ErrorCode::kInvalidInput, "unknown member \"metadata\" of job_identity");
  }
  if (metadata != nullptr) identity["metadata"] = *metadata;
  CICD_ASSIGN(JobCall call, read_job_request(text_of(identity), MetadataUse::kTaken));
  return JobDescription{std::move(call.identity), std::move(call.metadata)};
}

}  // namespace

Result<StagingCall> read_staging_request(std::string_view body, std::string_view provider) {
  // Some 150 bytes; metadata may be longer.
  constexpr std::size_t kMostBytes = 4096;
  constexpr std::size_t kMostBytesWithJob = std::size_t{64} << 10;
  const bool may_name_job = provider == "gitlab";
  CICD_ASSIGN(const json document,
              read_small_body(body, may_name_job ? kMostBytesWithJob : kMostBytes));
  StagingCall call;
  const json* identity = nullptr;
  const json* metadata = nullptr;
  for (const auto& [name, value] : document.items()) {
    if (name == "basename" && value.is_string()) {
      call.basename = value.get<std::string>();
    } else if (name == "peer_pid" && value.is_number_unsigned() &&
               value.get<std::uint64_t>() <= INT32_MAX) {
      call.client_pid = value.get<pid_t>();
    } else if (name == "container" && (value == "new" || value == "missed")) {
      call.container = value == "new" ? StagedContainer::kNew : StagedContainer::kMissed;
    } else if (name == "container") {
      return fail(ErrorCode::kInvalidInput, "container must be \"new\" or \"missed\"");
    } else if (name == "basename" || name == "peer_pid") {
      return fail(ErrorCode::kInvalidInput, name + " has the wrong type");
    } else if (may_name_job && name == "job_identity") {
      identity = &value;
    } else if (may_name_job && name == "metadata") {
      metadata = &value;
    } else {
      return fail(ErrorCode::kInvalidInput, "unknown member " + text_of(name.substr(0, 64)));
    }
  }
  if (call.basename.empty()) return fail(ErrorCode::kInvalidInput, "basename is required");
  if (identity == nullptr && metadata != nullptr) {
    return fail(ErrorCode::kInvalidInput, "metadata needs a job_identity");
  }
  if (identity != nullptr) {
    CICD_ASSIGN(call.job, read_named_job(*identity, metadata));
    if (call.job->identity.provider != provider) {
      return fail(ErrorCode::kInvalidInput, "provider must be one that this agent was started for");
    }
  }
  return call;
}

Result<std::vector<Build>> read_builds_request(std::string_view body) {
  constexpr std::size_t kMostBytes = std::size_t{256} << 10;
  constexpr std::size_t kMostIdBytes = 64;
  const auto bad = [](const char* why) { return fail(ErrorCode::kInvalidInput, why); };
  if (body.size() > kMostBytes) return bad("the body has more than 262144 bytes");
  bool is_too_deep = false;
  const json document = json::parse(
      body.begin(), body.end(),
      [&](int depth, json::parse_event_t, json&) {
        is_too_deep = is_too_deep || depth > 3;
        return !is_too_deep;
      },
      false);
  if (is_too_deep) return bad("the body is too deep");
  const auto list = document.is_object() ? document.find("builds") : document.end();
  if (!document.is_object() || document.size() != 1 || list == document.end() ||
      !list->is_array()) {
    return bad("the body must be an object with a list, builds");
  }
  std::vector<Build> builds;
  for (const json& item : *list) {
    const bool has_both = item.is_object() && item.size() == 2 && item.contains("id") &&
                          item.contains("peer_pid") && item["id"].is_string() &&
                          item["peer_pid"].is_number_unsigned();
    if (!has_both || item["peer_pid"].get<std::uint64_t>() > INT32_MAX) {
      return bad("a build has a text, id, and a number, peer_pid");
    }
    Build build{item["id"].get<std::string>(), item["peer_pid"].get<pid_t>()};
    if (build.id.empty() || build.id.size() > kMostIdBytes) return bad("an id has 1 to 64 bytes");
    builds.push_back(std::move(build));
  }
  return builds;
}

std::string write_job_request(const JobIdentity& identity, const JobMetadata* metadata) {
  std::string out;
  JsonWriter writer(out);
  writer.begin_object();
  for (const IdentityField& field : identity_fields()) {
    writer.member_if(field.name, identity.*field.member);
  }
  if (metadata != nullptr) {
    writer.key("metadata");
    writer.begin_object();
    for (const MetadataField& field : metadata_fields()) {
      writer.member_if(field.name, metadata->*field.member);
    }
    writer.end_object();
  }
  writer.end_object();
  return out;
}

}  // namespace cicd
