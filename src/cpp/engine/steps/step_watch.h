// Times one step while it runs, and says when it is not worth waiting for.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

#include "base/cpu_time.h"
#include "engine/steps/thread_governor.h"

namespace llmlocal {

class StepWatch {
 public:
  // Seconds on CPUs that the threads of steps have had so far; nothing if that is not known.
  using CpuClock = std::function<std::optional<double>()>;

  StepWatch(const ThreadGovernor& governor, CpuClock cpu_clock, std::size_t rows)
      : governor_(governor),
        cpu_clock_(std::move(cpu_clock)),
        rows_(rows),
        cpu_start_(cpu_clock_()),
        faults_(major_faults()) {}

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  // What the threads of steps have had on CPUs since it began; nothing if that is not known, or if
  // the process has waited for the disk meanwhile, so that the time says nothing about the CPUs.
  std::optional<double> cpu_seconds() const {
    if (!cpu_start_ || major_faults() != faults_) return std::nullopt;
    const std::optional<double> now = cpu_clock_();
    return now ? std::optional(*now - *cpu_start_) : std::nullopt;
  }

  // Asked often while the step runs, so it looks only now and then.
  bool is_hopeless() {
    constexpr int kCallsBetweenLooks = 4;
    if (!cpu_start_ || ++calls_ % kCallsBetweenLooks != 0) return false;
    const double passed = seconds();
    if (passed < next_look_) return false;
    next_look_ = passed + kSecondsBetweenLooks;
    const std::optional<double> cpu = cpu_seconds();
    return cpu && governor_.is_hopeless(rows_, passed, *cpu);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kSecondsBetweenLooks = 0.01;

  static long major_faults() {
    const std::optional<CpuUse> use = process_cpu_use();
    return use ? use->major_faults : 0;
  }

  const ThreadGovernor& governor_;
  CpuClock cpu_clock_;
  std::size_t rows_;
  Clock::time_point start_ = Clock::now();
  std::optional<double> cpu_start_;
  long faults_;
  double next_look_ = kSecondsBetweenLooks;
  int calls_ = 0;
};

}  // namespace llmlocal
