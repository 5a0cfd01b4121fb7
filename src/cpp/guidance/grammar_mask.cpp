#include "guidance/grammar_mask.h"

#include <utility>

namespace llmlocal {

GrammarMask::GrammarMask(std::shared_ptr<const Vocabulary> vocabulary, Matcher matcher)
    : vocabulary_(std::move(vocabulary)), matcher_(std::move(matcher)) {}

bool GrammarMask::fill(TokenBits bits) noexcept {
  return vocabulary_->functions().matcher_compute_mask_into(
             matcher_.get(), bits.data(), bits.size_bytes()) == 0;
}

bool GrammarMask::allows(Token token) noexcept {
  const auto id = static_cast<std::uint32_t>(token);
  return vocabulary_->functions().matcher_validate_tokens(matcher_.get(), &id, 1) == 1;
}

bool GrammarMask::accept(Token token) noexcept {
  return vocabulary_->functions().matcher_consume_token(matcher_.get(),
                                                        static_cast<std::uint32_t>(token)) == 0;
}

bool GrammarMask::take_back(std::size_t count) noexcept {
  return vocabulary_->functions().matcher_rollback(matcher_.get(), count) == 0;
}

bool GrammarMask::may_stop() const noexcept {
  return vocabulary_->functions().matcher_is_accepting(matcher_.get());
}

bool GrammarMask::must_stop() const noexcept {
  // A broken matcher says that it is stopped, too.
  const llg::Functions& functions = vocabulary_->functions();
  return functions.matcher_is_stopped(matcher_.get()) &&
         !functions.matcher_is_error(matcher_.get());
}

std::string GrammarMask::error() const {
  const char* const text = vocabulary_->functions().matcher_get_error(matcher_.get());
  return text ? text : "";
}

}  // namespace llmlocal
