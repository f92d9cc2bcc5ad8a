// SPDX-License-Identifier: Apache-2.0
// Events for unit tests of rules: processes given as command lines, and records that own their
// text. Tests only; one thread.
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event/event_record.h"

namespace cicd::test {

// A process as tests write it: path of the program, then its arguments (argv[0] too).
struct Program {
  std::string exec_path;
  std::vector<std::string> argv;
};

// The first is the process of the event, then its parent, and so on.
inline ProcessRef chain(const std::vector<Program>& programs) {
  ProcessRef above;
  for (std::size_t i = programs.size(); i-- > 0;) {
    auto image = std::make_shared<ExecImage>();
    image->exec_path = programs[i].exec_path;
    image->argv = programs[i].argv;
    auto process = std::make_shared<Process>();
    process->pid = static_cast<std::uint32_t>(1000 - i);
    process->image = std::move(image);
    process->depth = above == nullptr ? 0 : above->depth + 1;
    process->parent = std::move(above);
    above = std::move(process);
  }
  return above;
}

// A record and the memory of its text.
class Event {
 public:
  Event(EventType type, ProcessRef process) {
    record_.type = type;
    record_.process = std::move(process);
  }
  Event& text(std::uint8_t field, std::string value) {
    record_.fields[field] = texts_->emplace_back(std::move(value));
    return *this;
  }
  Event& number(std::uint8_t field, std::int64_t value) {
    record_.fields[field] = value;
    return *this;
  }
  Event& step(StepRef value) {
    record_.step = std::move(value);
    return *this;
  }
  const EventRecord& record() const { return record_; }

 private:
  EventRecord record_;
  // Never moves what it holds, and is shared by copies of the event.
  std::shared_ptr<std::deque<std::string>> texts_ = std::make_shared<std::deque<std::string>>();
};

inline Event exec(const std::vector<Program>& programs, bool is_memfd = false) {
  Event event(EventType::kProcessExec, chain(programs));
  event.number(field::process_exec::kIsMemfd, is_memfd);
  return event;
}

inline Event open(const std::string& path, const std::vector<Program>& programs,
                  bool is_write = false) {
  Event event(EventType::kFileOpen, chain(programs));
  event.text(field::file_open::kPath, path);
  event.number(field::file_open::kIsRead, !is_write);
  event.number(field::file_open::kIsWrite, is_write);
  return event;
}

inline Event connect(const std::string& ip, std::int64_t port,
                     const std::vector<Program>& programs) {
  Event event(EventType::kNetworkConnect, chain(programs));
  event.text(field::network_connect::kRemoteIp, ip);
  event.number(field::network_connect::kRemotePort, port);
  event.text(field::network_connect::kProtocol, "tcp");
  event.text(field::network_connect::kFamily, ip.find(':') == std::string::npos ? "ipv4" : "ipv6");
  return event;
}

}  // namespace cicd::test
