#include "sampling/reasoning_mask.h"

#include <algorithm>
#include <bit>
#include <exception>
#include <utility>

#include "base/errors.h"

namespace llmlocal {
namespace {

constexpr std::size_t kMostBlanks = 2;  // Tokens of white space before an answer.
constexpr std::size_t kLongestCharacter = 4;

void set(TokenBits bits, Token token) {
  const auto index = static_cast<std::size_t>(token);
  bits[index / 32] |= std::uint32_t{1} << index % 32;
}

void clear(TokenBits bits, Token token) {
  const auto index = static_cast<std::size_t>(token);
  bits[index / 32] &= ~(std::uint32_t{1} << index % 32);
}

bool is_in(const Tokens& tokens, Token token) {
  return std::ranges::count(tokens, token) > 0;
}

std::string_view without_space_before(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \n\r\t"), text.size()));
}

// Whether the text ends in the middle of a character of UTF-8.
bool ends_inside_character(std::string_view text) {
  const std::size_t most = std::min(text.size(), kLongestCharacter - 1);
  for (std::size_t back = 1; back <= most; ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0U) == 0x80U) continue;
    // The first byte of a character begins with as many ones as it has bytes, if not with a zero.
    return static_cast<std::size_t>(std::countl_one(byte)) > back;
  }
  return false;
}

}  // namespace

ReasoningMask::ReasoningMask(std::shared_ptr<const ReasoningFormat> format,
                             std::shared_ptr<TokenMask> answer,
                             Options options)
    : format_(std::move(format)), answer_(std::move(answer)), budget_(options.budget) {
  if (answer_ && !answer_->claim()) {
    throw ParameterError("a mask follows one answer, and this one has one");
  }
  state_.may_answer = format_->direct().text.empty();
  if (options.is_open) enter_reasoning({});
}

bool ReasoningMask::fails(std::string why) noexcept {
  error_ = std::move(why);
  return false;
}

bool ReasoningMask::is_open() const noexcept {
  switch (state_.phase) {
    case Phase::kStart:
      return !answer_ || (state_.may_answer && answer_->is_open());
    case Phase::kReasoning:
      return !answer_ || !format_->may_cross(state_.text);
    case Phase::kClosing:
      return false;
    case Phase::kBlank:
    case Phase::kAnswer:
      return !answer_ || answer_->is_open();
  }
  return false;
}

bool ReasoningMask::may_stop() const noexcept {
  if (state_.phase == Phase::kClosing) return false;
  if (!answer_) return true;
  if (state_.phase == Phase::kReasoning) return false;
  return (state_.phase != Phase::kStart || state_.may_answer) && answer_->may_stop();
}

bool ReasoningMask::must_stop() const noexcept {
  const bool is_answer = state_.phase == Phase::kBlank || state_.phase == Phase::kAnswer;
  return is_answer && answer_ && answer_->must_stop();
}

bool ReasoningMask::fill(TokenBits bits) noexcept {
  try {
    switch (state_.phase) {
      case Phase::kStart:
        std::ranges::fill(bits, 0);
        if (state_.may_answer && !fill_answer(bits)) return false;
        for (const Token token : heads()) set(bits, token);
        return true;
      case Phase::kReasoning:
        std::ranges::fill(bits, ~std::uint32_t{0});
        for (const Token token : format_->crossing_tokens(state_.text)) clear(bits, token);
        return true;
      case Phase::kClosing:
        std::ranges::fill(bits, 0);
        set(bits, format_->closing().tokens[state_.tokens]);
        return true;
      case Phase::kBlank:
        if (!fill_answer(bits)) return false;
        if (state_.tokens < kMostBlanks) {
          for (const Token token : format_->blanks()) set(bits, token);
        }
        return true;
      case Phase::kAnswer:
        return fill_answer(bits);
    }
    return false;
  } catch (const std::exception& error) {
    return fails(error.what());
  }
}

bool ReasoningMask::allows(Token token) noexcept {
  try {
    switch (state_.phase) {
      case Phase::kStart:
        return (state_.may_answer && answer_allows(token)) || is_in(heads(), token);
      case Phase::kReasoning:
        return !is_in(format_->crossing_tokens(state_.text), token);
      case Phase::kClosing:
        return token == format_->closing().tokens[state_.tokens];
      case Phase::kBlank:
        return answer_allows(token) || (state_.tokens < kMostBlanks && format_->is_blank(token));
      case Phase::kAnswer:
        return answer_allows(token);
    }
    return false;
  } catch (const std::exception& error) {
    return fails(error.what());
  }
}

bool ReasoningMask::fill_answer(TokenBits bits) {
  if (!answer_ || answer_->is_open()) {
    std::ranges::fill(bits, ~std::uint32_t{0});
    return true;
  }
  return answer_->fill(bits) || fails(answer_->error());
}

