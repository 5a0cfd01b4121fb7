// Where a request should run and what it should adopt: decisions only, no effects.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/decoder.h"

namespace llmlocal {

// What the placement needs to know of one stream.
struct StreamView {
  PrefixView text;              // Evaluated and still there.
  Position floor = 0;           // It can be cut back to this many tokens or more, or to none.
  Position copy_floor = 0;      // The same for a copy of it.
  bool active = false;          // A request runs in it.
  std::uint64_t last_used = 0;  // Larger is later.
};

// A prompt, and what could bring those back to a beginning of it that can't be cut back.
struct Wanted {
  PrefixView prompt;
  Position limit = 0;  // Tokens of it that may be adopted.
  // Of beginnings of the prompt, the shortest first; see Decoder::save_part().
  std::span<const StateBlob> parts;

  Wanted(const PrefixView& text, Position most, std::span<const StateBlob> kept = {})
      : prompt(text), limit(most), parts(kept) {}
};

// How many tokens of a prompt a holder of `held` can stand for: at most the limit.  Where it can't
// be cut back that far, as many as the longest part that it has all tokens of; or none.
Position usable_prefix(const PrefixView& held, Position floor, const Wanted& wanted);

struct StreamMatch {
  StreamId stream = -1;
  Position length = 0;
};

// The stream whose copy would hold the longest usable prefix of the prompt.
StreamMatch longest_to_copy(std::span<const StreamView> streams, const Wanted& wanted);

// The free stream that can be continued with the longest usable prefix of the prompt.
StreamMatch longest_to_continue(std::span<const StreamView> streams, const Wanted& wanted);

// The free stream to run in, or none.  A batch over streams with a gap between them costs 20 to 40
// % more, so the active ones are kept in one block if that can be had.  Among the candidates comes
// first one that is continued without loss, then an empty one, then one that need only be cut back
// to the `best` usable prefix that there is anywhere, then the least recently used.
std::optional<StreamId> choose_stream(std::span<const StreamView> streams,
                                      const Wanted& wanted,
                                      Position best);

// The move that closes a gap between active streams, if there is one: from the highest active
// stream into the lowest gap.
struct Move {
  StreamId from = -1;
  StreamId to = -1;
};
std::optional<Move> closing_move(const std::vector<bool>& active);

}  // namespace llmlocal
