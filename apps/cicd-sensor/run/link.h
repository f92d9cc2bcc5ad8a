// SPDX-License-Identifier: Apache-2.0
// Link: the messages between front and engine, over a pair of sequenced-packet sockets. Both are
// the same program in the same version, so messages are plain structs. Threads: one at each end.
// The other end's death is an end of file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

enum class MessageType : std::uint32_t {
  // front to engine
  kBegin = 1,    // number: cgroup id. Make the outputs and watch
  kStarted,      // number: pid of the command, descriptor: its pidfd
  kEnded,        // number: wait status of the command
  kInterrupted,  // by a signal; number 1: do not wait for what is left running either
  kAbort,        // nothing was run: remove the outputs and go
  // engine to front
  kReady,        // outputs are there, watching
  kFailed,       // text, hint: why not; number: ErrorCode
  kJournalLost,  // the disk is full: a next engine cannot go on from the journal
  kTerminating,  // a rule ends the job. text: rule set, hint: rule, number: CLOCK_REALTIME
  kProblem,      // text: of the monitoring; the next engine is to report it too
  kDone,         // number: 1 when --fail-on struck. Outputs are written
};

struct Message {
  MessageType type{};
  std::int64_t number = 0;
  std::string text;
  std::string hint;
  UniqueFd descriptor;
};

class Link {
 public:
  static Result<std::pair<Link, Link>> make_pair();

  int fd() const { return fd_.get(); }
  // False: the other end is gone.
  bool send(const Message& message) const;
  // The next message, waiting at most `wait_ms` (-1: for ever). nullopt: none came in time, or the
  // other end is gone; is_closed() tells.
  std::optional<Message> receive(int wait_ms);
  bool is_closed() const { return is_closed_; }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  bool is_closed_ = false;
};

}  // namespace cicd
