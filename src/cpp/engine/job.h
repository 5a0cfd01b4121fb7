// Work for the engine's thread that is no request: whatever needs the decoder between two steps.
//
// Whoever hands it in waits for its end, which comes in any case: it was done, it failed, or the
// engine stopped before.
#pragma once

#include <exception>
#include <functional>
#include <future>
#include <utility>

#include "engine/streams/stream_pool.h"

namespace llmlocal {

class Job {
 public:
  using Work = std::function<void(StreamPool&)>;

  explicit Job(Work work) : work_(std::move(work)), end_(done_.get_future()) {}

  // By the engine's thread: one of these, once.
  void run(StreamPool& pool) noexcept {
    try {
      work_(pool);
      done_.set_value();
    } catch (...) {
      fail(std::current_exception());
    }
  }
  void fail(const std::exception_ptr& error) noexcept { done_.set_exception(error); }

  // By whoever handed it in.  Throws what it failed with.
  void wait() { end_.get(); }

 private:
  const Work work_;
  std::promise<void> done_;
  std::future<void> end_;
};

}  // namespace llmlocal
