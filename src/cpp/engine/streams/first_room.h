// For how many tokens a KV cache has room at first; it grows where a request is longer.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/token.h"

namespace llmlocal {

inline constexpr Position kShortRoom = 1024;  // Most requests are no longer.

// Clearing the whole cache takes a quarter of a load, and on CPUs its keys and values then lie so
// far apart that answers are 4 % slower (SmolLM2-135M, `whole` 4,096).  But what is not taken now
// may be gone later, and growing needs memory for old and new together: so what is much of the
// `free` bytes is taken at once.  `free` 0: not known.
inline Position first_room(Position whole, std::size_t token_bytes, std::size_t free) {
  const bool is_little = token_bytes * static_cast<std::size_t>(whole) <= free / 4;
  const bool is_worth_it = token_bytes > 0;
  return is_little && is_worth_it ? std::min(kShortRoom, whole) : whole;
}

}  // namespace llmlocal
