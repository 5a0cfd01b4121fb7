// The repeat, frequency and presence penalties over the last tokens of a request.
//
// Touches only the logits of the distinct tokens in the window, a few dozen, instead of asking for
// each token of the vocabulary whether it is among them.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <unordered_map>

#include "base/token.h"
#include "sampling/sampling_params.h"

namespace llmlocal {

class PenaltyWindow {
 public:
  explicit PenaltyWindow(const SamplingParams& params);

  void accept(Token token);
  void apply(std::span<float> logits) const;

 private:
  std::size_t length_;
  float repeat_;
  float frequency_;
  float presence_;
  std::deque<Token> window_;
  std::unordered_map<Token, std::int32_t> counts_;
};

}  // namespace llmlocal
