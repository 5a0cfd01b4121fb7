#include "sampling/legal_picker.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/exponentials.h"

namespace llmlocal {
namespace {

constexpr std::size_t kMany = 64;
constexpr float kNoChance = -std::numeric_limits<float>::infinity();

double weight(const Candidate& candidate, float max) {
  return static_cast<double>(std::exp(candidate.logit - max));
}

// How many of them, in order, have this sum; more than there are if all together have less.
std::size_t count_to(double wanted, std::span<const Candidate> candidates) {
  const float max = candidates.front().logit;
  double sum = 0;
  std::size_t count = 0;
  while (count < candidates.size() && sum < wanted) sum += weight(candidates[count++], max);
  return sum < wanted ? count + 1 : count;
}

}  // namespace

void LegalPicker::begin() {
  likeliest_.clear();
  legal_.clear();
  asked_ = 0;
}

// Until so many are legal, or no more are left.
void LegalPicker::ask(std::size_t wanted, Constraint& constraint) {
  for (; asked_ < likeliest_.size() && legal_.size() < wanted; ++asked_) {
    if (constraint.allows(likeliest_[asked_].token)) legal_.push_back(likeliest_[asked_]);
  }
}

// Asks about a few more than are wanted, and about four times as many where these do not suffice;
// if not even that, at the rate at which legal ones come, takes too long.
bool LegalPicker::find_top_k(std::span<const float> logits, std::size_t k, Constraint& constraint) {
  constexpr std::size_t kSurelyFew = 4;
  const std::size_t few_more = k + std::max<std::size_t>(k / 2, kSurelyFew - 1);
  std::size_t expected = few_more;
  begin();
  for (const std::size_t most : {few_more, std::max(4 * few_more, kMany)}) {
    const bool is_dear = most > kSurelyFew;
    if (is_dear && constraint.cheap_questions() < std::max(most, expected)) return false;
    llmlocal::pick_top_k(logits, most, likeliest_);
    ask(k, constraint);
    if (legal_.size() == k) return true;
    expected = most * (k + 1) / (legal_.size() + 1);
  }
  return false;
}

// Where that is worth while: all this goes over the vocabulary more often than a quick mask does.
std::optional<float> LegalPicker::find_best(std::span<const float> logits, Constraint& constraint) {
  if (constraint.cheap_questions() < kMany || !find_top_k(logits, 1, constraint)) return {};
  const float best = legal_.front().logit;
  return std::isfinite(best) ? std::optional(best) : std::nullopt;
}

// Goes on with all that are above this, the best legal one being the last that was asked about.
bool LegalPicker::ask_above(std::span<const float> logits,
                            float threshold,
                            Constraint& constraint) {
  if (!pick_above(logits, threshold, constraint.cheap_questions(), likeliest_)) return false;
  std::ranges::sort(likeliest_, comes_before);
  ask(likeliest_.size(), constraint);
  return true;
}

bool LegalPicker::pick_top_k(std::span<const float> logits,
                             std::size_t k,
                             Constraint& constraint,
                             std::vector<Candidate>& picked) {
  if (!find_top_k(logits, k, constraint)) return false;
  picked = legal_;
  return true;
}

bool LegalPicker::pick_min_p(std::span<const float> logits,
                             float min_p,
                             Constraint& constraint,
                             std::vector<Candidate>& picked) {
  const std::optional<float> max = find_best(logits, constraint);
  if (!max || !ask_above(logits, *max - reach_of_min_p(min_p), constraint)) return false;
  picked = legal_;
  std::ranges::sort(picked, {}, &Candidate::token);
  return true;
}

// Asks about all that are near enough to the likeliest legal one.  How many of the legal ones top-p
// keeps hangs on the sum of all of them: it is at least that of those known, and at most as much
// more as all that were not asked about have together.  Where both mean the same, it is known.
bool LegalPicker::pick_top_p(std::span<float> logits,
                             float p,
                             float min_p,
                             Constraint& constraint,
                             std::vector<Candidate>& picked) {
  constexpr double kRounding = 1e-5;  // Sums in another order differ in their last digits.
  const std::optional<float> best = find_best(logits, constraint);
  if (!best) return false;
  const float max = *best;
  const float enough = reach_of_min_p(min_p);
  for (const float nearness : {std::min(4.0F, enough), 8.0F, 16.0F}) {
    if (!ask_above(logits, max - nearness, constraint)) return false;
    const auto beyond =
        std::ranges::find_if(legal_, [=](auto& each) { return each.logit <= max - enough; });
    const auto near_enough = static_cast<std::size_t>(beyond - legal_.begin());
    const std::size_t most = nearness < enough ? legal_.size() + 1 : near_enough;
    double sum = 0;
    for (const Candidate& each : legal_) sum += weight(each, max);
    const std::size_t least_kept = std::min(most, count_to(p * sum * (1 - kRounding), legal_));
    std::size_t most_kept = most;
    if (least_kept < most) {
      const double with_others = sum + sum_of_others(logits, max);
      most_kept = std::min(most, count_to(p * with_others * (1 + kRounding), legal_));
    }
    if (least_kept == most_kept) {
      picked.assign(legal_.begin(), legal_.begin() + static_cast<std::ptrdiff_t>(least_kept));
      return true;
    }
  }
  return false;
}

// Of the exponentials of those that were not asked about.
double LegalPicker::sum_of_others(std::span<float> logits, float max) const {
  for (const Candidate& each : likeliest_) logits[static_cast<std::size_t>(each.token)] = kNoChance;
  const double sum = sum_of_exp(logits, max);
  for (const Candidate& each : likeliest_) {
    logits[static_cast<std::size_t>(each.token)] = each.logit;
  }
  return sum;
}

}  // namespace llmlocal
