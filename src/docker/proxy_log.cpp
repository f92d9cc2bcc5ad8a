// SPDX-License-Identifier: Apache-2.0
#include "docker/proxy_log.h"

#include <unistd.h>

#include "base/json_writer.h"
#include "base/time_format.h"

namespace cicd {

void ProxyLog::write(std::string_view level, std::string_view what,
                     std::initializer_list<Field> fields) {
  line_.clear();
  const std::uint64_t now_ns = realtime_now_ns();
  JsonWriter json(line_);
  json.begin_object();
  json.time_member("time", now_ns);
  json.member("level", level);
  json.member("msg", what);
  json.member("component", "docker_proxy");
  for (const auto& [name, value] : fields) json.member(name, value);
  json.member("log_id", ids_.next(now_ns).view());
  json.end_object();
  line_.push_back('\n');
  // A log that cannot be written must not stop anybody's container.
  [[maybe_unused]] const ssize_t written = ::write(fd_, line_.data(), line_.size());
}

}  // namespace cicd
