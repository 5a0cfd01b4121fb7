// Times one step while it runs, and says when it is not worth waiting for.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/cpu_time.h"
#include "engine/decoder.h"
#include "engine/steps/thread_governor.h"

namespace llmlocal {

class StepWatch {
 public:
  StepWatch(const ThreadGovernor& governor, const Decoder& decoder, std::size_t rows)
      : governor_(governor),
        decoder_(decoder),
        rows_(rows),
        cpu_start_(decoder.cpu_seconds()),
        faults_(major_faults()) {}

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  // What the threads of steps have had on CPUs since it began; nothing if that is not known, or if
  // the process has waited for the disk meanwhile, so that the time says nothing about the CPUs.
  std::optional<double> cpu_seconds() const {
    if (!cpu_start_ || major_faults() != faults_) return std::nullopt;
    const std::optional<double> now = decoder_.cpu_seconds();
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
  const Decoder& decoder_;
  std::size_t rows_;
  Clock::time_point start_ = Clock::now();
  std::optional<double> cpu_start_;
  long faults_;
  double next_look_ = kSecondsBetweenLooks;
  int calls_ = 0;
};

}  // namespace llmlocal
