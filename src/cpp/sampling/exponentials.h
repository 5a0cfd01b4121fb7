// Sums of exponentials of logits: what probabilities are shares of.
#pragma once

#include <span>

namespace llmlocal {

// Of e to the power of (logit - max), which no logit may exceed; what is no number counts for
// nothing.  To 1e-6 of the sum.
double sum_of_exp(std::span<const float> logits, float max);

}  // namespace llmlocal
