// SPDX-License-Identifier: Apache-2.0
// RecordList: the records of a batch, in blocks of a pool. It grows without moving a record, and
// gives its blocks back when it is cleared.
//
// Threads: none; a list belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>

#include "base/block_pool.h"

namespace cicd {

template <typename T>
class RecordList {
 public:
  static constexpr std::size_t kPerBlock = BlockPool::kBlockBytes / sizeof(T);
  static_assert(kPerBlock > 0 && alignof(T) <= alignof(std::max_align_t));

  explicit RecordList(std::shared_ptr<BlockPool> pool) : blocks_(std::move(pool)) {}
  ~RecordList() { shrink(0); }
  RecordList(const RecordList&) = delete;
  RecordList& operator=(const RecordList&) = delete;

  template <typename List, typename Value>
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = Value*;
    using reference = Value&;

    Iterator() = default;
    Iterator(List& list, std::size_t at) : list_(&list), at_(at) {}
    Value& operator*() const { return (*list_)[at_]; }
    Value* operator->() const { return &(*list_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) { return {*list_, at_++}; }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    List* list_ = nullptr;
    std::size_t at_ = 0;
  };
  using iterator = Iterator<RecordList, T>;
  using const_iterator = Iterator<const RecordList, const T>;

  iterator begin() { return {*this, 0}; }
  iterator end() { return {*this, size_}; }
  const_iterator begin() const { return {*this, 0}; }
  const_iterator end() const { return {*this, size_}; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t at) { return place(at); }
  const T& operator[](std::size_t at) const { return place(at); }
  // Throws std::out_of_range, as a vector does.
  const T& at(std::size_t at) const {
    if (at >= size_) throw std::out_of_range("RecordList::at");
    return place(at);
  }
  T& front() { return place(0); }
  T& back() { return place(size_ - 1); }
  const T& front() const { return place(0); }
  const T& back() const { return place(size_ - 1); }

  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (room_ == 0) make_room();
    T* made = std::construct_at(next_, std::forward<Args>(args)...);
    ++next_;
    --room_;
    ++size_;
    return *made;
  }
  void push_back(const T& record) { emplace_back(record); }

  // Leaves the first `size` records; blocks stay until clear().
  void shrink(std::size_t size) {
    while (size_ > size) std::destroy_at(&place(--size_));
    room_ = 0;
  }
  void clear() {
    shrink(0);
    blocks_.clear();
  }

 private:
  T& place(std::size_t at) const {
    return reinterpret_cast<T*>(blocks_[at / kPerBlock])[at % kPerBlock];
  }

  void make_room() {
    if (size_ == blocks_.size() * kPerBlock) blocks_.add();
    next_ = &place(size_);
    room_ = kPerBlock - size_ % kPerBlock;
  }

  BlockList blocks_;
  std::size_t size_ = 0;
  T* next_ = nullptr;     // where the next is made
  std::size_t room_ = 0;  // for so many
};

}  // namespace cicd
