#include "engine/token_channel.h"

#include <utility>

namespace llmlocal {

void TokenChannel::push(TokenEvent event) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (outcome_) return;
    events_.push_back(std::move(event));
    wake = wake_for_tokens_;
    announce_locked();
  }
  if (wake) changed_.notify_one();
}

void TokenChannel::finish(Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    if (outcome_) return;
    outcome_ = std::make_shared<const Outcome>(std::move(outcome));
    announce_locked();
  }
  changed_.notify_one();
}

TokenChannel::Read TokenChannel::read(std::chrono::milliseconds timeout, Until until) {
  std::unique_lock lock(mutex_);
  wake_for_tokens_ = until == Until::kNews;
  changed_.wait_for(
      lock, timeout, [&] { return outcome_ || (wake_for_tokens_ && !events_.empty()); });
  wake_for_tokens_ = false;
  announced_ = false;
  return {std::exchange(events_, {}), outcome_};
}

void TokenChannel::announce_on(std::shared_ptr<ReadyQueue> queue, RequestId id, Until until) {
  const std::lock_guard lock(mutex_);
  ready_ = std::move(queue);
  ready_id_ = id;
  announced_ = false;
  announce_until_ = until;
  if (outcome_ || !events_.empty()) announce_locked();
}

void TokenChannel::announce_locked() {
  if (!ready_ || announced_ || (announce_until_ == Until::kEnd && !outcome_)) return;
  announced_ = true;
  ready_->push(ready_id_);
}

}  // namespace llmlocal
