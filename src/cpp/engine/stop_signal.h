// Whether what a caller asked for is still wanted: it may be cancelled, and may have a time limit.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>

namespace llmlocal {

using Clock = std::chrono::steady_clock;

class StopSignal {
 public:
  // `timeout`: seconds from `start`; nothing = no limit.
  StopSignal(std::optional<std::chrono::duration<double>> timeout, Clock::time_point start)
      : deadline_(deadline_of(timeout, start)) {}

  // Any thread, any number of times.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  bool has_deadline() const { return deadline_ != Clock::time_point::max(); }
  bool is_late(Clock::time_point now) const { return now >= deadline_; }

 private:
  static Clock::time_point deadline_of(std::optional<std::chrono::duration<double>> timeout,
                                       Clock::time_point start) {
    // A limit of more than a year is none; adding it could overflow the clock.
    constexpr std::chrono::hours kNever{24 * 365};
    if (!timeout || *timeout > kNever) return Clock::time_point::max();
    return start + std::chrono::duration_cast<Clock::duration>(*timeout);
  }

  const Clock::time_point deadline_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace llmlocal
