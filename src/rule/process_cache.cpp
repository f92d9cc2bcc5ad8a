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
  view.buffer.clear();
  ends_.clear();
  normalizer_.append(image.exec_path, view.buffer);
  const std::size_t path_end = view.buffer.size();
  for (const std::string& argument : image.argv) {
    normalizer_.append(argument, view.buffer);
    ends_.push_back(view.buffer.size());
  }
  // Views are taken only now, when the buffer does not move any more.
  const std::string_view text = view.buffer;
  view.exec_path = text.substr(0, path_end);
  view.argv.clear();
  std::size_t start = path_end;
  for (const std::size_t end : ends_) {
    view.argv.push_back(text.substr(start, end - start));
    start = end;
  }
  bytes_ += text.size() + view.argv.size() * sizeof(std::string_view);
  return view;
}

}  // namespace cicd
