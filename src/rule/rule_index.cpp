// SPDX-License-Identifier: Apache-2.0
#include "rule/rule_index.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace cicd {

namespace {

using Kind = GuardAtom::Kind;
using Pairs = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

// Sets that are asked of one text, numbered from 0.
class Numbering {
 public:
  std::uint32_t number(std::uint32_t set) {
    return numbers_.try_emplace(set, static_cast<std::uint32_t>(numbers_.size())).first->second;
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(numbers_.size()); }
  TextMatcher matcher(const Code& code) const {
    std::vector<TextMatcher::Pattern> patterns;
    for (const auto& [set, number] : numbers_) {
      for (const TextPattern& pattern : code.sets[set]) {
        patterns.push_back({pattern.kind, code.literals[pattern.literal], number});
      }
    }
    return TextMatcher(std::move(patterns));
  }

 private:
  std::map<std::uint32_t, std::uint32_t> numbers_;
};

struct TextsOfField {
  Numbering sets;
  Pairs pairs;
};

struct RangesOfField {
  Numbering prefixes;
  std::vector<IpPrefix> ranges;
  Pairs pairs;
};

// What is gathered for one type before it is put into its final form.
struct Draft {
  std::map<std::uint8_t, TextsOfField> texts;
  std::map<std::uint8_t, RangesOfField> ranges;
  std::array<Pairs, kImageTexts> of_process;
  std::array<Pairs, kImageTexts> of_above;
};

void add_atom(const Code& code, const GuardAtom& atom, std::uint32_t entry,
              std::array<Numbering, kImageTexts>& image_sets, Draft& draft,
              RuleIndex::OfType& out) {
  switch (atom.kind) {
    case Kind::kFieldText: {
      TextsOfField& texts = draft.texts[atom.field];
      texts.pairs.emplace_back(texts.sets.number(atom.index), entry);
      return;
    }
    case Kind::kFieldNumber:
      out.numbers.push_back({atom.field, atom.number, entry});
      return;
    case Kind::kFieldRange: {
      RangesOfField& ranges = draft.ranges[atom.field];
      const std::uint32_t number = ranges.prefixes.number(atom.index);
      if (number == ranges.ranges.size()) ranges.ranges.push_back(code.prefixes[atom.index]);
      ranges.pairs.emplace_back(number, entry);
      return;
    }
    case Kind::kExecPath:
      draft.of_process[kExecPathTexts].emplace_back(image_sets[kExecPathTexts].number(atom.index),
                                                    entry);
      return;
    case Kind::kArgument:
      draft.of_process[kArgumentTexts].emplace_back(image_sets[kArgumentTexts].number(atom.index),
                                                    entry);
      return;
    case Kind::kExecPathAbove:
      draft.of_above[kExecPathTexts].emplace_back(image_sets[kExecPathTexts].number(atom.index),
                                                  entry);
      return;
    case Kind::kArgumentAbove:
      draft.of_above[kArgumentTexts].emplace_back(image_sets[kArgumentTexts].number(atom.index),
                                                  entry);
      return;
  }
}

}  // namespace

Postings::Postings(Pairs pairs, std::uint32_t count) {
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  first_.assign(count + 1, 0);
  for (const auto& [number, entry] : pairs) {
    ++first_[number + 1];
    entries_.push_back(entry);
  }
  for (std::uint32_t i = 0; i < count; ++i) first_[i + 1] += first_[i];
}

RuleIndex::RuleIndex(const Code& code,
                     const std::array<std::vector<std::uint32_t>, kEventTypeCount>& roots) {
  std::array<Draft, kEventTypeCount> drafts;
  std::array<Numbering, kImageTexts> image_sets;
  for (std::size_t type = 0; type < kEventTypeCount; ++type) {
    OfType& out = types_[type];
    for (std::uint32_t entry = 0; entry < roots[type].size(); ++entry) {
      const auto guard = guard_of(code, roots[type][entry]);
      if (!guard) {
        out.always.push_back(entry);
        continue;
      }
      for (const GuardAtom& atom : guard->atoms) {
        add_atom(code, atom, entry, image_sets, drafts[type], out);
      }
    }
    for (auto& [field, texts] : drafts[type].texts) {
      out.texts.push_back(
          {field, texts.sets.matcher(code), Postings(std::move(texts.pairs), texts.sets.size())});
    }
    for (auto& [field, ranges] : drafts[type].ranges) {
      out.ranges.push_back({field, IpIndex(ranges.ranges),
                            Postings(std::move(ranges.pairs), ranges.prefixes.size())});
    }
    std::sort(out.numbers.begin(), out.numbers.end(),
              [](const FieldNumber& a, const FieldNumber& b) {
                return std::tie(a.field, a.number, a.entry) < std::tie(b.field, b.number, b.entry);
              });
  }
  for (std::size_t kind = 0; kind < kImageTexts; ++kind) {
    if (image_sets[kind].size() == 0) continue;
    image_texts_[kind] = image_sets[kind].matcher(code);
    for (std::size_t type = 0; type < kEventTypeCount; ++type) {
      for (auto [pairs, postings] :
           {std::pair(&drafts[type].of_process[kind], &types_[type].of_process[kind]),
            std::pair(&drafts[type].of_above[kind], &types_[type].of_above[kind])}) {
        if (!pairs->empty()) *postings = Postings(std::move(*pairs), image_sets[kind].size());
      }
    }
  }
}

