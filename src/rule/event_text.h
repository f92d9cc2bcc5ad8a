// SPDX-License-Identifier: Apache-2.0
// EventText: the text of an event's fields as rules see it, made when first asked for and once.
// Threads: one. Views hold until the next begin(). Allocates nothing in the steady state.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "event/event_record.h"
#include "rule/ip_prefix.h"
#include "rule/normalize.h"

namespace cicd {

class EventText {
 public:
  void begin(const EventRecord& record) {
    record_ = &record;
    known_texts_ = 0;
    known_addresses_ = 0;
  }
  std::string_view text(std::uint8_t field) {
    const std::uint32_t bit = 1u << field;
    if ((known_texts_ & bit) == 0) {
      texts_[field] = normalizer_.view(record_->text(field), buffers_[field]);
      known_texts_ |= bit;
    }
    return texts_[field];
  }
  std::optional<IpBytes> address(std::uint8_t field) {
    const std::uint32_t bit = 1u << field;
    if ((known_addresses_ & bit) == 0) {
      addresses_[field] = parse_ip(text(field));
      known_addresses_ |= bit;
    }
    return addresses_[field];
  }

 private:
  const EventRecord* record_ = nullptr;
  Normalizer normalizer_;
  std::uint32_t known_texts_ = 0;      // bits
  std::uint32_t known_addresses_ = 0;  // bits
  std::array<std::string_view, kMaxEventFields> texts_;
  std::array<std::string, kMaxEventFields> buffers_;
  std::array<std::optional<IpBytes>, kMaxEventFields> addresses_;
};

}  // namespace cicd
