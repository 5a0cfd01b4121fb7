// Lets a model reason before it answers: holds only the answer to a mask, and ends reasoning that
// takes too long.
//
// Whether the text is in the reasoning is told by its bytes, as the reader of the answer does: a
// model may spell a tag with other tokens than usual.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "sampling/reasoning_format.h"
#include "sampling/token_mask.h"

namespace llmlocal {

class ReasoningMask : public TokenMask {
 public:
  struct Options {
    bool is_open = false;  // The prompt ends inside of reasoning.
    std::optional<std::size_t> budget =
        std::nullopt;  // Tokens of reasoning after which it is closed.
  };

  // `answer`: what the answer is held to; may be null.  Throws ParameterError if that mask follows
  // another answer already.
  ReasoningMask(std::shared_ptr<const ReasoningFormat> format,
                std::shared_ptr<TokenMask> answer,
                Options options);

  bool fill(TokenBits bits) noexcept override;
  bool allows(Token token) noexcept override;
  bool is_open() const noexcept override;
  bool accept(Token token) noexcept override;
  bool take_back(std::size_t count) noexcept override;
  bool may_stop() const noexcept override;
  bool must_stop() const noexcept override;
  std::string error() const override { return error_; }

 private:
  enum class Phase {
    kStart,      // It is not clear yet whether there will be reasoning.
    kReasoning,  //
    kClosing,    // The budget is used up: nothing but the closing tag may come.
    kBlank,      // The reasoning is over; white space may come, and then the answer.
    kAnswer
  };
  struct State {
    Phase phase = Phase::kStart;
    std::string text;  // Of the start; or the end of the reasoning, as long as the closing tag.
    std::size_t tokens = 0;    // Accepted in this phase.
    std::size_t answered = 0;  // Accepted by the answer's mask.
    bool may_answer = true;    // What has come may be the beginning of the answer.
  };

  bool fails(std::string why) noexcept;
  bool answer_allows(Token token) const;
  bool fill_answer(TokenBits bits);
  bool accept_in_answer(Token token);
  bool accept_at_start(Token token);
  void enter_reasoning(std::string_view text);
  void reason(std::string_view text);
  bool forget_answer();
  Tokens heads() const;

  std::shared_ptr<const ReasoningFormat> format_;
  std::shared_ptr<TokenMask> answer_;
  std::optional<std::size_t> budget_;
  State state_;
  std::vector<State> before_;  // Each token that was accepted.
  Tokens accepted_;
  std::string error_;
};

}  // namespace llmlocal
