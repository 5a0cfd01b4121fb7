// What one step evaluates: the running requests' tokens first, then pieces of prompts.
//
// A pure function of the requests' states, so it is tested without a model.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "engine/steps/batch.h"

namespace llmlocal {

// What the plan needs to know of one running request.
struct RunState {
  StreamId stream = -1;
  std::span<const Token> prompt;
  Position evaluated = 0;  // Tokens of the prompt and the answer that are in the stream.
  bool decoding = false;   // The prompt is done, and `next` is to be evaluated.
  Token next = 0;
  Position pause_at = 0;  // A piece of the prompt must end here, so that others can adopt it.
};

// A request's part in the step.
struct RunPart {
  std::size_t run = 0;  // Its index in the list that was given.
  Position tokens = 0;  // How many of its tokens are in the batch.
  std::optional<std::size_t> logits_row;
};

struct StepPlan {
  Batch batch;
  std::vector<RunPart> parts;
  Position prompt_tokens = 0;
  Position answer_tokens = 0;
};

// `runs` in the order of their admission.  `prompt_budget`: tokens of prompts that the step may
// take, and up to a quarter more where that ends a prompt; `capacity`: rows that the batch may
// have, at least one per run.
StepPlan plan_step(std::span<const RunState> runs, Position prompt_budget, std::size_t capacity);

}  // namespace llmlocal
