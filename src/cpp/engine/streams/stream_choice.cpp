#include "engine/streams/stream_choice.h"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace llmlocal {
namespace {

struct Block {
  StreamId first = -1;  // -1: no stream is active.
  StreamId last = -1;
};

Block active_block(std::span<const StreamView> streams) {
  Block block;
  for (StreamId id = 0; id < static_cast<StreamId>(streams.size()); ++id) {
    if (!streams[id].active) continue;
    if (block.first < 0) block.first = id;
    block.last = id;
  }
  return block;
}

// Inside the block of active streams (a gap), or right beside it.
bool keeps_together(const Block& block, StreamId id) {
  return block.first < 0 || (id >= block.first - 1 && id <= block.last + 1);
}

}  // namespace

Position usable_prefix(const PrefixView& held, Position floor, const Wanted& wanted) {
  const Position length = common_prefix(held, wanted.prompt, wanted.limit);
  if (length >= floor) return length;
  const auto longer = std::ranges::upper_bound(wanted.parts, length, {}, &StateBlob::length);
  return longer == wanted.parts.begin() ? 0 : std::prev(longer)->length;
}

StreamMatch longest_to_copy(std::span<const StreamView> streams, const Wanted& wanted) {
  StreamMatch best;
  for (StreamId id = 0; id < static_cast<StreamId>(streams.size()); ++id) {
    const StreamView& stream = streams[id];
    const Position length = usable_prefix(stream.text, stream.copy_floor, wanted);
    if (length > best.length) best = {id, length};
  }
  return best;
}

StreamMatch longest_to_continue(std::span<const StreamView> streams, const Wanted& wanted) {
  StreamMatch best;
  for (StreamId id = 0; id < static_cast<StreamId>(streams.size()); ++id) {
    const StreamView& stream = streams[id];
    if (stream.active) continue;
    const Position length = usable_prefix(stream.text, stream.floor, wanted);
    if (length > best.length) best = {id, length};
  }
  return best;
}

std::optional<StreamId> choose_stream(std::span<const StreamView> streams,
                                      const Wanted& wanted,
                                      Position best) {
  enum Loss { kNothing, kEmpty, kTail, kAll };
  const auto loss_of = [&](const StreamView& stream) {
    if (stream.text.size() == 0) return kEmpty;
    const Position usable = usable_prefix(stream.text, stream.floor, wanted);
    if (usable == 0 || usable < best) return kAll;
    return usable == static_cast<Position>(stream.text.size()) ? kNothing : kTail;
  };
  const Block block = active_block(streams);
  std::optional<StreamId> chosen;
  std::tuple<bool, Loss, std::uint64_t> chosen_rank;  // Smaller is better.
  for (StreamId id = 0; id < static_cast<StreamId>(streams.size()); ++id) {
    const StreamView& stream = streams[id];
    if (stream.active) continue;
    const std::tuple rank{!keeps_together(block, id), loss_of(stream), stream.last_used};
    if (!chosen || rank < chosen_rank) {
      chosen = id;
      chosen_rank = rank;
    }
  }
  return chosen;
}

std::optional<Move> closing_move(const std::vector<bool>& active) {
  const auto first = std::ranges::find(active, true);
  if (first == active.end()) return std::nullopt;
  const auto gap = std::find(first, active.end(), false);
  auto last = active.end() - 1;  // There is one that is active.
  while (!*last) --last;
  if (gap >= last) return std::nullopt;
  return Move{static_cast<StreamId>(last - active.begin()),
              static_cast<StreamId>(gap - active.begin())};
}

}  // namespace llmlocal
