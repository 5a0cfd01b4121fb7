#include "engine/streams/leader.h"

#include <algorithm>

namespace llmlocal {
namespace {

// Sharing fewer tokens than this is not worth the copy.
constexpr Position kWorthWaiting = 16;

}  // namespace

std::optional<Leader> find_leader(std::span<const RunState> runs,
                                  const PrefixView& prompt,
                                  Position held) {
  std::optional<Leader> best;
  const auto limit = static_cast<Position>(prompt.size()) - 1;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunState& run = runs[i];
    if (run.decoding) continue;
    const Position shared = common_prefix(run.prompt, prompt, limit);
    const bool ahead = run.evaluated < shared;
    // What is held may be no more than the leader's own beginning: then the rest of the shared part
    // is only a moment away, however short.
    const Position elsewhere = held > run.evaluated ? held : 0;
    if (ahead && shared >= elsewhere + kWorthWaiting && (!best || shared > best->shared)) {
      best = Leader{i, shared};
    }
  }
  return best;
}

}  // namespace llmlocal