// The tokens that begin or continue a tag at the start of the text.
Tokens ReasoningMask::heads() const {
  Tokens heads;
  for (const Tag* tag : {&format_->opening(), &format_->direct()}) {
    const auto [done, next] = std::ranges::mismatch(accepted_, tag->tokens);
    if (done == accepted_.end() && next != tag->tokens.end()) heads.push_back(*next);
  }
  return heads;
}

bool ReasoningMask::accept(Token token) noexcept {
  try {
    before_.push_back(state_);
    accepted_.push_back(token);
    switch (state_.phase) {
      case Phase::kStart:
        return accept_at_start(token);
      case Phase::kReasoning:
        ++state_.tokens;
        reason(format_->text(token));
        return true;
      case Phase::kClosing:
        if (token != format_->closing().tokens[state_.tokens]) return fails("an illegal token");
        if (++state_.tokens == format_->closing().tokens.size()) state_.phase = Phase::kAnswer;
        return true;
      case Phase::kBlank:
        if (format_->is_blank(token) && state_.tokens < kMostBlanks) {
          ++state_.tokens;
          return true;
        }
        return accept_in_answer(token);
      case Phase::kAnswer:
        return accept_in_answer(token);
    }
    return false;
  } catch (const std::exception& error) {
    return fails(error.what());
  }
}

bool ReasoningMask::accept_in_answer(Token token) {
  state_.phase = Phase::kAnswer;
  if (!answer_) return true;
  if (!answer_->accept(token)) return fails(answer_->error());
  ++state_.answered;
  return true;
}

bool ReasoningMask::accept_at_start(Token token) {
  state_.text += format_->text(token);
  const std::string text(without_space_before(state_.text));
  const std::string& opening = format_->opening().text;
  const std::string& direct = format_->direct().text;
  if (text.starts_with(opening)) {
    if (!forget_answer()) return false;
    enter_reasoning(std::string_view(text).substr(opening.size()));
    return true;
  }
  if (!direct.empty() && text.starts_with(direct)) {
    state_.phase = Phase::kAnswer;
    return forget_answer();
  }
  const bool is_answer = !answer_ || (state_.may_answer && answer_allows(token));
  if (opening.starts_with(text) || direct.starts_with(text)) {
    state_.may_answer = state_.may_answer && is_answer;
    if (!is_answer || !answer_) return true;
    const bool accepted = accept_in_answer(token);
    state_.phase = Phase::kStart;
    return accepted;
  }
  return is_answer ? accept_in_answer(token) : fails("neither a tag nor an answer");
}

bool ReasoningMask::answer_allows(Token token) const {
  return !answer_ || answer_->is_open() || answer_->allows(token);
}

// What looked like the beginning of the answer was a tag.
bool ReasoningMask::forget_answer() {
  if (state_.answered == 0) return true;
  const std::size_t count = std::exchange(state_.answered, 0);
  return answer_->take_back(count) || fails(answer_->error());
}

void ReasoningMask::enter_reasoning(std::string_view text) {
  state_.phase = Phase::kReasoning;
  state_.text.clear();
  state_.tokens = 0;
  reason(text);
}

void ReasoningMask::reason(std::string_view text) {
  const std::string& closing = format_->closing().text;
  state_.text += text;
  if (state_.text.find(closing) != std::string::npos) {
    state_ = {Phase::kBlank, {}, 0, 0, true};
    return;
  }
  const std::size_t kept = std::max(closing.size(), kLongestCharacter) - 1;
  if (state_.text.size() > kept) state_.text.erase(0, state_.text.size() - kept);
  const bool is_used_up = budget_ && state_.tokens >= *budget_;
  if (is_used_up && !ends_inside_character(state_.text)) state_ = {Phase::kClosing, {}, 0, 0, true};
}

bool ReasoningMask::take_back(std::size_t count) noexcept {
  try {
    if (count > before_.size()) return fails("more was taken back than there is");
    if (count == 0) return true;
    State then = before_[before_.size() - count];
    if (state_.answered > then.answered && !answer_->take_back(state_.answered - then.answered)) {
      return fails(answer_->error());
    }
    // What was forgotten at the start of the text is the beginning of an answer again.
    for (std::size_t i = state_.answered; i < then.answered; ++i) {
      if (!answer_->accept(accepted_[i])) return fails(answer_->error());
    }
    state_ = std::move(then);
    before_.resize(before_.size() - count);
    accepted_.resize(accepted_.size() - count);
    return true;
  } catch (const std::exception& error) {
    return fails(error.what());
  }
}

}  // namespace llmlocal
