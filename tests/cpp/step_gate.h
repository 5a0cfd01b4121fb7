// Lets a test hold the engine inside decode(), so that what the test does next happens at a known
// moment: no sleeps, no luck.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace llmlocal::testing {

// How long a test waits for what must happen; far more than it takes.
inline constexpr std::chrono::seconds kPatience{30};

class StepGate {
 public:
  // --- The test's side

  // Every decode() from now on waits.
  void shut() {
    const std::lock_guard lock(mutex_);
    is_open_ = false;
  }

  // Returns when a decode() waits.
  void await_step() {
    std::unique_lock lock(mutex_);
    const bool arrived =
        changed_.wait_for(lock, kPatience, [this] { return is_held_ && permits_ == 0; });
    if (!arrived) FAIL("no step began");
  }

  // Lets the waiting decode() go on and returns when the next one waits.
  void next_step() {
    pass_one();
    await_step();
  }

  // Lets one decode() go on.
  void pass_one() {
    {
      const std::lock_guard lock(mutex_);
      ++permits_;
    }
    changed_.notify_all();
  }

  void open() {
    {
      const std::lock_guard lock(mutex_);
      is_open_ = true;
    }
    changed_.notify_all();
  }

  // --- The decoder's side

  // Waits until the test or the abort check says so.
  void pass(const std::function<bool()>& aborted) {
    std::unique_lock lock(mutex_);
    if (is_open_) return;
    is_held_ = true;
    changed_.notify_all();
    // The abort check has no signal of its own: a real decoder polls it too.
    while (!is_open_ && permits_ == 0 && !aborted()) {
      changed_.wait_for(lock, std::chrono::milliseconds(1));
    }
    if (permits_ > 0) --permits_;
    is_held_ = false;
  }

 private:
  std::mutex mutex_;  // Guards everything below.
  std::condition_variable changed_;
  bool is_open_ = true;
  bool is_held_ = false;
  int permits_ = 0;
};

}  // namespace llmlocal::testing
