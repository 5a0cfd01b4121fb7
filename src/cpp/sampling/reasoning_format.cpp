#include "sampling/reasoning_format.h"

#include <algorithm>
#include <utility>

namespace llmlocal {
namespace {

bool is_white_space(std::string_view text) {
  return text.find_first_not_of(" \n\r\t") == std::string_view::npos;
}

}  // namespace

ReasoningFormat::ReasoningFormat(Tags tags, std::shared_ptr<const TokenTexts> texts)
    : tags_(std::move(tags)), texts_(std::move(texts)) {
  for (Token token = 0; token < texts_->vocab_size(); ++token) add_crossings(token);
}

// Most tokens do not even have the tag's last byte.
void ReasoningFormat::add_crossings(Token token) {
  const std::string_view text = texts_->text(token);
  const std::string_view closing = tags_.closing.text;
  if (closing.empty()) return;
  for (std::size_t last = text.find(closing.back()); last < text.size();
       last = text.find(closing.back(), last + 1)) {
    if (is_white_space(text.substr(last + 1))) continue;
    const std::size_t most = std::min(closing.size(), last + 1);
    for (std::size_t part = 1; part <= most; ++part) {
      const std::size_t begin = last + 1 - part;
      // A part that does not begin the token must be the whole tag.
      if (begin > 0 && part < closing.size()) continue;
      if (text.substr(begin, part) == closing.substr(closing.size() - part)) {
        crossings_.push_back({token, part});
      }
    }
  }
}

bool ReasoningFormat::is_blank(Token token) const {
  return std::ranges::count(tags_.blanks, token) > 0;
}

bool ReasoningFormat::crosses(const Crossing& crossing, std::string_view tail) const noexcept {
  const std::string_view closing = tags_.closing.text;
  return tail.ends_with(closing.substr(0, closing.size() - crossing.part));
}

bool ReasoningFormat::may_cross(std::string_view tail) const noexcept {
  return std::ranges::any_of(crossings_, [&](const Crossing& each) { return crosses(each, tail); });
}

Tokens ReasoningFormat::crossing_tokens(std::string_view tail) const {
  Tokens tokens;
  for (const Crossing& each : crossings_) {
    if (crosses(each, tail)) tokens.push_back(each.token);
  }
  return tokens;
}

}  // namespace llmlocal
