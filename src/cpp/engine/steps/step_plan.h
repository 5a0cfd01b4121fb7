// What one step evaluates: the running requests' tokens first, then pieces of prompts.
//
// A pure function of the requests' states, so it is tested without a model.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/steps/batch.h"

namespace llmlocal {

// What the plan needs to know of one running request.
struct RunState {
  StreamId stream = -1;
  PrefixView prompt;
  Position evaluated = 0;       // Tokens of the prompt and the answer that are in the stream.
  bool decoding = false;        // The prompt is done, and `next` is to be evaluated.
  std::span<const Token> next;  // The answer's last token, and then drafts of what may follow it.
  Position pause_at = 0;        // A piece of the prompt must end here, so that others can adopt it.
  // The logits of the prompt's tokens from here on are wanted; those of its last one always are.
  Position logits_from = std::numeric_limits<Position>::max();
};

// A request's part in the step.
struct RunPart {
  std::size_t run = 0;        // Its index in the list that was given.
  std::size_t first_row = 0;  // Of the batch.
  std::size_t rows = 0;
  std::size_t outputs = 0;  // So many rows have logits, the last ones.

  std::size_t output_row(std::size_t i) const { return first_row + rows - outputs + i; }
};

struct StepPlan {
  Batch batch;
  std::vector<RunPart> parts;
  Position prompt_tokens = 0;
  Position answer_tokens = 0;

  std::span<const Token> tokens_of(const RunPart& part) const {
    return std::span(batch.tokens).subspan(part.first_row, part.rows);
  }
};

struct StepLimits {
  // Tokens of prompts that the step may take, and up to a quarter more where that ends a prompt.
  Position prompt_tokens = 0;
  // Rows that the batch may have, and how many of them may have logits; at least one per run.
  std::size_t rows = 0;
  std::size_t outputs = 0;
};

// `runs` in the order of their admission.
StepPlan plan_step(std::span<const RunState> runs, const StepLimits& limits);

}  // namespace llmlocal
