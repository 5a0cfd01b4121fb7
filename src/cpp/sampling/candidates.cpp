#include "sampling/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/exponentials.h"

namespace llmlocal {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// The logits are gone through in blocks: one test without a branch tells that a block holds
// nothing of interest, as most do.
constexpr std::size_t kBlock = 16;

bool any_above(const float* block, float threshold) {
  int above = 0;
  for (std::size_t i = 0; i < kBlock; ++i) above |= block[i] > threshold ? 1 : 0;
  return above != 0;
}

// Calls visit(token, logit) for each logit above the threshold, which visit may raise.
template <typename Visit>
void for_each_above(std::span<const float> logits, const float& threshold, Visit&& visit) {
  std::size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    if (!any_above(&logits[i], threshold)) continue;
    for (std::size_t j = i; j < i + kBlock; ++j) {
      if (logits[j] > threshold) visit(static_cast<Token>(j), logits[j]);
    }
  }
  for (; i < logits.size(); ++i) {
    if (logits[i] > threshold) visit(static_cast<Token>(i), logits[i]);
  }
}

}  // namespace

bool comes_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

Token best_token(std::span<const float> logits) {
  Token best = -1;
  float threshold = kLowest;
  for_each_above(logits, threshold, [&](Token token, float logit) {
    best = token;
    threshold = logit;
  });
  return best;
}

void pick_top_k(std::span<const float> logits, std::size_t k, std::vector<Candidate>& picked) {
  picked.clear();
  float threshold = kLowest;
  // A heap whose top is the worst of the k best so far.
  for_each_above(logits, threshold, [&](Token token, float logit) {
    if (picked.size() == k) {
      std::ranges::pop_heap(picked, comes_before);
      picked.pop_back();
    }
    picked.push_back({token, logit});
    std::ranges::push_heap(picked, comes_before);
    if (picked.size() == k) threshold = picked.front().logit;
  });
  std::ranges::sort_heap(picked, comes_before);
}

bool pick_above(std::span<const float> logits,
                float threshold,
                std::size_t most,
                std::vector<Candidate>& picked) {
  picked.clear();
  bool are_more = false;
  for_each_above(logits, threshold, [&](Token token, float logit) {
    if (picked.size() < most) {
      picked.push_back({token, logit});
    } else {
      are_more = true;
      threshold = -kLowest;  // So that it is over soon.
    }
  });
  return !are_more;
}

// The margin leaves the exact cut to llama.cpp.
float reach_of_min_p(float min_p) {
  constexpr float kMargin = 0.01F;
  return min_p > 0 ? kMargin - std::log(min_p) : -kLowest;
}

void pick_min_p(std::span<const float> logits, float min_p, std::vector<Candidate>& picked) {
  picked.clear();
  const Token best = best_token(logits);
  if (best < 0) return;
  const float max = logits[static_cast<std::size_t>(best)];
  pick_above(logits, max - reach_of_min_p(min_p), logits.size(), picked);
}

void pick_top_p(std::span<const float> logits,
                float p,
                float min_p,
                std::vector<Candidate>& picked) {
  picked.clear();
  const Token best = best_token(logits);
  if (best < 0) return;
  const float max = logits[static_cast<std::size_t>(best)];
  const double wanted = static_cast<double>(p) * sum_of_exp(logits, max);

  // Most of the vocabulary is many orders of magnitude less likely than the best token: it counts
  // in the sum, but the flatter the distribution, the more of it must be sorted.  What min-p is
  // going to drop need never be.
  const float enough = reach_of_min_p(min_p);
  for (const float nearness : {4.0F, 8.0F, 16.0F, -kLowest}) {
    const float threshold = max - std::min(nearness, enough);
    picked.clear();
    double sum = 0;
    for_each_above(logits, threshold, [&](Token token, float logit) {
      picked.push_back({token, logit});
      sum += std::exp(logit - max);
    });
    if (sum >= wanted || nearness >= enough) break;
  }
  std::ranges::sort(picked, comes_before);
  double sum = 0;
  for (std::size_t i = 0; i < picked.size() && sum < wanted; ++i) {
    sum += std::exp(picked[i].logit - max);
    if (sum >= wanted) picked.resize(i + 1);
  }
}

}  // namespace llmlocal
