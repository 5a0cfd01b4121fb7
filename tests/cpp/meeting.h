// Where threads wait for each other: it takes place only if all of them are there at once.
#pragma once

#include <condition_variable>
#include <mutex>

#include "step_gate.h"

namespace llmlocal::testing {

class Meeting {
 public:
  explicit Meeting(int size) : size_(size) {}

  // Waits until as many have come.
  void attend() {
    std::unique_lock lock(mutex_);
    ++present_;
    changed_.notify_all();
    const auto may_leave = [this] { return present_ >= size_ && !is_held_; };
    if (!changed_.wait_for(lock, kPatience, may_leave)) is_given_up_ = true;
  }
  bool took_place() const {
    const std::lock_guard lock(mutex_);
    return present_ >= size_ && !is_given_up_;
  }

  // Nobody leaves before release().
  void hold() {
    const std::lock_guard lock(mutex_);
    is_held_ = true;
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      is_held_ = false;
    }
    changed_.notify_all();
  }
  void await_all() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [this] { return present_ >= size_; });
  }

 private:
  const int size_;
  mutable std::mutex mutex_;  // Guards all that follows.
  std::condition_variable changed_;
  int present_ = 0;
  bool is_held_ = false;
  bool is_given_up_ = false;  // Somebody has waited too long.
};

}  // namespace llmlocal::testing
