// The mask of one answer: where it stands in its grammar.
#pragma once

#include <memory>
#include <string>

#include "guidance/vocabulary.h"
#include "sampling/token_mask.h"

namespace llmlocal {

class GrammarMask final : public TokenMask {
 public:
  using Matcher = std::unique_ptr<llg::Matcher, void (*)(llg::Matcher*)>;

  GrammarMask(std::shared_ptr<const Vocabulary> vocabulary, Matcher matcher);

  bool fill(TokenBits bits) noexcept override;
  bool allows(Token token) noexcept override;
  bool is_open() const noexcept override { return false; }
  bool accept(Token token) noexcept override;
  bool take_back(std::size_t count) noexcept override;
  bool may_stop() const noexcept override;
  bool must_stop() const noexcept override;
  std::string error() const override;

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;  // Outlives the matcher.
  Matcher matcher_;
};

}  // namespace llmlocal