Candidates::Candidates(const RuleIndex& index, std::size_t most_entries, ProcessCache& cache)
    : index_(index), cache_(cache), stamps_(most_entries, 0) {
  found_.reserve(most_entries);
}

std::span<const std::uint32_t> Candidates::find(const EventRecord& record, ProcessView& process,
                                                EventText& text) {
  found_.clear();
  if (++stamp_ == 0) std::fill(stamps_.begin(), stamps_.end(), stamp_++);
  const RuleIndex::OfType& type = index_.of(record.type);
  add(type.always);
  for (const RuleIndex::FieldTexts& texts : type.texts) {
    texts.matcher.visit(text.text(texts.field), seen_, [&](std::uint32_t number) {
      add(texts.entries.at(number));
      return false;
    });
  }
  for (const RuleIndex::FieldRanges& ranges : type.ranges) {
    if (const auto ip = text.address(ranges.field)) {
      ranges.ranges.visit(*ip, [&](std::uint32_t number) { add(ranges.entries.at(number)); });
    }
  }
  for (std::size_t i = 0; i < type.numbers.size();) {
    // One search for each field that has numbers.
    const std::uint8_t field = type.numbers[i].field;
    const std::int64_t number = record.number(field);
    auto at = std::lower_bound(type.numbers.begin() + static_cast<std::ptrdiff_t>(i),
                               type.numbers.end(), std::pair(field, number),
                               [](const RuleIndex::FieldNumber& a, const auto& b) {
                                 return std::pair(a.field, a.number) < b;
                               });
    for (; at != type.numbers.end() && at->field == field && at->number == number; ++at) {
      add({&at->entry, 1});
    }
    while (at != type.numbers.end() && at->field == field) ++at;
    i = static_cast<std::size_t>(at - type.numbers.begin());
  }
  for (std::size_t kind = 0; kind < kImageTexts; ++kind) {
    if (!type.of_process[kind].empty()) {
      add_known(type.of_process[kind], of_image(*process.image, kind));
    }
    if (!type.of_above[kind].empty() && process.above != nullptr) {
      add_known(type.of_above[kind], of_above(process.above, kind));
    }
  }
  return found_;
}

void Candidates::add(std::span<const std::uint32_t> entries) {
  for (const std::uint32_t entry : entries) {
    if (stamps_[entry] == stamp_) continue;
    stamps_[entry] = stamp_;
    found_.push_back(entry);
  }
}

void Candidates::add_known(const Postings& postings, const KnownTexts& known) {
  if (known.is_too_many) {
    add(postings.all());
    return;
  }
  for (const std::uint32_t number : cache_.numbers(known)) add(postings.at(number));
}

const KnownTexts& Candidates::of_image(ImageView& image, std::size_t kind) {
  KnownTexts& known = image.texts[kind];
  if (known.is_known) return known;
  cache_.begin(known);
  const auto find = [&](std::string_view text) {
    index_.image_texts()[kind]->visit(text, seen_, [&](std::uint32_t number) {
      cache_.add(known, number);
      return known.is_too_many;
    });
  };
  if (kind == kExecPathTexts) {
    find(image.exec_path);
  } else {
    for (const std::string_view argument : cache_.argv(image)) {
      if (!known.is_too_many) find(argument);
    }
  }
  return known;
}

// What holds of a process or of one above it: of its image, or what holds above it. Found once for
// each parent, so the next child of it has it at hand.
const KnownTexts& Candidates::of_above(ProcessView* above, std::size_t kind) {
  std::size_t count = 0;
  ProcessView* at = above;
  for (; at != nullptr && !at->texts[kind].is_known && count < way_.size(); at = at->above) {
    way_[count++] = at;
  }
  while (count > 0) {
    ProcessView& view = *way_[--count];
    const KnownTexts& of_its_image = of_image(*view.image, kind);
    KnownTexts& known = view.texts[kind];
    cache_.begin(known);
    if (view.above != nullptr) cache_.add(known, view.above->texts[kind]);
    cache_.add(known, of_its_image);
  }
  return above->texts[kind];
}

}  // namespace cicd
