// SPDX-License-Identifier: Apache-2.0
// ProcessCache: what rules see of processes, in normal form, made once per picture of a process
// and once per program image. A picture's view leads to its parent's, so a new process below a
// known one costs two look-ups however deep it stands.
//
// Threads: one. Lifetime: a cached view keeps its Process, and so its image and all above it,
// alive: a pointer is never used again for another one while it is cached. That is at most
// kMaxViews of each, and about kMaxBytes of text. When that is reached everything is let go at once
// (`make_room`), and the memory of the views is used again: no allocation in the steady state.
// A chain is as long as the tracker makes it: at most kMaxAncestorDepth parents.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "event/process.h"
#include "rule/normalize.h"

namespace cicd {

// Two texts of an image that guards ask of (rule_index.h): numbers of the sets that fit.
enum : std::size_t { kExecPathTexts, kArgumentTexts, kImageTexts };

// A list of numbers in the cache's store (`numbers`).
struct KnownTexts {
  // More are not kept: whoever asks must look at everything then.
  static constexpr std::uint32_t kMost = 128;

  bool is_known = false;
  bool is_too_many = false;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct ImageView {
  const void* key = nullptr;
  std::uint64_t serial = 0;  // never used again
  std::string_view exec_path;
  std::string_view cwd;
  std::uint32_t first_argument = 0;  // in the cache's store
  std::uint32_t argument_count = 0;
  std::array<KnownTexts, kImageTexts> texts;
};

struct ProcessView {
  const void* key = nullptr;
  std::uint64_t serial = 0;
  std::uint32_t uid = 0;
  ProcessRef owner;  // null for one that is only known as an ancestor: the child's holds it
  ImageView* image = nullptr;
  ProcessView* above = nullptr;               // of the parent; null at the top
  std::array<KnownTexts, kImageTexts> texts;  // of it or of one above it
};

// Views by the address of what they show.
template <typename View>
class ViewTable {
 public:
  static constexpr std::size_t kMaxViews = 4096;

  // The view of `key`, or a recycled one whose key is null, for the caller to fill.
  View& at(const void* key) {
    if (2 * (used_ + 1) > slots_.size()) grow();
    View*& slot = slots_[find(key)];
    if (slot != nullptr) return *slot;
    if (used_ == views_.size()) views_.push_back(std::make_unique<View>());
    slot = views_[used_++].get();
    return *slot;
  }
  std::size_t size() const { return used_; }
  template <typename Release>
  void clear(Release release) {
    for (std::size_t i = 0; i < used_; ++i) {
      release(*views_[i]);
      views_[i]->key = nullptr;
    }
    used_ = 0;
    std::fill(slots_.begin(), slots_.end(), nullptr);
  }

 private:
  std::size_t find(const void* key) const {
    // The upper bits of the product (Fibonacci hashing).
    std::size_t slot =
        (reinterpret_cast<std::uintptr_t>(key) * 0x9e3779b97f4a7c15ull >> 40) & (slots_.size() - 1);
    while (slots_[slot] != nullptr && slots_[slot]->key != key) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }
  void grow() {
    slots_.assign(std::max<std::size_t>(256, 2 * slots_.size()), nullptr);
    for (std::size_t i = 0; i < used_; ++i) slots_[find(views_[i]->key)] = views_[i].get();
  }

  std::vector<View*> slots_;
  std::vector<std::unique_ptr<View>> views_;  // the first used_ are in slots_
  std::size_t used_ = 0;
};

class ProcessCache {
 public:
  static constexpr std::size_t kMaxBytes = 16u << 20;

  // Lets everything go when one more event might not fit. Views from before are gone then.
  void make_room();
  // Valid until the next make_room().
  ProcessView& view(const ProcessRef& process);
  std::uint64_t next_serial() { return ++serial_; }
  // Valid until the next view().
  std::span<const std::string_view> argv(const ImageView& image) const {
    return std::span(arguments_).subspan(image.first_argument, image.argument_count);
  }
  // The lists of KnownTexts. One is made at a time, at the end of the store.
  std::span<const std::uint32_t> numbers(const KnownTexts& known) const {
    return std::span(numbers_).subspan(known.first, known.count);
  }
  void begin(KnownTexts& known);
  void add(KnownTexts& known, std::uint32_t number);
  void add(KnownTexts& known, const KnownTexts& other);

 private:
  ProcessView& fill(ProcessView& view, const Process& process);
  ImageView& image(const ExecImage& image);

  std::uint64_t serial_ = 0;
  std::size_t bytes_ = 0;
  Normalizer normalizer_;
  std::string scratch_;
  std::vector<std::size_t> ends_;  // in scratch_, of the path, the folder and each argument
  // What views show, together, so that a view that is used again fits whatever comes.
  Arena text_{16 * 1024};
  std::vector<std::string_view> arguments_;
  std::vector<std::uint32_t> numbers_;
  ViewTable<ImageView> images_;
  ViewTable<ProcessView> processes_;
};

}  // namespace cicd
