#include "sampling/constraint.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>

#include "base/errors.h"

namespace llmlocal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr float kNoChance = -std::numeric_limits<float>::infinity();
constexpr std::size_t kWord = 32;
constexpr std::uint32_t kAll = ~std::uint32_t{0};

// Whole words at a time: most of them allow nothing, or all.
void keep_only(std::span<const std::uint32_t> bits, std::span<float> logits) {
  for (std::size_t word = 0; word < bits.size(); ++word) {
    const std::size_t first = word * kWord;
    const std::span<float> part = logits.subspan(first, std::min(kWord, logits.size() - first));
    const std::uint32_t legal = bits[word];
    if (legal == kAll) continue;
    if (legal == 0) {
      std::ranges::fill(part, kNoChance);
      continue;
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      if ((legal >> i & 1U) == 0) part[i] = kNoChance;
    }
  }
}

std::size_t count(std::span<const std::uint32_t> bits) {
  std::size_t count = 0;
  for (const std::uint32_t word : bits) count += static_cast<std::size_t>(std::popcount(word));
  return count;
}

void list(std::span<const std::uint32_t> bits, Tokens& tokens) {
  tokens.clear();
  for (std::size_t word = 0; word < bits.size(); ++word) {
    for (std::uint32_t left = bits[word]; left != 0; left &= left - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(left));
      tokens.push_back(static_cast<Token>(word * kWord + bit));
    }
  }
}

}  // namespace

std::span<const Token> Constraint::apply(std::span<float> logits) {
  if (mask_->is_open()) {
    if (mask_->may_stop()) return {};
    for (const Token end : ends_) logits[static_cast<std::size_t>(end)] = kNoChance;
    return {};
  }
  const Clock::time_point start = Clock::now();
  fill(logits.size());
  // From one text that is dear to the next there are some places that are not.
  apply_s_ = std::max(std::chrono::duration<double>(Clock::now() - start).count(), apply_s_ / 2);
  const std::size_t legal = count(bits_);
  if (legal == 0) {
    throw ConstraintError("the constraint has come to a point where no token of the model fits");
  }
  if (legal > kFew) {
    keep_only(bits_, logits);
    return {};
  }
  list(bits_, few_);
  return few_;
}

// Whatever is beyond the vocabulary is not legal.
void Constraint::fill(std::size_t vocab_size) {
  bits_.resize((vocab_size + kWord - 1) / kWord);
  require(mask_->fill(bits_));
  if (vocab_size % kWord != 0) bits_.back() &= kAll >> (kWord - vocab_size % kWord);
  const bool may_stop = mask_->may_stop();
  for (const Token end : ends_) {
    const auto index = static_cast<std::size_t>(end);
    const std::uint32_t bit = std::uint32_t{1} << index % kWord;
    bits_[index / kWord] = may_stop ? bits_[index / kWord] | bit : bits_[index / kWord] & ~bit;
  }
}

bool Constraint::allows(Token token) {
  if (std::ranges::count(ends_, token) > 0) return mask_->may_stop();
  return mask_->is_open() || mask_->allows(token);
}

void Constraint::accept(Token token) {
  require(mask_->accept(token));
}

void Constraint::take_back(std::size_t count) {
  require(mask_->take_back(count));
}

void Constraint::require(bool works) const {
  if (!works) throw ConstraintError("the constraint failed: " + mask_->error());
}

}  // namespace llmlocal
