#include "engine/steps/thread_governor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace llmlocal {

ThreadGovernor::ThreadGovernor(int max_threads)
    : most_(std::max(1, max_threads)), current_(most_), home_(most_) {}

std::size_t ThreadGovernor::index_of(std::size_t rows) {
  const auto digits = static_cast<std::size_t>(std::bit_width(rows));
  return 2 * digits + (digits < 2 ? 0 : rows >> (digits - 2) & 1);
}

void ThreadGovernor::observe(std::size_t rows, double seconds, std::optional<double> cpu_seconds) {
  if (most_ == 1 || rows == 0) return;
  Size& size = sizes_[index_of(rows)];
  ++steps_;
  if (trying_) {
    observe_trial(size, seconds);
    return;
  }
  lately_.push({seconds, cpu_seconds});
  size.seconds.push(seconds);
  if (size.seconds.size() < kFewest) return;
  size.usual = size.seconds.median();
  size.best = size.best == 0 ? size.usual : std::min(size.best, size.usual);
  if (size.usual > kJump * size.best) interval_ = kSoonestTrial;
  if (steps_ >= interval_) start_trial();
}

void ThreadGovernor::observe_trial(const Size& size, double seconds) {
  if (size.usual > 0) {
    const double share = seconds / size.usual;
    if (share > kClearlySlower) {
      end_trial(share);
      return;
    }
    // The first step after a change pays for waking or parking threads.
    if (steps_ > 1) shares_.push(share);
  }
  if (shares_.size() == kJudges) {
    end_trial(shares_.median());
  } else if (steps_ == kLongestTrial) {
    end_trial(std::numeric_limits<double>::infinity());
  }
}

bool ThreadGovernor::is_hopeless(std::size_t rows, double seconds, double cpu_seconds) const {
  const double slow = kClearlySlower * sizes_[index_of(rows)].usual;
  const double patience =
      trying_ && slow > 0 ? std::min(kPatience, slow) : std::max(kPatience, slow);
  return current_ > 1 && seconds > patience && cpu_seconds < kHopeless * current_ * seconds;
}

void ThreadGovernor::give_up(double seconds, double cpu_seconds) {
  if (trying_) {
    end_trial(std::numeric_limits<double>::infinity());
    return;
  }
  home_ = cores_left_by_others(cpu_seconds / seconds);
  interval_ = kTrialAfterChange;
  steps_ = 0;
  forget();
}

// What was seen with another count.
void ThreadGovernor::forget() {
  current_ = home_;
  sizes_ = {};
  lately_.clear();
}

// Cores that ran for us lately, on average.
std::optional<double> ThreadGovernor::cores_got() const {
  double seconds = 0;
  double cpu_seconds = 0;
  for (const Step& step : lately_.values()) {
    if (!step.cpu_seconds) return std::nullopt;
    seconds += step.seconds;
    cpu_seconds += *step.cpu_seconds;
  }
  return seconds > 0 ? std::optional(cpu_seconds / seconds) : std::nullopt;
}

// The cores are shared fairly: of most_ cores, home_ of home_ + others threads get `got`.
int ThreadGovernor::cores_left_by_others(double got) const {
  const int fewer = std::max(1, home_ - 1);
  if (got <= 0) return fewer;
  const double others = home_ * (most_ - got) / got;
  return std::clamp(static_cast<int>(std::floor(most_ - others + kLostCores)), 1, fewer);
}

int ThreadGovernor::count_of(Trial trial) const {
  switch (trial) {
    case Trial::kLeaveTheirs:
      return cores_left_by_others(cores_got().value_or(0));
    case Trial::kHalf:
      return std::max(1, home_ / 2);
    case Trial::kDouble:
      return std::min(home_ * 2, most_);
    case Trial::kOneMore:
      return std::min(home_ + 1, most_);
  }
  return home_;
}

bool ThreadGovernor::is_worth_trying(Trial trial) const {
  const int count = count_of(trial);
  if (count == home_) return false;
  const std::optional<double> got = cores_got();
  if (!got) return true;
  const double lost = home_ - *got;
  return count < home_ ? lost > kLostCores : lost < kNoCores;
}

void ThreadGovernor::start_trial() {
  for (int i = 0; i < kTrials && !is_worth_trying(trial_); ++i) {
    trial_ = static_cast<Trial>((static_cast<int>(trial_) + 1) % kTrials);
  }
  if (!is_worth_trying(trial_)) return;
  current_ = count_of(trial_);
  trying_ = true;
  steps_ = 0;
  shares_.clear();
}

// With the time of its steps, as a share of what is usual.
void ThreadGovernor::end_trial(double share) {
  if (share < kClearlyFaster) {
    home_ = current_;
    interval_ = kTrialAfterChange;
    forget();
  } else {
    interval_ =
        std::min(interval_ * 2, current_ > home_ ? kRarestTrialOfMore : kRarestTrialOfFewer);
    current_ = home_;
    trial_ = static_cast<Trial>((static_cast<int>(trial_) + 1) % kTrials);
  }
  // After a jump the new times are the usual ones, or every step would start a trial.
  for (Size& size : sizes_) size.best = 0;
  trying_ = false;
  steps_ = 0;
}

}  // namespace llmlocal
