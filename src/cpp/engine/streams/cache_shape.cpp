#include "engine/streams/cache_shape.h"

#include <algorithm>
#include <cstddef>

namespace llmlocal {
namespace {

struct Fitted {
  CacheShape shape;  // Of no more streams than are needed.
  std::size_t let_in = 0;
};

// What has room for `room` tokens, or more where a text needs it.
Fitted fit(Position room,
           std::span<const Position> running,
           std::span<const Position> waiting,
           const ShapeBounds& bounds) {
  Fitted fitted{{static_cast<StreamId>(running.size()), room}};
  const auto takes = [&](StreamId streams, Position length) {
    const CacheShape shape{streams, doubled(fitted.shape.room, length, bounds.longest)};
    if (!bounds.may_have(shape)) return false;
    fitted.shape = shape;
    return true;
  };
  for (const Position length : running) takes(fitted.shape.streams, length);
  while (fitted.let_in < waiting.size() &&
         takes(fitted.shape.streams + 1, waiting[fitted.let_in])) {
    ++fitted.let_in;
  }
  return fitted;
}

// The least room that takes from those that run nothing of what they have.
Position shortest_room(CacheShape now,
                       std::span<const Position> running,
                       const ShapeBounds& bounds) {
  Position length = 0;
  for (const Position each : running) length = std::max(length, each);
  return doubled(std::min(bounds.shortest, now.room), std::min(length, now.room), now.room);
}

}  // namespace

CacheShape choose_shape(CacheShape now,
                        std::span<const Position> running,
                        std::span<const Position> waiting,
                        const ShapeBounds& bounds) {
  Fitted best = fit(now.room, running, waiting, bounds);
  if (best.let_in < waiting.size()) {
    const Fitted shorter = fit(shortest_room(now, running, bounds), running, waiting, bounds);
    // It costs a copy of all there is, and another one when a long text comes: not for a few more.
    const bool is_worth_it = running.size() + shorter.let_in >= 2 * (running.size() + best.let_in);
    if (shorter.let_in > 0 && is_worth_it) best = shorter;
  }
  CacheShape shape{doubled(now.streams, best.shape.streams, bounds.most_streams), best.shape.room};
  while (shape.streams > best.shape.streams && !bounds.may_have(shape)) --shape.streams;
  return shape;
}

}  // namespace llmlocal
