// SPDX-License-Identifier: Apache-2.0
#include "rule/act_sequence.h"

#include <algorithm>

namespace cicd {

void ActSequence::add(const EventRecord& record, std::span<const std::uint32_t> fired) {
  if (is_complete_ || record.process == nullptr) return;
  ++clock_;
  const Process* top = record.process.get();
  while (top->parent != nullptr) top = top->parent.get();
  const Id top_id = id_of(*top);
  if (top == record.process.get()) {
    add_act_of_top(top_id, fired);
    return;
  }
  const Tree* of_top = find(top_id);
  const std::size_t begun = of_top == nullptr ? 0 : of_top->done;
  for (const Process* at = record.process.get(); at != top; at = at->parent.get()) {
    Tree* tree = find(id_of(*at));
    if (tree != nullptr) tree->touched = clock_;
    const std::size_t done = tree == nullptr ? begun : tree->done;
    const std::size_t after = next(done, fired);
    if (after != done) move(id_of(*at), top_id, after);
  }
}

void ActSequence::add_act_of_top(const Id& top, std::span<const std::uint32_t> fired) {
  for (Tree& tree : trees_) {
    if (tree.top != top || tree.process == top) continue;
    tree.done = next(tree.done, fired);
    is_complete_ |= tree.done == rules_.size();
  }
  const Tree* own = find(top);
  const std::size_t done = own == nullptr ? 0 : own->done;
  const std::size_t after = next(done, fired);
  if (after != done) move(top, top, after);
}

std::size_t ActSequence::next(std::size_t done, std::span<const std::uint32_t> fired) const {
  return done < rules_.size() && std::ranges::binary_search(fired, rules_[done]) ? done + 1 : done;
}

ActSequence::Tree* ActSequence::find(const Id& process) {
  const auto at = std::ranges::lower_bound(trees_, process, {}, &Tree::process);
  return at != trees_.end() && at->process == process ? &*at : nullptr;
}

void ActSequence::move(const Id& process, const Id& top, std::size_t done) {
  is_complete_ |= done == rules_.size();
  if (Tree* tree = find(process); tree != nullptr) {
    tree->done = done;
    tree->touched = clock_;
    return;
  }
  if (trees_.size() == kMostTrees) {
    trees_.erase(std::ranges::min_element(trees_, {}, &Tree::touched));
    ++forgotten_;
  }
  const auto at = std::ranges::lower_bound(trees_, process, {}, &Tree::process);
  trees_.insert(at, {process, top, done, clock_});
}

}  // namespace cicd
