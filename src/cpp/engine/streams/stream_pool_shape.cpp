// How many streams a pool has, how long they are, and which of them lie side by side.
#include <algorithm>
#include <functional>
#include <new>
#include <tuple>
#include <utility>

#include "base/errors.h"
#include "engine/streams/stream_pool.h"
#include "engine/streams/works.h"

namespace llmlocal {

std::vector<Move> StreamPool::reshape(std::span<const Position> running,
                                      std::span<const Position> waiting) {
  const auto may_have = [this](CacheShape wanted) { return budget_.allows(shape(), wanted); };
  const ShapeBounds bounds{shortest_room_, decoder_.context_length(), most_streams(), may_have};
  while (room() > 0) {
    const CacheShape wanted = choose_shape(shape(), running, waiting, bounds);
    if (wanted == shape()) return {};
    if (auto moves = change_to(wanted)) return std::move(*moves);
    budget_.refuse(shape(), wanted);
  }
  return {};
}

// The streams that are there still in a cache of this shape, in their order: those in use, and the
// latest of the others.
std::vector<StreamId> StreamPool::kept_in(CacheShape shape) const {
  std::vector<StreamId> kept;
  for (StreamId id = 0; id < streams(); ++id) {
    const bool active = streams_[static_cast<std::size_t>(id)].active;
    if (active || length(id) <= shape.room) kept.push_back(id);
  }
  std::ranges::stable_sort(kept, std::greater{}, [this](StreamId id) {
    const Stream& stream = streams_[static_cast<std::size_t>(id)];
    return std::tuple(stream.active, !stream.key.empty(), stream.last_used);
  });
  kept.resize(std::min(kept.size(), static_cast<std::size_t>(shape.streams)));
  std::ranges::sort(kept);
  return kept;
}

// Nothing: it could not, and what was there still is.
std::optional<std::vector<Move>> StreamPool::change_to(CacheShape shape) {
  try {
    const std::vector<StreamId> kept = kept_in(shape);
    std::vector<Stream> changed(static_cast<std::size_t>(shape.streams));
    std::vector<Move> moves;
    moves.reserve(kept.size());
    for (StreamId id = 0; id < streams(); ++id) {
      if (!std::ranges::binary_search(kept, id)) save_tail(id, 0);
    }
    const std::vector<bool> survived = decoder_.reshape(kept, shape);
    for (std::size_t i = 0; i < kept.size(); ++i) {
      Stream& stream = at(kept[i]);
      if (!survived[i]) stream.key.shorten(0);
      const Move move{kept[i], static_cast<StreamId>(i)};
      if (stream.active && move.from != move.to) moves.push_back(move);
      changed[i] = std::move(stream);
    }
    streams_ = std::move(changed);
    return moves;
  } catch (...) {
    // As for works(): a decoder that is beyond use will say so in the next step.
    return std::nullopt;
  }
}

void StreamPool::restart(Position wanted_room) {
  const Position target =
      doubled(std::max(room(), shortest_room_), wanted_room, decoder_.context_length());
  for (StreamId id = 0; id < streams(); ++id) save_tail(id, 0);
  for (Stream& stream : streams_) stream.key.shorten(0);
  streams_.resize(1);
  try {
    decoder_.restart(target);
    return;
  } catch (const OutOfMemoryError&) {
    if (store_.size() == 0) throw;
  } catch (const std::bad_alloc&) {
    if (store_.size() == 0) throw;
  }
  // A request comes before what others might reuse.
  store_.clear();
  decoder_.restart(target);
}

std::optional<Move> StreamPool::gap() const {
  std::vector<bool> active;
  active.reserve(streams_.size());
  for (const Stream& stream : streams_) active.push_back(stream.active);
  return closing_move(active);
}

bool StreamPool::has_gap() const {
  return gap().has_value();
}

std::optional<Move> StreamPool::close_gap() {
  const std::optional<Move> move = gap();
  if (!move) return std::nullopt;
  save_tail(move->to, 0);
  clear(move->to);
  if (!works([&] { return decoder_.copy(move->from, move->to); })) {
    clear(move->to);
    return std::nullopt;
  }
  std::swap(at(move->to), at(move->from));
  clear(move->from);
  return move;
}

}  // namespace llmlocal
