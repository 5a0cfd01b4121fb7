// How many streams the KV cache has and how long they are: decisions only, no effects.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/token.h"

namespace llmlocal {

struct CacheShape {
  StreamId streams = 1;
  Position room = 0;  // Tokens that each of them can hold.

  bool operator==(const CacheShape&) const = default;
};

// Between which lengths the streams may be, and what else there is to be had.
struct ShapeBounds {
  Position shortest = 0;
  Position longest = 0;
  StreamId most_streams = 1;
  std::function<bool(CacheShape)> may_have;
};

// The shape for the texts that run and for those that wait, given by their lengths.  Those that run
// come first, then as many of the others as there can be, in their order; none passes another. What
// is there stays unless another shape has twice as many run; what is added is added by doubling.
CacheShape choose_shape(CacheShape now,
                        std::span<const Position> running,
                        std::span<const Position> waiting,
                        const ShapeBounds& bounds);

// `now` doubled until it is `wanted` or more, but no more than `most`.
constexpr std::int32_t doubled(std::int32_t now, std::int32_t wanted, std::int32_t most) {
  while (now < wanted && now < most) now = now > most / 2 ? most : now * 2;
  return now;
}

}  // namespace llmlocal
