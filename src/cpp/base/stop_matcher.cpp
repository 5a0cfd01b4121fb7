#include "base/stop_matcher.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace llmlocal {
namespace {

std::vector<std::size_t> borders_of(const std::string& text) {
  std::vector<std::size_t> border(text.size(), 0);
  for (std::size_t i = 1; i < text.size(); ++i) {
    std::size_t length = border[i - 1];
    while (length > 0 && text[i] != text[length]) length = border[length - 1];
    border[i] = text[i] == text[length] ? length + 1 : 0;
  }
  return border;
}

}  // namespace

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  patterns_.reserve(stops.size());
  for (const std::string& stop : stops) {
    assert(!stop.empty());
    patterns_.push_back({stop, borders_of(stop)});
  }
}

void StopMatcher::advance(Pattern& pattern, char byte) {
  std::size_t& matched = pattern.matched;
  while (matched > 0 && pattern.text[matched] != byte) matched = pattern.border[matched - 1];
  if (pattern.text[matched] == byte) ++matched;
}

StopMatcher::Result StopMatcher::push(std::string_view text) {
  if (patterns_.empty()) return {std::string(text), std::nullopt};
  for (const char byte : text) {
    held_ += byte;
    const Pattern* found = nullptr;
    for (Pattern& pattern : patterns_) {
      advance(pattern, byte);
      const bool complete = pattern.matched == pattern.text.size();
      if (complete && (!found || pattern.text.size() > found->text.size())) found = &pattern;
    }
    if (found) {
      held_.resize(held_.size() - found->text.size());
      return {std::exchange(held_, {}), found->text};
    }
  }
  std::size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.matched);
  Result result{held_.substr(0, held_.size() - keep), std::nullopt};
  held_.erase(0, held_.size() - keep);
  return result;
}

std::string StopMatcher::flush() {
  return std::exchange(held_, {});
}

}  // namespace llmlocal
