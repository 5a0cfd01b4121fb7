#include "engine/steps/step_plan.h"

#include <algorithm>

namespace llmlocal {
namespace {

// Of a second prompt in a step nothing smaller is begun: llama.cpp evaluates sequences with
// different numbers of tokens one after another, so that a few tokens cost as much as many.
constexpr Position kSmallestBeginning = 16;

// llama.cpp reads a stream's cache up to the next multiple of so many tokens, whatever part of it
// is in use, so a piece of a prompt that goes a little beyond one reads much more than it has to.
// On a 2-core Xeon a prompt of 1,150 tokens that starts between two of them is 3 % faster in pieces
// that end there.
constexpr Position kReadAtOnce = 256;
constexpr Position kLongPrompt = 2 * kReadAtOnce;  // What a step more pays for.

// Answers go in the order of their streams: neighbours in the cache, neighbours in the batch.
std::vector<std::size_t> decoding_by_stream(std::span<const RunState> runs) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].decoding) order.push_back(i);
  }
  std::ranges::sort(order, {}, [&](std::size_t i) { return runs[i].stream; });
  return order;
}

// Tokens up to the prompt's end, or to where it pauses.
Position tokens_left(const RunState& run) {
  const auto end = static_cast<Position>(run.prompt.size());
  const Position stop = run.pause_at > run.evaluated ? std::min(run.pause_at, end) : end;
  return stop - run.evaluated;
}

Position ceil_div(Position dividend, Position divisor) {
  return (dividend + divisor - 1) / divisor;
}

// Of pieces of like length, at most `most`, that end where llama.cpp would have to read more: the
// furthest such place in reach, or the next one.
Position even_piece(Position start, Position most) {
  const Position in_reach = (start + most) / kReadAtOnce * kReadAtOnce;
  const Position end = in_reach > start ? in_reach : in_reach + kReadAtOnce;
  return ceil_div(end - start, ceil_div(end - start, most));
}

}  // namespace

StepPlan plan_step(std::span<const RunState> runs, const StepLimits& limits) {
  StepPlan plan;
  const std::vector<std::size_t> decoding = decoding_by_stream(runs);
  // Beyond one of each run.
  std::size_t spare_outputs = limits.outputs - std::min(limits.outputs, runs.size());
  std::size_t spare_rows = limits.rows - std::min(limits.rows, decoding.size());
  for (const std::size_t i : decoding) {
    const RunState& run = runs[i];
    const std::size_t drafts = std::min({run.next.size() - 1, spare_outputs, spare_rows});
    spare_outputs -= drafts;
    spare_rows -= drafts;
    plan.parts.push_back({i, plan.batch.size(), drafts + 1, drafts + 1});
    for (std::size_t row = 0; row <= drafts; ++row) {
      const Position position = run.evaluated + static_cast<Position>(row);
      plan.batch.add(run.next[row], position, run.stream, true);
      ++plan.answer_tokens;
    }
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunState& run = runs[i];
    if (run.decoding) continue;
    const auto free_rows = static_cast<Position>(limits.rows - plan.batch.size());
    const Position room = limits.prompt_tokens - plan.prompt_tokens;
    const Position left = tokens_left(run);
    const Position wanted = left <= room + room / 4 ? left : room;
    const Position last = static_cast<Position>(run.prompt.size()) - 1;
    const Position logits_from = std::min(run.logits_from, last);
    const auto outputs = static_cast<Position>(spare_outputs) + 1;
    const Position until_full = std::max(logits_from - run.evaluated, 0) + outputs;
    Position length = std::min({wanted, free_rows, until_full});
    const bool is_long = left > std::max(length, kLongPrompt);
    if (is_long && length > 0 && plan.answer_tokens == 0) {
      length = even_piece(run.evaluated, length);
    }
    const bool is_sliver = length < kSmallestBeginning && length < left;
    if (length <= 0 || (plan.prompt_tokens > 0 && is_sliver)) continue;
    RunPart part{i, plan.batch.size(), static_cast<std::size_t>(length), 0};
    for (Position position = run.evaluated; position < run.evaluated + length; ++position) {
      const bool wants_logits = position >= logits_from;
      const Token token = run.prompt.tokens[static_cast<std::size_t>(position)];
      plan.batch.add(token, position, run.stream, wants_logits);
      part.outputs += wants_logits ? 1 : 0;
    }
    spare_outputs -= part.outputs - std::min<std::size_t>(part.outputs, 1);
    plan.prompt_tokens += length;
    plan.parts.push_back(part);
  }
  return plan;
}

}  // namespace llmlocal
