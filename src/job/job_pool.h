// SPDX-License-Identifier: Apache-2.0
// JobPool: the event workers of all jobs of an agent: a few threads, and the order in which jobs
// have their turns on them. A job runs on one thread at a time, so what it owns needs no lock, and
// one wake-up of a thread serves every job that waits. Also keeps batches for reuse by any job:
// memory that was just used is warm, and a job that idles holds none.
//
// Threads: post() and the batches from any thread; wait_until_idle() from any that is not of the
// pool. Lifetime: members wait until they are idle before they go; the pool goes after all of them.
// Traps: a turn that blocks keeps a thread from the other jobs; they go on with the others while
// there is one.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/worker.h"
#include "event/event_record.h"

namespace cicd {

class JobPool {
 public:
  class Member {
   public:
    virtual ~Member() = default;

   private:
    friend class JobPool;
    // Works for a while; true: there is more to do.
    virtual bool take_turn() = 0;

    enum class State { kIdle, kQueued, kRunning, kRunningAgain };
    State state_ = State::kIdle;  // the pool's, under its lock
  };

  // 0 threads: as many as fit this machine.
  explicit JobPool(std::size_t threads = 0);
  ~JobPool();
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;

  // The member has something to do: it gets a turn that begins after this call. Never waits.
  void post(Member& member);
  void wait_until_idle(Member& member);

  // A cleared batch, used before when there is one.
  std::unique_ptr<EventBatch> take_batch();
  void recycle(std::unique_ptr<EventBatch> batch);

 private:
  void run();
  void give_turn(std::unique_lock<std::mutex>& lock);
  void wake_one();

  std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable became_idle_;
  std::deque<Member*> queue_;
  std::size_t sleeping_ = 0;
  bool is_waking_ = false;  // one was told and is not awake yet
  bool is_closed_ = false;

  std::mutex batches_mutex_;
  std::vector<std::unique_ptr<EventBatch>> batches_;
  std::vector<std::unique_ptr<Worker>> workers_;  // last: they use all of the above
};

}  // namespace cicd
