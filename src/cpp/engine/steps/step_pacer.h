// How many prompt tokens a step may take while other requests wait for their next token.
//
// Learns from the steps' times what an answer's step and a prompt's token cost here, and keeps the
// step under max(4 answer steps, 150 ms): a long prompt must not be felt as a stall, and may not
// starve either.  No clock of its own.
#pragma once

#include "base/token.h"

namespace llmlocal {

class StepPacer {
 public:
  // A step evaluated so many tokens in so long.
  void observe(Position answer_tokens, Position prompt_tokens, double seconds);

  // The share of the next step for prompts, when answers are in it too: at least kMinPiece, or none
  // where what came before the step, such as room made for a request, has spent its time already.
  Position prompt_budget(double spent_s) const;

  static constexpr Position kMinPiece = 16;

 private:
  static constexpr double kFloorSeconds = 0.150;
  static constexpr double kAnswerSteps = 4.0;
  static constexpr double kMargin = 0.8;  // Steps vary; the bound is for the longest one.

  double answer_step_s_ = 0;   // 0: not yet seen.
  double prompt_token_s_ = 0;  // 0: not yet seen.
};

}  // namespace llmlocal
