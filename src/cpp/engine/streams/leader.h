// Requests that arrive together with the same long text must not each evaluate it.
//
// One leads; the others wait until it has passed the shared part and adopt it.  Waiting never costs
// them time: prompts are evaluated in the order of admission, so the leader's shared part would run
// before theirs in any case.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/steps/step_plan.h"

namespace llmlocal {

struct Leader {
  std::size_t run = 0;  // Its index in the list that was given.
  Position shared = 0;  // The tokens that it will have evaluated for the other one.
};

// The running prompt that is worth waiting for, if there is one.  `held`: how much of `prompt`
// could be adopted now.
std::optional<Leader> find_leader(std::span<const RunState> runs,
                                  const PrefixView& prompt,
                                  Position held);

}  // namespace llmlocal
