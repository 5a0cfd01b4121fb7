#include "base/stop_matcher.h"

namespace llmlocal {

StopMatcher::Result StopMatcher::push(std::string_view text) {
  if (stops_.is_empty()) return {std::string(text), std::nullopt};
  for (const char byte : text) {
    held_ += byte;
    state_ = stops_.next(state_, byte);
    if (const std::size_t length = stops_.matched(state_)) {
      const std::size_t begin = held_.size() - length;
      std::string match = held_.substr(begin);
      held_.resize(begin);
      return {std::exchange(held_, {}), std::move(match)};
    }
  }
  const std::size_t free = held_.size() - stops_.begun(state_);
  Result result{held_.substr(0, free), std::nullopt};
  held_.erase(0, free);
  return result;
}

std::string StopMatcher::flush() {
  return std::exchange(held_, {});
}

}  // namespace llmlocal
