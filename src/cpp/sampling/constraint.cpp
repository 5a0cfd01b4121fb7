#include "sampling/constraint.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/errors.h"

namespace llmlocal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr float kNoChance = -std::numeric_limits<float>::infinity();
constexpr std::size_t kWord = 32;
constexpr std::uint32_t kAll = ~std::uint32_t{0};

// Whole words at a time: most of them allow nothing, or all.  False: no token is left.
bool keep_only(std::span<const std::uint32_t> bits, std::span<float> logits) {
  std::uint32_t any = 0;
  for (std::size_t word = 0; word < bits.size(); ++word) {
    const std::size_t first = word * kWord;
    const std::span<float> part = logits.subspan(first, std::min(kWord, logits.size() - first));
    const std::uint32_t legal = bits[word];
    any |= part.size() == kWord ? legal : legal & ((std::uint32_t{1} << part.size()) - 1);
    if (legal == kAll) continue;
    if (legal == 0) {
      std::ranges::fill(part, kNoChance);
      continue;
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      if ((legal >> i & 1U) == 0) part[i] = kNoChance;
    }
  }
  return any != 0;
}

}  // namespace

void Constraint::apply(std::span<float> logits) {
  const bool may_stop = mask_->may_stop();
  if (mask_->is_open()) {
    if (may_stop) return;
    for (const Token end : ends_) logits[static_cast<std::size_t>(end)] = kNoChance;
    return;
  }
  const Clock::time_point start = Clock::now();
  bits_.resize((logits.size() + kWord - 1) / kWord);
  require(mask_->fill(bits_));
  for (const Token end : ends_) {
    const auto index = static_cast<std::size_t>(end);
    const std::uint32_t bit = std::uint32_t{1} << index % kWord;
    bits_[index / kWord] = may_stop ? bits_[index / kWord] | bit : bits_[index / kWord] & ~bit;
  }
  if (!keep_only(bits_, logits)) {
    throw ConstraintError("the constraint has come to a point where no token of the model fits");
  }
  apply_s_ = std::chrono::duration<double>(Clock::now() - start).count();
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
