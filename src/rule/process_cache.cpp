// SPDX-License-Identifier: Apache-2.0
#include "rule/process_cache.h"

namespace cicd {

void ProcessCache::make_room() {
  constexpr std::size_t kNeeded = kMaxAncestorDepth + 1;
  if (images_.size() + kNeeded <= ViewTable<ImageView>::kMaxViews &&
      processes_.size() + 1 <= ViewTable<ProcessView>::kMaxViews && bytes_ <= kMaxBytes) {
    return;
  }
  processes_.clear();
  images_.clear();
  bytes_ = 0;
}

ProcessView& ProcessCache::view(const ProcessRef& process) {
  ProcessView& view = processes_.at(process.get());
  if (view.owner != nullptr) return view;
  view.owner = process;
  view.kept.assign(process_memos_, Kept::kUnknown);
  view.chain.clear();
  const Process* at = process.get();
  while (at != nullptr && view.chain.size() <= static_cast<std::size_t>(kMaxAncestorDepth)) {
    view.chain.push_back(&image(at->image));
    at = at->parent.get();
  }
  return view;
}

ImageView& ProcessCache::image(const std::shared_ptr<const ExecImage>& image) {
  ImageView& view = images_.at(image.get());
  if (view.owner != nullptr) return view;
  view.owner = image;
  view.kept.assign(image_memos_, Kept::kUnknown);
  view.buffer.clear();
  ends_.clear();
  normalizer_.append(image->exec_path, view.buffer);
  const std::size_t path_end = view.buffer.size();
  for (const std::string& argument : image->argv) {
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
