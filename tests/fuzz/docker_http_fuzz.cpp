// SPDX-License-Identifier: Apache-2.0
// Any bytes as what a docker client and dockerd say: nothing is read outside, a message ends at the
// same place in whatever pieces it comes, and what is told to an agent is of the right shape.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "docker/body_framer.h"
#include "docker/docker_request.h"
#include "docker/http_head.h"

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

struct Taken {
  bool is_error = false;
  bool is_done = false;
  std::size_t bytes = 0;
  std::string content;
};

Taken take(cicd::BodyFramer framer, std::string_view bytes, std::size_t step) {
  Taken taken;
  while (taken.bytes < bytes.size() && !framer.is_done()) {
    const std::string_view piece = bytes.substr(taken.bytes, step);
    const auto read = framer.take(piece, &taken.content);
    if (!read) {
      taken.is_error = true;
      return taken;
    }
    must(*read <= piece.size() && (*read == piece.size() || framer.is_done()));
    taken.bytes += *read;
  }
  taken.is_done = framer.is_done();
  return taken;
}

void body(cicd::Framing framing, std::uint64_t length, std::string_view bytes, std::size_t step) {
  const Taken whole = take({framing, length}, bytes, bytes.size() + 1);
  const Taken pieces = take({framing, length}, bytes, step);
  must(whole.is_error == pieces.is_error && whole.is_done == pieces.is_done);
  must(whole.content.size() <= bytes.size());
  if (whole.is_error) return;
  must(whole.bytes == pieces.bytes && whole.content == pieces.content);
  must(!whole.is_done || framing != cicd::Framing::kLength || whole.bytes == length);
}

// Finding a head takes no other way when the bytes come one by one.
std::size_t head_of(std::string_view bytes) {
  std::size_t searched = 0;
  const std::size_t head = cicd::find_head(bytes, searched);
  must(head <= bytes.size());
  searched = 0;
  for (std::size_t size = 1; size <= std::min<std::size_t>(bytes.size(), 512); ++size) {
    const std::size_t found = cicd::find_head(bytes.substr(0, size), searched);
    if (found != 0) {
      must(found == head);
      break;
    }
    must(head == 0 || size < head);
  }
  return head;
}

void request(std::string_view bytes, std::size_t step) {
  const std::size_t size = head_of(bytes);
  if (size == 0) return;
  const auto head = cicd::parse_request_head(bytes.substr(0, size));
  if (!head) return;
  must(head->framing != cicd::Framing::kToEnd);
  must(head->target.find(' ') == std::string_view::npos);
  const auto read = cicd::read_docker_request(head->method, head->target);
  must(read.act == cicd::DockerAct::kOther || head->method == "POST");
  must(read.act != cicd::DockerAct::kStart || !read.name.empty());
  body(head->framing, head->length, bytes.substr(size), step);
}

void response(std::string_view bytes, std::size_t step) {
  const std::size_t size = head_of(bytes);
  if (size == 0) return;
  const auto head = cicd::parse_response_head(bytes.substr(0, size), step % 2 == 0);
  if (head) body(head->framing, head->length, bytes.substr(size), step);
}

void documents(std::string_view bytes) {
  if (const auto id = cicd::read_container_id(bytes)) must(cicd::is_container_id(*id));
  const auto job = cicd::read_gitlab_labels(bytes);
  if (!job) return;
  must(cicd::validate(job->identity).has_value());
  const std::string body = cicd::staging_body("name", 1, "new", &*job);
  must(body.starts_with("{\"basename\":\"name\"") && body.ends_with("}"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t step = data[1] % 64 + 1u;
  switch (data[0] % 4) {
    case 0:
      request(bytes, step);
      break;
    case 1:
      response(bytes, step);
      break;
    case 2:
      body(cicd::Framing::kChunked, 0, bytes, step);
      break;
    default:
      documents(bytes);
  }
  return 0;
}
