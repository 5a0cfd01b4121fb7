// The one comparison that prefix reuse is made of.
#pragma once

#include <algorithm>
#include <span>

#include "base/token.h"

namespace llmlocal {

// How many tokens `a` and `b` have in common at their front.
inline Position common_prefix(std::span<const Token> a, std::span<const Token> b) {
  return static_cast<Position>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace llmlocal
