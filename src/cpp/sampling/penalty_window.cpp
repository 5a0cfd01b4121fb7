#include "sampling/penalty_window.h"

#include <algorithm>

namespace llmlocal {

PenaltyWindow::PenaltyWindow(const SamplingParams& params, std::span<const Token> prompt)
    : length_(params.has_penalties() ? static_cast<std::size_t>(params.repeat_last_n) : 0),
      repeat_(params.repeat_penalty),
      frequency_(params.frequency_penalty),
      presence_(params.presence_penalty) {
  for (const Token token : prompt.last(std::min(prompt.size(), length_))) accept(token);
}

void PenaltyWindow::accept(Token token) {
  if (length_ == 0) return;
  seen_.push_back(token);
  ++counts_[token];
  if (seen_.size() > length_) drop(seen_[seen_.size() - 1 - length_]);
}

void PenaltyWindow::take_back(std::size_t count) {
  if (length_ == 0) return;
  for (; count > 0; --count) {
    if (seen_.size() > length_) ++counts_[seen_[seen_.size() - 1 - length_]];
    drop(seen_.back());
    seen_.pop_back();
  }
}

void PenaltyWindow::drop(Token token) {
  const auto place = counts_.find(token);
  if (--place->second == 0) counts_.erase(place);
}

void PenaltyWindow::apply(std::span<float> logits) const {
  for (const auto& [token, count] : counts_) {
    float& logit = logits[static_cast<std::size_t>(token)];
    // Dividing a negative logit would make the token more likely, so that one is multiplied.
    logit = logit <= 0 ? logit * repeat_ : logit / repeat_;
    logit -= static_cast<float>(count) * frequency_ + presence_;
  }
}

}  // namespace llmlocal
