#include "engine/step_plan.h"

#include <algorithm>

namespace llmlocal {
namespace {

// Answers go in the order of their streams: neighbours in the cache, neighbours in the batch.
std::vector<std::size_t> decoding_by_stream(std::span<const RunState> runs) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].decoding) order.push_back(i);
  }
  std::ranges::sort(order, {}, [&](std::size_t i) { return runs[i].stream; });
  return order;
}

Position piece_length(const RunState& run, Position room) {
  const auto end = static_cast<Position>(run.prompt.size());
  const Position stop = run.pause_at > run.evaluated ? std::min(run.pause_at, end) : end;
  return std::min(stop - run.evaluated, room);
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
    const Position length =
        piece_length(run, std::min(prompt_budget - plan.prompt_tokens, free_rows));
    if (length <= 0) continue;
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
