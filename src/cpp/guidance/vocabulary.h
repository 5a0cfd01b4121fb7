// A model's vocabulary as llguidance knows it: the bytes of its tokens, in a tree.
//
// Making one takes 0.1 s for 49,000 tokens and 0.9 s for 262,000, so a model has one, and it is
// made in the background from the moment that constraints are to be expected.  Immutable, and used
// by any number of threads.
#pragma once

#include <cstddef>
#include <future>
#include <memory>
#include <span>
#include <string_view>

#include "base/token.h"
#include "guidance/library.h"

namespace llmlocal {

struct TokenText {
  std::string_view bytes;
  bool is_text = true;  // Else a name: of a control token, which text never matches.
};

class Vocabulary {
 public:
  // Begins to make it.  `texts`: one for each token; they are copied.  `ends`: the tokens that end
  // a text, if there are any.
  Vocabulary(std::shared_ptr<const GuidanceLibrary> library,
             std::span<const TokenText> texts,
             std::span<const Token> ends);

  const llg::Functions& functions() const { return library_->functions(); }
  // Waits until it is made.  Throws ConstraintError where the library refuses the vocabulary.
  const llg::Tokenizer* tokenizer() const;
  std::size_t size() const { return size_; }

 private:
  struct Made;

  std::shared_ptr<const GuidanceLibrary> library_;
  std::size_t size_;
  std::shared_ptr<const Made> made_;  // The thread's until the end; whoever is last frees it.
  std::shared_future<void> end_;
};

}  // namespace llmlocal
