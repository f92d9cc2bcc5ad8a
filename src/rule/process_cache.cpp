// SPDX-License-Identifier: Apache-2.0
#include "rule/process_cache.h"

namespace cicd {

void ProcessCache::make_room() {
  constexpr std::size_t kNeeded = kMaxAncestorDepth + 1;
  if (images_.size() + kNeeded <= ViewTable<ImageView>::kMaxViews &&
      processes_.size() + kNeeded <= ViewTable<ProcessView>::kMaxViews && bytes_ <= kMaxBytes) {
    return;
  }
  processes_.clear([](ProcessView& view) { view.owner.reset(); });
  images_.clear([](ImageView&) {});
  text_.reset();
  arguments_.clear();
  numbers_.clear();
  bytes_ = 0;
}

ProcessView& ProcessCache::view(const ProcessRef& process) {
  ProcessView& first = processes_.at(process.get());
  if (first.key == nullptr) {
    fill(first, *process);
    first.owner = process;
    ProcessView* below = &first;
    const Process* at = process->parent.get();
    for (int depth = 0; at != nullptr && depth < kMaxAncestorDepth; ++depth) {
      ProcessView& next = processes_.at(at);
      below->above = &next;
      if (next.key != nullptr) break;
      below = &fill(next, *at);
      at = at->parent.get();
    }
  }
  return first;
}

ProcessView& ProcessCache::fill(ProcessView& view, const Process& process) {
  view.key = &process;
  view.serial = next_serial();
  view.uid = process.uid;
  view.image = &image(*process.image);
  view.above = nullptr;
  for (KnownTexts& texts : view.texts) texts.is_known = false;
  return view;
}

ImageView& ProcessCache::image(const ExecImage& image) {
  ImageView& view = images_.at(&image);
  if (view.key != nullptr) return view;
  view.key = &image;
  view.serial = next_serial();
  for (KnownTexts& texts : view.texts) texts.is_known = false;
  scratch_.clear();
  ends_.clear();
  const auto add = [this](const std::string& text) {
    normalizer_.append(text, scratch_);
    ends_.push_back(scratch_.size());
  };
  add(image.exec_path);
  add(image.cwd);
  for (const std::string& argument : image.argv) add(argument);
  const std::string_view text = text_.store(scratch_);
  view.exec_path = text.substr(0, ends_[0]);
  view.cwd = text.substr(ends_[0], ends_[1] - ends_[0]);
  view.first_argument = static_cast<std::uint32_t>(arguments_.size());
  view.argument_count = static_cast<std::uint32_t>(image.argv.size());
  for (std::size_t i = 2; i < ends_.size(); ++i) {
    arguments_.push_back(text.substr(ends_[i - 1], ends_[i] - ends_[i - 1]));
  }
  bytes_ += text.size() + image.argv.size() * sizeof(std::string_view);
  return view;
}

void ProcessCache::begin(KnownTexts& known) {
  known = {true, false, static_cast<std::uint32_t>(numbers_.size()), 0};
}

void ProcessCache::add(KnownTexts& known, std::uint32_t number) {
  const auto so_far = numbers(known);
  if (std::find(so_far.begin(), so_far.end(), number) != so_far.end()) return;
  if (known.count == KnownTexts::kMost) {
    known.is_too_many = true;
    return;
  }
  numbers_.push_back(number);
  ++known.count;
}

void ProcessCache::add(KnownTexts& known, const KnownTexts& other) {
  known.is_too_many |= other.is_too_many;
  for (std::uint32_t i = 0; i < other.count; ++i) add(known, numbers_[other.first + i]);
}

}  // namespace cicd
