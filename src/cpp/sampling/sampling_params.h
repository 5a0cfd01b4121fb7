// How the next token is chosen.  Every field carries its range, its default and the value that
// switches it off; the order in which they act is llama.cpp's: logit bias, penalties, DRY,
// top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature, then the draw (or Mirostat).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/token.h"

namespace llmlocal {

struct SamplingParams {
  float temperature = 0.7F;   // >= 0; 0 takes the most probable token (greedy).
  std::int32_t top_k = 40;    // >= 0; keep this many most probable tokens; 0 = off.
  float top_p = 0.95F;        // (0, 1]; keep the fewest tokens whose sum reaches this; 1 = off.
  float min_p = 0.05F;        // [0, 1]; drop tokens below this share of the best one; 0 = off.
  float typical_p = 1.0F;     // (0, 1]; locally typical sampling; 1 = off.
  float top_n_sigma = -1.0F;  // Keep logits within n standard deviations of the
                              // best; <= 0 = off.

  std::int32_t repeat_last_n = 64;  // >= 0 tokens that the penalties look back on; 0 = off.
  float repeat_penalty = 1.0F;      // > 0; divides the logits of seen tokens; 1 = off.
  float frequency_penalty = 0.0F;   // Finite; subtracted once per occurrence; 0 = off.
  float presence_penalty = 0.0F;    // Finite; subtracted once if seen at all; 0 = off.

  float dry_multiplier = 0.0F;          // >= 0; 0 = off.
  float dry_base = 1.75F;               // >= 1; growth of the penalty with the repeated length.
  std::int32_t dry_allowed_length = 2;  // >= 0; repeats up to this length are free.
  std::int32_t dry_last_n = 1024;       // >= 0 tokens to search for repeats; 0 = off.
  std::vector<std::string> dry_breakers = {"\n", ":", "\"", "*"};  // Repeats never cross these.

  float xtc_probability = 0.0F;  // [0, 1]; the chance that XTC acts on a token; 0 = off.
  float xtc_threshold = 0.1F;    // [0, 1]; drop all but the least likely above this; > 0.5 = off.

  std::int32_t mirostat = 0;  // 0 = off, 1 or 2: the version; replaces top-k ... XTC.
  float mirostat_tau = 5.0F;  // > 0; the surprise to aim at, in bits.
  float mirostat_eta = 0.1F;  // > 0; how fast it adapts.

  std::vector<std::pair<Token, float>> logit_bias;  // Added to these tokens' logits; -inf bans.
  std::uint64_t seed = 0;  // Of this request's random numbers; 0 is a seed like any other.

  // Throws ParameterError that names the field, its value and its range.
  void validate(std::int32_t vocab_size) const;

  // So little chance is left that it counts as none; logits divided by less would overflow.
  bool is_cold() const { return temperature < 1e-20F; }
  bool is_greedy() const { return is_cold() || (top_k == 1 && mirostat == 0); }
  bool has_penalties() const {
    return repeat_last_n > 0 &&
           (repeat_penalty != 1.0F || frequency_penalty != 0.0F || presence_penalty != 0.0F);
  }
  bool has_dry() const { return dry_multiplier > 0.0F && dry_last_n > 0; }
};

}  // namespace llmlocal
