// SPDX-License-Identifier: Apache-2.0
// RuleIndex: which entries of a Plan can fire for an event, by their guards. All guards that ask of
// one text are asked in one pass over it; what holds of a program image is found out once.
//
// A RuleIndex is immutable once built; any thread. Candidates belong to one evaluator.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "rule/event_text.h"
#include "rule/guard.h"
#include "rule/ip_index.h"
#include "rule/process_cache.h"
#include "rule/text_matcher.h"

namespace cicd {

// Lists of entries by number.
class Postings {
 public:
  Postings() = default;
  // (number, entry), numbers below `count`.
  Postings(std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs, std::uint32_t count);

  std::span<const std::uint32_t> at(std::uint32_t number) const {
    return std::span(entries_).subspan(first_[number], first_[number + 1] - first_[number]);
  }
  std::span<const std::uint32_t> all() const { return entries_; }
  bool empty() const { return entries_.empty(); }

 private:
  std::vector<std::uint32_t> first_;
  std::vector<std::uint32_t> entries_;
};

class RuleIndex {
 public:
  struct FieldTexts {
    std::uint8_t field = 0;
    TextMatcher matcher;  // values: numbers of `entries`
    Postings entries;
  };
  struct FieldRanges {
    std::uint8_t field = 0;
    IpIndex ranges;
    Postings entries;
  };
  struct FieldNumber {
    std::uint8_t field = 0;
    std::int64_t number = 0;
    std::uint32_t entry = 0;
  };
  struct OfType {
    std::vector<std::uint32_t> always;  // entries without a guard
    std::vector<FieldTexts> texts;
    std::vector<FieldRanges> ranges;
    std::vector<FieldNumber> numbers;  // sorted by field and number
    // By what holds of the process, then of those above it; numbers are those of `image_texts`.
    std::array<Postings, kImageTexts> of_process;
    std::array<Postings, kImageTexts> of_above;
  };

  RuleIndex() = default;
  // `roots`: by event type, the instruction of each entry.
  RuleIndex(const Code& code, const std::array<std::vector<std::uint32_t>, kEventTypeCount>& roots);

  const OfType& of(EventType type) const { return types_[static_cast<std::size_t>(type)]; }
  const std::array<std::optional<TextMatcher>, kImageTexts>& image_texts() const {
    return image_texts_;
  }

 private:
  std::array<OfType, kEventTypeCount> types_;
  std::array<std::optional<TextMatcher>, kImageTexts> image_texts_;
};

// The entries to evaluate for an event.
class Candidates {
 public:
  Candidates(const RuleIndex& index, std::size_t most_entries, ProcessCache& cache);

  // In no order, each once; valid until the next call.
  std::span<const std::uint32_t> find(const EventRecord& record, ProcessView& process,
                                      EventText& text);

 private:
  void add(std::span<const std::uint32_t> entries);
  void add_known(const Postings& postings, const KnownTexts& known);
  const KnownTexts& of_image(ImageView& image, std::size_t kind);
  const KnownTexts& of_above(ProcessView* above, std::size_t kind);

  const RuleIndex& index_;
  ProcessCache& cache_;
  TextMatcher::Seen seen_;
  std::vector<std::uint32_t> found_;
  std::vector<std::uint32_t> stamps_;  // by entry: the event it was found for last
  std::uint32_t stamp_ = 0;
  std::array<ProcessView*, kMaxAncestorDepth> way_{};
};

}  // namespace cicd
