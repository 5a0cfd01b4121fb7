#include "engine/token_channel.h"

#include <utility>

namespace llmlocal {

void TokenChannel::push(TokenEvent event) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return;
    events_.push_back(std::move(event));
    wake = wake_for_tokens_;
  }
  if (wake) changed_.notify_one();
}

void TokenChannel::tell_prompt_done(Position tokens) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return;
    prompt_done_ = tokens;
    prompt_has_news_ = true;
    wake = wake_for_tokens_;
  }
  if (wake) changed_.notify_one();
}

void TokenChannel::announce_news() noexcept {
  const std::lock_guard lock(mutex_);
  if (has_news()) announce_locked();
}

void TokenChannel::finish(Outcome outcome) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return;
    *outcome_ = std::move(outcome);
    is_over_ = true;
    announce_locked();
  }
  changed_.notify_one();
}

TokenChannel::Read TokenChannel::read(std::chrono::milliseconds timeout, Until until) {
  std::unique_lock lock(mutex_);
  wake_for_tokens_ = until == Until::kNews;
  changed_.wait_for(lock, timeout, [&] { return is_over_ || (wake_for_tokens_ && has_news()); });
  wake_for_tokens_ = false;
  prompt_has_news_ = false;
  if (ready_ && announcement_.empty()) announcement_.push_back(ready_id_);
  return {std::exchange(events_, {}), prompt_done_, is_over_ ? outcome_ : nullptr};
}

void TokenChannel::announce_on(std::shared_ptr<ReadyQueue> queue, RequestId id, Until until) {
  std::list<RequestId> announcement{id};
  const std::lock_guard lock(mutex_);
  ready_ = std::move(queue);
  ready_id_ = id;
  announcement_.swap(announcement);
  announce_until_ = until;
  if (is_over_ || has_news()) announce_locked();
}

void TokenChannel::announce_locked() noexcept {
  const bool is_news = is_over_ || announce_until_ == Until::kNews;
  if (is_news && !announcement_.empty()) ready_->take(announcement_);
}

}  // namespace llmlocal
