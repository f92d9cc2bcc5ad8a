// SPDX-License-Identifier: Apache-2.0
// BatchPool: batches of events that come back from the workers to be filled again, with the blocks
// of memory that they grow by.
//
// Threads: all calls from any.
#pragma once

#include <memory>
#include <utility>

#include "base/block_pool.h"
#include "base/pool.h"
#include "event/event_record.h"

namespace cicd {

class BatchPool {
 public:
  explicit BatchPool(std::shared_ptr<BlockPool> blocks) : blocks_(std::move(blocks)) {}

  // Empty.
  std::unique_ptr<EventBatch> take() {
    auto batch = batches_.take();
    return batch ? std::move(*batch) : std::make_unique<EventBatch>(blocks_);
  }
  void give(std::unique_ptr<EventBatch> batch) {
    batch->reset();
    batches_.give(std::move(batch), sizeof(EventBatch));
  }

 private:
  // Batches of a thousand busy jobs; without their blocks they weigh little.
  static constexpr std::size_t kMostBatches = 4096;

  std::shared_ptr<BlockPool> blocks_;
  Pool<std::unique_ptr<EventBatch>> batches_{kMostBatches * sizeof(EventBatch)};
};

}  // namespace cicd
