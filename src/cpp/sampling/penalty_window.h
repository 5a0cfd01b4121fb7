// The repeat, frequency and presence penalties over the last tokens of a request.
//
// Touches only the logits of the distinct tokens in the window, a few dozen, instead of asking for
// each token of the vocabulary whether it is among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>

#include "base/token.h"
#include "sampling/sampling_params.h"

namespace llmlocal {

class PenaltyWindow {
 public:
  // Over a text that begins with `prompt`.
  PenaltyWindow(const SamplingParams& params, std::span<const Token> prompt);

  void accept(Token token);
  // The last `count` that were accepted; never one of the prompt.
  void take_back(std::size_t count);
  void apply(std::span<float> logits) const;

 private:
  void drop(Token token);

  std::size_t length_;
  float repeat_;
  float frequency_;
  float presence_;
  Tokens seen_;  // Those in the window are the last; what left it may come back.
  std::unordered_map<Token, std::int32_t> counts_;  // In the window.
};

}  // namespace llmlocal
