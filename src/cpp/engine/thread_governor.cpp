#include "engine/thread_governor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace llmlocal {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

ThreadGovernor::ThreadGovernor(int max_threads)
    : most_(std::max(1, max_threads)), current_(most_), home_(most_) {}

void ThreadGovernor::observe(std::size_t rows, double seconds, std::optional<double> cpu_seconds) {
  if (most_ == 1 || rows == 0) return;
  if (const auto row_class = static_cast<std::size_t>(std::bit_width(rows));
      row_class != row_class_) {
    row_class_ = row_class;
    forget();
    return;
  }
  window_.push_back({seconds, cpu_seconds});
  if (window_.size() > kWindow) window_.erase(window_.begin());
  if (trying_ && seconds > kClearlySlower * usual_) {
    end_trial(seconds);
    return;
  }
  if (!trying_) ++since_trial_;
  if (window_.size() < kWindow) return;

  std::vector<double> times(window_.size());
  std::ranges::transform(window_, times.begin(), &Step::seconds);
  if (trying_) {
    times.erase(
        times.begin());  // The first step after a change pays for waking or parking threads.
    end_trial(median(std::move(times)));
    return;
  }

  usual_ = median(std::move(times));
  best_ = best_ == 0 ? usual_ : std::min(best_, usual_);
  if (usual_ > kJump * best_) interval_ = kSoonestTrial;
  if (since_trial_ >= interval_) start_trial();
}

bool ThreadGovernor::is_hopeless(double seconds, double cpu_seconds) const {
  const double slow = kClearlySlower * usual_;
  const double patience = trying_ ? std::min(kPatience, slow) : std::max(kPatience, slow);
  return current_ > 1 && seconds > patience && cpu_seconds < kHopeless * current_ * seconds;
}

void ThreadGovernor::give_up(double seconds, double cpu_seconds) {
  if (trying_) {
    end_trial(std::numeric_limits<double>::infinity());
    return;
  }
  home_ = cores_left_by_others(cpu_seconds / seconds);
  interval_ = kTrialAfterChange;
  since_trial_ = 0;
  forget();
}

void ThreadGovernor::forget() {
  current_ = home_;
  trying_ = false;
  usual_ = 0;
  best_ = 0;
  window_.clear();
}

// Cores that ran for us, on average of the window.
std::optional<double> ThreadGovernor::cores_got() const {
  double seconds = 0;
  double cpu_seconds = 0;
  for (const Step& step : window_) {
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
  window_.clear();
}

void ThreadGovernor::end_trial(double seconds) {
  if (seconds < kClearlyFaster * usual_) {
    home_ = current_;
    interval_ = kTrialAfterChange;
  } else {
    interval_ =
        std::min(interval_ * 2, current_ > home_ ? kRarestTrialOfMore : kRarestTrialOfFewer);
    current_ = home_;
    trial_ = static_cast<Trial>((static_cast<int>(trial_) + 1) % kTrials);
  }
  // After a jump the new times are the usual ones, or every step would start a trial.
  best_ = 0;
  trying_ = false;
  since_trial_ = 0;
  window_.clear();
}

}  // namespace llmlocal
