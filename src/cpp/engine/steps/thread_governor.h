// How many threads the next step should use, from how long steps took and how much time on CPUs the
// process got in them.
//
// The threads of a step meet at a barrier after each operation.  Where another process keeps a core
// busy, every barrier waits for the one thread that shares it, and fewer threads are faster than
// all: beside one busy process on two cores, one thread generates 1.8 times as fast as two.  So
// the governor now and then tries another count for a few steps and keeps it if it is clearly
// faster; a trial that goes badly ends with its first step.  Which counts are worth a trial follows
// from the time on CPUs: a process that gets less of it than its threads could use tries fewer
// threads, as many as there are cores that others leave free; one that gets all of it tries more.
// Where that time is not known, both are tried.  Steps are compared with steps of like size, since
// no two in a row may have one.  No clock of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>

#include "engine/steps/recent.h"

namespace llmlocal {

class ThreadGovernor {
 public:
  explicit ThreadGovernor(int max_threads);

  // For the next step.
  int threads() const { return current_; }

  // A step of `rows` tokens took so long with threads(), and the process got so much time of CPUs
  // in it; nothing where that is not known.
  void observe(std::size_t rows, double seconds, std::optional<double> cpu_seconds = {});

  // There was nothing to do for a while, in which others may have come or gone: the next trial is
  // soon, and if it fails, the one after it as late as it would have been.
  void rest() {
    if (!trying_) steps_ = std::max(steps_, interval_ - kSoonestTrial);
  }

  // Whether a step of `rows` tokens that runs for so long, and got so much time of CPUs, should be
  // given up and done again with fewer threads: its threads share a core, and wait for each other's
  // time slices. Such steps were seen to take seconds instead of 10 ms.
  bool is_hopeless(std::size_t rows, double seconds, double cpu_seconds) const;
  // Such a step was given up.
  void give_up(double seconds, double cpu_seconds);

 private:
  static constexpr std::size_t kWindow = 5;        // Steps that stand for a size, or for now.
  static constexpr std::size_t kFewest = 3;        // Steps that say what is usual for a size.
  static constexpr std::size_t kJudges = 4;        // Steps that decide a trial.
  static constexpr int kLongestTrial = 16;         // Steps, with those of unknown sizes.
  static constexpr int kSoonestTrial = 5;          // Steps before the first one, or after a jump.
  static constexpr int kTrialAfterChange = 8;      // Steps before one that may undo the last.
  static constexpr int kRarestTrialOfFewer = 512;  // Steps between trials that keep failing.
  static constexpr int kRarestTrialOfMore = 128;   // These end with their first step if they fail.
  static constexpr double kClearlyFaster = 0.92;   // Of the present time: worth a change.
  static constexpr double kClearlySlower = 1.5;    // Times the present time: ends a trial.
  static constexpr double kLostCores = 0.3;  // Missing from threads(): somebody else has them.
  static constexpr double kNoCores = 0.15;   // Missing from threads(): nothing to speak of.
  static constexpr double kJump = 1.4;       // Times the best seen: something has changed.

  static constexpr double kPatience = 0.06;  // Seconds: several time slices.
  static constexpr double kHopeless = 0.6;   // Of the time on CPUs that the threads ask for.

  enum class Trial { kLeaveTheirs, kHalf, kDouble, kOneMore };
  static constexpr int kTrials = 4;

  struct Step {
    double seconds = 0;
    std::optional<double> cpu_seconds;
  };

  // What steps of like size take with home_ threads.
  struct Size {
    Recent<double, kWindow> seconds;
    double usual = 0;  // Their median; 0: not known.
    double best = 0;   // The lowest median since the last trial; 0: none.
  };
  // Sizes are alike that have as many binary digits, and the same first two.
  static constexpr std::size_t kSizes =
      std::size_t{2} * (std::numeric_limits<std::size_t>::digits + 1);

  static std::size_t index_of(std::size_t rows);
  void observe_trial(const Size& size, double seconds);
  std::optional<double> cores_got() const;
  int cores_left_by_others(double got) const;
  int count_of(Trial trial) const;
  bool is_worth_trying(Trial trial) const;
  void start_trial();
  void end_trial(double share);
  void forget();

  const int most_;
  int current_;  // The count in use.
  int home_;     // The count to go back to when a trial fails.
  std::array<Size, kSizes> sizes_;
  Recent<Step, kWindow> lately_;  // The last steps with home_ threads.
  bool trying_ = false;
  Trial trial_ = Trial::kLeaveTheirs;  // The next one, or the one in hand.
  Recent<double, kJudges> shares_;     // Times in this trial, as shares of what is usual.
  int interval_ = kSoonestTrial;       // Steps from one trial to the next.
  int steps_ = 0;                      // In this trial, or since the last one.
};

}  // namespace llmlocal
