#include "engine/steps/step_pacer.h"

#include <algorithm>

namespace llmlocal {
namespace {

// Slower news count at once, faster news by and by: a stall is worse than a short piece.
void learn(double& average, double seen) {
  const double weight = seen > average ? 0.5 : 0.2;
  average = average == 0 ? seen : average + weight * (seen - average);
}

}  // namespace

void StepPacer::observe(Position answer_tokens, Position prompt_tokens, double seconds) {
  if (prompt_tokens == 0) {
    if (answer_tokens > 0) learn(answer_step_s_, seconds);
    return;
  }
  // The last few tokens of a prompt say little about the price of a full piece.
  if (prompt_tokens < kMinPiece) return;
  const double answers = answer_tokens > 0 ? answer_step_s_ : 0;
  learn(prompt_token_s_, std::max(seconds - answers, 0.1 * seconds) / prompt_tokens);
}

Position StepPacer::prompt_budget(double spent_s) const {
  const double bound = kMargin * std::max(kFloorSeconds, kAnswerSteps * answer_step_s_);
  const double room = bound - answer_step_s_ - spent_s;
  if (room <= 0) return 0;
  if (prompt_token_s_ == 0) return 2 * kMinPiece;
  // A piece of any length may follow, but the decoder's own limit bounds it anyway.
  const double tokens = std::min(room / prompt_token_s_, 65536.0);
  return std::max(kMinPiece, static_cast<Position>(tokens));
}

}  // namespace llmlocal
