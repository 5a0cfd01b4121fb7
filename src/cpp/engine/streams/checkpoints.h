// Where a prompt is worth a stop, so that its state there can be kept: decisions only, no effects.
//
// Some memories (recurrent, hybrid, sliding windows) can't be cut back, so that a state serves only
// texts that begin with all of it.  A later turn, an edited last message or another question on the
// same text begins with whole messages, or with what two prompts have in common.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/token.h"

namespace llmlocal {

// Positions between `reused`, from where the prompt is evaluated, and its end; ascending, and few:
// the end of the first message (mostly the system's) and of the last ones, and `parting`, up to
// where the prompt is the same as another one.
std::vector<Position> choose_checkpoints(std::span<const Token> prompt,
                                         Position reused,
                                         Position parting,
                                         const std::function<bool(Token)>& ends_message);

// Checkpoints that are closer than this are not worth a second copy.
inline constexpr Position kCheckpointGap = 16;

}  // namespace llmlocal
