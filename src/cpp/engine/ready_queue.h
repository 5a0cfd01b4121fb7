// Tells one waiting thread which of many requests have news.
//
// An event loop can't wait on a condition variable, so asyncio callers share one thread that waits
// here for all of them and hands the news on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <vector>

namespace llmlocal {

using RequestId = std::uint64_t;

class ReadyQueue {
 public:
  void push(RequestId id) {
    std::list<RequestId> ids{id};
    take(ids);
  }

  // The same for what the list holds.  Needs no memory, so it can't fail; the list is empty then.
  void take(std::list<RequestId>& ids) noexcept {
    {
      const std::lock_guard lock(mutex_);
      ready_.splice(ready_.end(), ids);
    }
    changed_.notify_one();
  }

  // Returns the requests with news since the last call; none when `timeout` has passed.
  std::vector<RequestId> wait(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return !ready_.empty(); });
    std::vector<RequestId> ready(ready_.begin(), ready_.end());
    ready_.clear();
    return ready;
  }

 private:
  std::mutex mutex_;  // Guards ready_.
  std::condition_variable changed_;
  std::list<RequestId> ready_;
};

}  // namespace llmlocal
