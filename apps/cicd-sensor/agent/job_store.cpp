// SPDX-License-Identifier: Apache-2.0
#include "agent/job_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/unique_fd.h"

namespace cicd {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kFormat = 1;
constexpr const char* kFiles[] = {"job.json", "journal", "processes.jsonl", "project-request.json",
                                  "journal-ended"};

json to_json(const JournalMark& mark) {
  if (mark.kind == JournalMark::Kind::kProject) {
    return {{"kind", "project"}, {"at_bytes", mark.at_bytes}};
  }
  return {{"kind", "gap"},
          {"at_bytes", mark.at_bytes},
          {"reason", mark.gap.reason},
          {"start_ns", mark.gap.start_ns},
          {"end_ns", mark.gap.end_ns}};
}

JournalMark mark_of(const json& value) {
  JournalMark mark;
  mark.at_bytes = value.at("at_bytes");
  if (value.at("kind") == "project") {
    mark.kind = JournalMark::Kind::kProject;
  } else {
    mark.gap = {value.at("reason"), value.at("start_ns"), value.at("end_ns")};
  }
  return mark;
}

json to_json(const StoredJob& job) {
  json out = {
      {"format", kFormat},
      {"slot", job.slot},
      {"parent",
       {{"mount_point", job.parent.mount_point},
        {"path", job.parent.path},
        {"dir", job.parent.dir}}},
      {"cgroup", {{"dir", job.cgroup_dir}, {"path", job.cgroup_path}, {"id", job.cgroup_id}}},
      {"start_time_ns", job.start_time_ns},
      {"made_folder", job.made_folder},
      {"has_host", job.has_host},
      {"boot_id", job.boot_id},
      {"restarts", job.restarts},
      {"identity", json::object()},
      {"metadata", json::object()},
      {"losses_before", json::array()},
      {"marks", json::array()},
      {"problems", job.problems}};
  for (const IdentityField& field : identity_fields()) {
    out["identity"][std::string(field.name)] = job.identity.*field.member;
  }
  for (const MetadataField& field : metadata_fields()) {
    out["metadata"][std::string(field.name)] = job.metadata.*field.member;
  }
  for (const LossEntry& entry : job.losses_before) {
    out["losses_before"].push_back(
        {{"what", entry.what}, {"reason", entry.reason}, {"count", entry.count}});
  }
  for (const JournalMark& mark : job.marks) out["marks"].push_back(to_json(mark));
  return out;
}

StoredJob job_of(const json& in) {
  StoredJob job;
  job.slot = in.at("slot");
  const json& parent = in.at("parent");
  job.parent = {parent.at("mount_point"), parent.at("path"), parent.at("dir")};
  const json& cgroup = in.at("cgroup");
  job.cgroup_dir = cgroup.at("dir");
  job.cgroup_path = cgroup.at("path");
  job.cgroup_id = cgroup.at("id");
  job.start_time_ns = in.at("start_time_ns");
  job.made_folder = in.at("made_folder");
  job.has_host = in.at("has_host");
  job.boot_id = in.at("boot_id");
  job.restarts = in.at("restarts");
  for (const IdentityField& field : identity_fields()) {
    job.identity.*field.member = in.at("identity").value(std::string(field.name), "");
  }
  for (const MetadataField& field : metadata_fields()) {
    job.metadata.*field.member = in.at("metadata").value(std::string(field.name), "");
  }
  for (const json& entry : in.at("losses_before")) {
    job.losses_before.push_back({entry.at("what"), entry.at("reason"), entry.at("count")});
  }
  for (const json& mark : in.at("marks")) job.marks.push_back(mark_of(mark));
  job.problems = in.value("problems", std::vector<std::string>());  // not of agents before
  return job;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno(errno, "open " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

}  // namespace

Result<> JobStore::write_file(const std::string& path, const std::string& text) const {
  const std::string temporary = path + ".new";
  UniqueFd fd(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, "open " + temporary);
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written < 0) return fail_errno(errno, "write " + temporary);
  if (static_cast<std::size_t>(written) != text.size()) {
    return fail_errno(ENOSPC, "write " + temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(errno, "rename " + path);
  return {};
}

Result<> JobStore::write(const StoredJob& job) const {
  // Names of cgroups are bytes; one that is no text cannot be found again, and is no cgroup of
  // ours.
  return write_file(folder_ + "/job.json",
                    to_json(job).dump(-1, ' ', false, json::error_handler_t::replace));
}

Result<> JobStore::write_request(const std::string& body) const {
  return write_file(request_path(), body);
}

Result<std::string> JobStore::read_request() const { return read_file(request_path()); }

Result<StoredJob> JobStore::read() const {
  const std::string path = folder_ + "/job.json";
  CICD_ASSIGN(const std::string text, read_file(path));
  try {
    const json document = json::parse(text);
    if (document.at("format") != kFormat) {
      return fail(ErrorCode::kInvalidInput, path + " is of another version of the agent");
    }
    return job_of(document);
  } catch (const json::exception& error) {
    return fail(ErrorCode::kInvalidInput, path + ": " + error.what());
  }
}

void JobStore::note_journal_ended() const {
  const UniqueFd made(::open((folder_ + "/journal-ended").c_str(),
                             O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

bool JobStore::has_journal_ended() const {
  return ::access((folder_ + "/journal-ended").c_str(), F_OK) == 0;
}

void JobStore::remove() const {
  for (const char* file : kFiles) ::unlink((folder_ + "/" + file).c_str());
}

std::string current_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::vector<JobStore> stored_jobs(const std::string& jobs_dir) {
  std::vector<JobStore> out;
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(jobs_dir, error)) {
    if (fs::exists(folder.path() / "job.json", error)) out.emplace_back(folder.path());
  }
  return out;
}

}  // namespace cicd
