// SPDX-License-Identifier: Apache-2.0
// Walks over the entries of a hash map or trie of the kernel. Threads: any; entries that come and
// go meanwhile may be seen or not.
#pragma once

#include <bpf/bpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cicd {

// One call an entry: tries of kernels before 5.14 have no batches.
template <typename Key, typename Value, typename Use>
void for_each_key(int map_fd, Use use) {
  Key key{};
  Key next{};
  Value value{};
  for (const Key* previous = nullptr; ::bpf_map_get_next_key(map_fd, previous, &next) == 0;) {
    key = next;
    previous = &key;
    if (::bpf_map_lookup_elem(map_fd, &key, &value) == 0) use(key, value);
  }
}

template <typename Key, typename Value, typename Use>
void for_each_entry(int map_fd, Use use) {
  constexpr std::uint32_t kBatch = 4096;
  std::vector<Key> keys(kBatch);
  std::vector<Value> values(kBatch);
  // Where the next batch begins: a number of a hash map, the last key of a trie.
  alignas(8) std::array<std::byte, std::max(sizeof(Key), sizeof(std::uint64_t))> position{};
  bool is_first = true;
  for (;;) {
    std::uint32_t count = kBatch;
    const int error =
        ::bpf_map_lookup_batch(map_fd, is_first ? nullptr : position.data(), position.data(),
                               keys.data(), values.data(), &count, nullptr);
    if (error != 0 && error != -ENOENT) {
      if (is_first) for_each_key<Key, Value>(map_fd, use);
      return;
    }
    for (std::uint32_t i = 0; i < count; ++i) use(keys[i], values[i]);
    if (error != 0) return;
    is_first = false;
  }
}

// Deletes the entries that satisfy `matches`; returns how many.
template <typename Key, typename Value, typename Matches>
std::size_t delete_where(int map_fd, Matches matches) {
  std::vector<Key> doomed;
  for_each_entry<Key, Value>(map_fd, [&](const Key& key, const Value& value) {
    if (matches(key, value)) doomed.push_back(key);
  });
  std::size_t deleted = 0;
  for (const Key& each : doomed) {
    if (::bpf_map_delete_elem(map_fd, &each) == 0) ++deleted;
  }
  return deleted;
}

}  // namespace cicd
