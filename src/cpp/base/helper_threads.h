// Threads that help the calling one with work that can be done side by side.
//
// They are started when there is first something for them to do, and sleep in between.  The caller
// works too, and waits for nothing but what a helper has begun: where none wakes in time, or none
// can be started, it does all of it itself.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace llmlocal {

class HelperThreads {
 public:
  // Must not throw.
  using Work = std::function<void(std::size_t index)>;

  HelperThreads() = default;
  ~HelperThreads() { end(); }
  HelperThreads(const HelperThreads&) = delete;
  HelperThreads& operator=(const HelperThreads&) = delete;

  // Does work(0) to work(count - 1), each once, on this thread and `most` others at most.  Returns
  // when all of it is done.  One thread at a time may call this, or end().
  void share(std::size_t count, std::size_t most, const Work& work);
  // Ends them; whoever has work to share later gets new ones.
  void end() noexcept;

 private:
  void start(std::size_t wanted) noexcept;
  void help() noexcept;
  void do_rest(std::unique_lock<std::mutex>& lock);

  std::vector<std::thread> threads_;  // The caller's only.

  std::mutex mutex_;  // Guards all that follows.
  std::condition_variable woken_;
  std::condition_variable done_;
  const Work* work_ = nullptr;
  std::size_t next_ = 0;  // The first that nobody has begun, of `count_`.
  std::size_t count_ = 0;
  std::size_t in_hand_ = 0;
  std::size_t may_join_ = 0;  // So many more helpers.
  bool ends_ = false;
};

}  // namespace llmlocal
