#include "engine/thread_governor.h"

#include <algorithm>
#include <bit>

namespace llmlocal {
namespace {

// All, one less (leave a core to somebody), three quarters, half, ... one.
std::vector<int> ladder_up_to(int most) {
  std::vector<int> ladder = {1, most};
  if (most > 2) ladder.push_back(most - 1);
  for (int n = most; n > 1; n /= 2) {
    ladder.push_back(n);
    ladder.push_back(std::max(1, n * 3 / 4));
  }
  std::ranges::sort(ladder);
  const auto repeated = std::ranges::unique(ladder);
  ladder.erase(repeated.begin(), repeated.end());
  return ladder;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

ThreadGovernor::ThreadGovernor(int max_threads)
    : ladder_(ladder_up_to(std::max(1, max_threads))),
      current_(ladder_.size() - 1),
      home_(current_) {}

void ThreadGovernor::observe(std::size_t rows, double seconds, double cpu_seconds) {
  if (ladder_.size() == 1 || rows == 0) return;
  const bool crowded = threads() * seconds - cpu_seconds > kLostCores * seconds;
  crowding_ += 0.2 * ((crowded ? 1.0 : 0.0) - crowding_);
  if (const auto row_class = static_cast<std::size_t>(std::bit_width(rows));
      row_class != row_class_) {
    row_class_ = row_class;
    forget();
    return;
  }
  window_.push_back(seconds);
  if (probing_) {
    // The first step after a change pays for waking or parking threads.
    if (window_.size() == kWindow) end_probe(median({window_.begin() + 1, window_.end()}));
    return;
  }
  ++since_probe_;
  if (window_.size() > kWindow) window_.erase(window_.begin());
  if (window_.size() < kWindow) return;
  usual_ = median(window_);
  best_ = best_ == 0 ? usual_ : std::min(best_, usual_);
  const bool jumped = usual_ > kJump * best_ && since_probe_ >= kSoonestProbe;
  if ((jumped || since_probe_ >= interval_) && is_worth_a_probe()) {
    if (jumped) interval_ = kFirstProbe;
    start_probe();
  }
}

void ThreadGovernor::forget() {
  current_ = home_;
  probing_ = false;
  best_ = 0;
  window_.clear();
}

ThreadGovernor::Trial ThreadGovernor::after(Trial trial) {
  if (trial == Trial::kFewer) return Trial::kHalf;
  return trial == Trial::kHalf ? Trial::kMore : Trial::kFewer;
}

// Where the trial leads; home_ where there is nothing to try.
std::size_t ThreadGovernor::rung_of(Trial trial) const {
  if (trial == Trial::kMore) return std::min(home_ + 1, ladder_.size() - 1);
  if (home_ == 0) return home_;
  if (trial == Trial::kFewer) return home_ - 1;
  const auto above_half = std::ranges::upper_bound(ladder_, std::max(1, ladder_[home_] / 2));
  return static_cast<std::size_t>(above_half - ladder_.begin()) - 1;
}

// More threads may always be faster; fewer only where all of them can't run at once.
bool ThreadGovernor::is_worth_a_probe() const {
  return home_ + 1 < ladder_.size() || crowding_ > 0.5;
}

void ThreadGovernor::start_probe() {
  if (crowding_ <= 0.5) trial_ = Trial::kMore;
  while (rung_of(trial_) == home_) trial_ = after(trial_);
  current_ = rung_of(trial_);
  probing_ = true;
  window_.clear();
}

void ThreadGovernor::end_probe(double probed) {
  if (probed < kClearlyFaster * usual_) {
    home_ = current_;  // And try further the same way soon.
    interval_ = kFirstProbe;
  } else {
    current_ = home_;
    trial_ = after(trial_);
    interval_ = std::min(interval_ * 2, kRarestProbe);
  }
  // After a jump the new times are the usual ones, or every step would start a trial.
  best_ = 0;
  probing_ = false;
  since_probe_ = 0;
  window_.clear();
}

}  // namespace llmlocal
