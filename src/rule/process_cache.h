// SPDX-License-Identifier: Apache-2.0
// ProcessCache: what rules see of processes, in normal form, made once per picture of a process
// and once per program image, together with the answers that hold as long as they do.
//
// Threads: one. Lifetime: a cached view keeps its Process and ExecImage alive, so a pointer is
// never used again for another one while it is cached; that is at most kMaxViews of each, and
// about kMaxBytes of text. When that is reached everything is let go at once (`make_room`), and
// the memory of the views is used again: no allocation in the steady state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "event/process.h"
#include "rule/normalize.h"

namespace cicd {

// An answer that was kept.
enum class Kept : std::uint8_t { kUnknown, kFalse, kTrue };

struct ImageView {
  std::shared_ptr<const ExecImage> owner;
  std::string buffer;  // text of all views below
  std::string_view exec_path;
  std::vector<std::string_view> argv;
  std::vector<Kept> kept;
};

struct ProcessView {
  ProcessRef owner;
  // The process itself, its parent, and so on: at most 1 + kMaxAncestorDepth.
  std::vector<ImageView*> chain;
  std::vector<Kept> kept;
};

// Views by the address of what they show.
template <typename View>
class ViewTable {
 public:
  static constexpr std::size_t kMaxViews = 4096;

  ViewTable() : slots_(2 * kMaxViews, nullptr) {}

  // The view of `key`, or a recycled one with no owner for the caller to fill.
  View& at(const void* key) {
    // The upper bits of the product (Fibonacci hashing): 13 of them number 2 * kMaxViews slots.
    std::size_t slot = (reinterpret_cast<std::uintptr_t>(key) * 0x9e3779b97f4a7c15ull) >> 51;
    static_assert(2 * kMaxViews == 1u << 13);
    while (slots_[slot] != nullptr) {
      if (slots_[slot]->owner.get() == key) return *slots_[slot];
      slot = (slot + 1) % slots_.size();
    }
    if (used_ == views_.size()) views_.push_back(std::make_unique<View>());
    slots_[slot] = views_[used_++].get();
    return *slots_[slot];
  }
  std::size_t size() const { return used_; }
  void clear() {
    for (std::size_t i = 0; i < used_; ++i) views_[i]->owner.reset();
    used_ = 0;
    std::fill(slots_.begin(), slots_.end(), nullptr);
  }

 private:
  std::vector<View*> slots_;
  std::vector<std::unique_ptr<View>> views_;  // the first used_ are in slots_
  std::size_t used_ = 0;
};

class ProcessCache {
 public:
  static constexpr std::size_t kMaxBytes = 16u << 20;

  ProcessCache(std::size_t process_memos, std::size_t image_memos)
      : process_memos_(process_memos), image_memos_(image_memos) {}

  // Lets everything go when one more event might not fit. Views from before are gone then.
  void make_room();
  // Valid until the next make_room().
  ProcessView& view(const ProcessRef& process);

 private:
  ImageView& image(const std::shared_ptr<const ExecImage>& image);

  std::size_t process_memos_;
  std::size_t image_memos_;
  std::size_t bytes_ = 0;
  Normalizer normalizer_;
  std::vector<std::size_t> ends_;  // scratch of image()
  ViewTable<ImageView> images_;
  ViewTable<ProcessView> processes_;
};

}  // namespace cicd
