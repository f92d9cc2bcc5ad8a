// SPDX-License-Identifier: Apache-2.0
// Connection: one client of the proxy and its connection to dockerd. Requests go one after the
// other; of each the head is read, the rest passes as it comes, both ways at once. A create's
// answer and a start's request wait for the agent. After a switch of protocols, and with an answer
// that has no end of its own, both ways are a stream of bytes until they close.
//
// Threads: the loop's. Alive as long as the loop has one of its sockets.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "docker/body_framer.h"
#include "docker/build_output.h"
#include "docker/docker_request.h"
#include "docker/event_loop.h"
#include "docker/lane.h"
#include "docker/stager.h"

namespace cicd {

struct ConnectionShared {
  EventLoop& loop;
  const DockerProxyOptions& options;
  Stager& stager;
  std::size_t kept_bytes = 0;  // of bodies of create, of all connections
};

class Connection final : public EventHandler, public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionShared& shared, UniqueFd client, int peer_pid);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void begin();
  void on_event(int fd, std::uint32_t events) override;

 private:
  enum class Asking { kHead, kHold, kBody, kDiscard, kSent, kRaw };
  enum class Answering { kIdle, kHead, kBody, kCollect, kHold, kDone, kRaw };
  struct Exchange {  // one request and its answer
    DockerRequest request;
    bool is_head = false;
    bool expects_continue = false;
    bool saw_continue = false;
    bool keeps_body = false;
    BuildOutput build_output;
    std::size_t kept_bytes = 0;  // counted in ConnectionShared
    std::string body;            // of a create
    std::string answer;          // of a create
    std::size_t head_bytes = 0;
    std::size_t answer_bytes = 0;  // that were collected, with the head
    BodyFramer request_framer;
    BodyFramer answer_framer;
  };

  void connect(EventLoop::Clock::time_point end);
  void advance();
  bool step();
  bool is_over() const;
  void close();

  // connection_request.cpp
  bool step_request();
  bool read_request();
  bool begin_exchange(std::size_t head_bytes);
  void hold_until(bool goes_on, std::string_view refusal);
  void begin_build();
  void end_build();
  void forward_head();
  bool pass_request_body();
  void keep_body(std::string_view bytes);
  void refuse(std::string_view message);
  bool discard_request_body();
  void answer(unsigned status, std::string_view reason, std::string_view message);
  void fail_request(const Error& error);

  // connection_response.cpp
  bool step_response();
  bool read_response();
  bool pass_response_body();
  bool collect_answer();
  bool create_answered();
  void create_staged(bool goes_on);
  bool end_exchange();
  bool go_raw();
  bool pass_raw(Lane& lane);
  void forget_body();

  ConnectionShared& shared_;
  int peer_pid_;
  LaneEnd client_;
  LaneEnd upstream_;
  Lane requests_{client_, upstream_};
  Lane responses_{upstream_, client_};
  Asking asking_ = Asking::kHead;
  Answering answering_ = Answering::kIdle;
  Exchange exchange_;
  std::size_t searched_requests_ = 0;
  std::size_t searched_responses_ = 0;
  std::uint64_t build_ = 0;  // that the agent is told of; 0: none
  std::string upstream_problem_;
  std::string refusal_;        // what a request whose body is discarded is answered with
  bool closes_after_ = false;  // what is on its way to the client
  bool closes_when_answered_ = false;
  bool is_advancing_ = false;
  bool is_closed_ = false;
};

}  // namespace cicd
