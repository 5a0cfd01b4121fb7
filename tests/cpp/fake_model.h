// The language of the fake decoder: which token follows a sequence, and what text a token is.
//
// The next token is a hash of everything before it.  So a lost, doubled, swapped or foreign token
// anywhere in a sequence changes all that follows, and a test sees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"
#include "engine/outcome.h"
#include "engine/request.h"
#include "slow_text.h"

namespace llmlocal::testing {

inline std::uint64_t fingerprint(std::span<const Token> tokens) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const Token token : tokens) {
    hash = (hash ^ static_cast<std::uint64_t>(token + 1)) * 0x100000001B3ULL;
  }
  return hash ^ (hash >> 29U);
}

// Letters, characters of two to four bytes in one token and in several, a byte that never makes
// one, a token without text.
inline std::vector<std::string> mixed_pieces() {
  std::vector<std::string> pieces = {
      "\xC3", "\xA9", "\xF0\x9F", "\x98", "\x80", "日", "\xE6\x97", "\xA5", "\xFF", "", "ab", "\n"};
  for (char letter = 'a'; pieces.size() < 31; ++letter) pieces.emplace_back(1, letter);
  pieces.emplace_back("<end>");
  return pieces;
}

struct FakeModel {
  std::vector<std::string> pieces = mixed_pieces();
  bool answers_end = false;  // Whether some answers end by the end token.
  // In place of the hash, where a test needs a certain answer.
  std::function<Token(std::span<const Token> sequence)> script;

  std::int32_t vocab_size() const { return static_cast<std::int32_t>(pieces.size()); }
  Token end_token() const { return vocab_size() - 1; }
  const std::string& piece(Token token) const { return pieces[static_cast<std::size_t>(token)]; }

  Token next(std::span<const Token> sequence) const {
    if (script) return script(sequence);
    const std::uint64_t hash = fingerprint(sequence);
    if (answers_end && (hash >> 40U) % 16 == 0) return end_token();
    return static_cast<Token>(hash % static_cast<std::uint64_t>(end_token()));
  }
};

// A model that answers any prompt of `prompt_size` tokens with these tokens, in order.
inline FakeModel model_that_says(std::vector<std::string> words, std::size_t prompt_size = 1) {
  FakeModel model;
  model.pieces = std::move(words);
  model.pieces.emplace_back("<end>");
  model.script = [end = model.end_token(), prompt_size](std::span<const Token> sequence) {
    return std::min(static_cast<Token>(sequence.size() - prompt_size), end);
  };
  return model;
}

struct Answer {
  Tokens tokens;
  std::string text;
  FinishReason reason = FinishReason::kLength;
  std::optional<std::string> stop_match;
};

// What a request must get, whatever runs beside it: token by token, everything from the start.
inline Answer reference_answer(const FakeModel& model,
                               const RequestSpec& spec,
                               Position context_length) {
  Answer answer;
  if (spec.max_tokens == 0) return answer;
  Tokens sequence = spec.prompt;
  std::string bytes;
  bool is_over = false;
  while (!is_over) {
    const Token token = model.next(sequence);
    if (token == model.end_token()) {
      answer.reason = FinishReason::kStop;
      is_over = true;
    } else {
      const bool context_is_full = sequence.size() >= static_cast<std::size_t>(context_length);
      sequence.push_back(token);
      answer.tokens.push_back(token);
      bytes += model.piece(token);
      is_over =
          context_is_full || answer.tokens.size() >= static_cast<std::size_t>(spec.max_tokens);
    }
    const SlowStop found = slow_stop(slow_decode(bytes, true), spec.stops.strings());
    answer.text = found.text;
    answer.stop_match = found.match;
    if (found.match) answer.reason = FinishReason::kStop;
    is_over = is_over || found.match;
  }
  return answer;
}

}  // namespace llmlocal::testing
