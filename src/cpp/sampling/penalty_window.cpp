#include "sampling/penalty_window.h"

namespace llmlocal {

PenaltyWindow::PenaltyWindow(const SamplingParams& params)
    : length_(params.has_penalties() ? static_cast<std::size_t>(params.repeat_last_n) : 0),
      repeat_(params.repeat_penalty),
      frequency_(params.frequency_penalty),
      presence_(params.presence_penalty) {}

void PenaltyWindow::accept(Token token) {
  if (length_ == 0) return;
  if (window_.size() == length_) {
    const auto oldest = counts_.find(window_.front());
    if (--oldest->second == 0) counts_.erase(oldest);
    window_.pop_front();
  }
  window_.push_back(token);
  ++counts_[token];
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
