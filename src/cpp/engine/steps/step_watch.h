// Times one step while it runs, and says when it is not worth waiting for.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/cpu_time.h"
#include "engine/steps/thread_governor.h"

namespace llmlocal {

class StepWatch {
 public:
  // `knows_cpu`: the threads compute all the time, so that time on CPUs says what they got.
  StepWatch(const ThreadGovernor& governor, std::size_t rows, bool knows_cpu)
      : governor_(governor), rows_(rows), knows_cpu_(knows_cpu) {
    if (knows_cpu_) cpu_start_ = process_cpu_use();
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  std::optional<double> cpu_seconds() const { return cpu_seconds_since(cpu_start_); }

  // Asked often while the step runs, so it looks only now and then.
  bool is_hopeless() {
    constexpr int kCallsBetweenLooks = 4;
    if (!knows_cpu_ || ++calls_ % kCallsBetweenLooks != 0) return false;
    const double passed = seconds();
    if (passed < next_look_) return false;
    next_look_ = passed + kSecondsBetweenLooks;
    const std::optional<double> cpu = cpu_seconds();
    return cpu && governor_.is_hopeless(rows_, passed, *cpu);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kSecondsBetweenLooks = 0.01;

  const ThreadGovernor& governor_;
  std::size_t rows_;
  bool knows_cpu_;
  Clock::time_point start_ = Clock::now();
  std::optional<CpuUse> cpu_start_;
  double next_look_ = kSecondsBetweenLooks;
  int calls_ = 0;
};

}  // namespace llmlocal
