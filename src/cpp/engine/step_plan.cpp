#include "engine/step_plan.h"

#include <algorithm>

namespace llmlocal {
namespace {

// Of a second prompt in a step nothing smaller is begun: llama.cpp evaluates sequences with
// different numbers of tokens one after another, so that a few tokens cost as much as many.
constexpr Position kSmallestBeginning = 16;

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

}  // namespace

StepPlan plan_step(std::span<const RunState> runs, Position prompt_budget, std::size_t capacity) {
  StepPlan plan;
  for (const std::size_t i : decoding_by_stream(runs)) {
    const RunState& run = runs[i];
    plan.parts.push_back({i, 1, plan.batch.add(run.next, run.evaluated, run.stream, true)});
    ++plan.answer_tokens;
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunState& run = runs[i];
    if (run.decoding) continue;
    const auto free_rows = static_cast<Position>(capacity - plan.batch.size());
    const Position room = prompt_budget - plan.prompt_tokens;
    const Position left = tokens_left(run);
    const Position wanted = left <= room + room / 4 ? left : room;
    const Position length = std::min(wanted, free_rows);
    const bool is_sliver = length < kSmallestBeginning && length < left;
    if (length <= 0 || (plan.prompt_tokens > 0 && is_sliver)) continue;
    RunPart part{i, length, std::nullopt};
    for (Position position = run.evaluated; position < run.evaluated + length; ++position) {
      const auto index = static_cast<std::size_t>(position);
      const bool last = index + 1 == run.prompt.size();
      const std::size_t row = plan.batch.add(run.prompt[index], position, run.stream, last);
      if (last) part.logits_row = row;
    }
    plan.prompt_tokens += length;
    plan.parts.push_back(part);
  }
  return plan;
}

}  // namespace llmlocal
