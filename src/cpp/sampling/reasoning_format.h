// How a model sets its reasoning apart from its answer, as text and as tokens.
//
// Shared by all requests to a model: finding out which tokens reach across the closing tag looks at
// the whole vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "sampling/token_texts.h"

namespace llmlocal {

// A tag, and the tokens that a model is trained to write it with; it may use others.
struct Tag {
  std::string text;
  Tokens tokens;
};

class ReasoningFormat {
 public:
  struct Tags {
    Tag opening;
    Tag closing;    // Its tokens end the reasoning at any place: with white space around them.
    Tag direct;     // What stands before an answer without reasoning; mostly nothing.
    Tokens blanks;  // Tokens of white space that may stand between closing and answer.
  };

  ReasoningFormat(Tags tags, std::shared_ptr<const TokenTexts> texts);

  const Tag& opening() const { return tags_.opening; }
  const Tag& closing() const { return tags_.closing; }
  const Tag& direct() const { return tags_.direct; }
  bool is_blank(Token token) const;
  const Tokens& blanks() const { return tags_.blanks; }
  std::string_view text(Token token) const noexcept { return texts_->text(token); }

  // The tokens that would complete the closing tag after a text with this end, and go on with the
  // answer: nobody could hold that part of the answer to anything.
  Tokens crossing_tokens(std::string_view tail) const;
  bool may_cross(std::string_view tail) const noexcept;

 private:
  // A token that has the last `part` bytes of the closing tag in it, and something else after them.
  struct Crossing {
    Token token = 0;
    std::size_t part = 0;
  };

  void add_crossings(Token token);
  bool crosses(const Crossing& crossing, std::string_view tail) const noexcept;

  Tags tags_;
  std::shared_ptr<const TokenTexts> texts_;
  std::vector<Crossing> crossings_;
};

}  // namespace llmlocal
