// SPDX-License-Identifier: Apache-2.0
#include "agent/process_notes.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

namespace cicd {

namespace {

// Names of programs and arguments are bytes; JSON has text. Latin-1 takes each byte for a letter.
std::string text_of(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xc0 | byte >> 6);
      out += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return out;
}

std::string bytes_of(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80 || i + 1 == text.size()) {
      out += text[i];
    } else {
      out += static_cast<char>((lead & 3) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f));
    }
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<ProcessNotes>> ProcessNotes::create(const std::string& path) {
  std::unique_ptr<ProcessNotes> notes(new ProcessNotes);
  notes->fd_ = UniqueFd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!notes->fd_) return fail_errno(errno, "open " + path);
  return notes;
}

Result<std::unique_ptr<ProcessNotes>> ProcessNotes::resume(const std::string& path) {
  std::unique_ptr<ProcessNotes> notes(new ProcessNotes);
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) notes->read(line);
  notes->fd_ =
      UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!notes->fd_) return fail_errno(errno, "open " + path);
  return notes;
}

// A line that is cut was not written whole.
void ProcessNotes::read(const std::string& line) {
  try {
    const nlohmann::json note = nlohmann::json::parse(line);
    ProcFacts facts;
    facts.parent_pid = note.at("parent_pid");
    facts.uid = note.at("uid");
    facts.exec_path = bytes_of(note.at("exec_path"));
    facts.cwd = bytes_of(note.at("cwd"));
    for (const auto& argument : note.at("argv")) facts.argv.push_back(bytes_of(argument));
    facts.argv_truncated = note.at("argv_truncated");
    facts.environment = bytes_of(note.at("environment"));
    earlier_[{note.at("pid").get<std::uint32_t>(), note.at("start").get<std::uint64_t>()}] =
        std::move(facts);
  } catch (const nlohmann::json::exception&) {
    return;
  }
}

void ProcessNotes::note(std::uint32_t pid, std::uint64_t start_time_ns, const ProcFacts& facts) {
  nlohmann::json note = {{"pid", pid},
                         {"start", start_time_ns},
                         {"parent_pid", facts.parent_pid},
                         {"uid", facts.uid},
                         {"exec_path", text_of(facts.exec_path)},
                         {"cwd", text_of(facts.cwd)},
                         {"argv", nlohmann::json::array()},
                         {"argv_truncated", facts.argv_truncated},
                         {"environment", text_of(facts.environment)}};
  for (const std::string& argument : facts.argv) note["argv"].push_back(text_of(argument));
  const std::string line = note.dump() + "\n";
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), line.data(), line.size());
}

std::optional<ProcFacts> ProcessNotes::find(std::uint32_t pid, std::uint64_t start_time_ns) const {
  const auto found = earlier_.find({pid, start_time_ns});
  if (found == earlier_.end()) return std::nullopt;
  return found->second;
}

std::optional<ProcFacts> NotingProcReader::read(std::uint32_t pid, std::uint64_t start_time_ns) {
  if (notes_ != nullptr) {
    if (auto facts = notes_->find(pid, start_time_ns)) return facts;
  }
  auto facts = proc_->read(pid, start_time_ns);
  if (facts && notes_ != nullptr) notes_->note(pid, start_time_ns, *facts);
  return facts;
}

}  // namespace cicd
