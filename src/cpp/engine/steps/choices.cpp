#include "engine/steps/choices.h"

#include <algorithm>

namespace llmlocal {
namespace {

// What takes less is made sooner than a thread wakes for it.
constexpr double kLong = 100e-6;

}  // namespace

void Choices::begin(const StepPlan& plan, Running running, int threads) {
  made_.clear();
  for (const RunPart& part : plan.parts) {
    RunningRequest& run = *running[part.run];
    const bool chooses = part.outputs > 0 && !run.reason_to_be_silent();
    if (chooses && run.choice_seconds() >= kLong) add(run, part.output_row(0));
  }
  if (made_.size() < 2) {
    made_.clear();
    return;
  }
  const auto others = static_cast<std::size_t>(std::max(threads - 1, 0));
  helpers_.share(made_.size(), others, [this](std::size_t index) { make(made_[index]); });
}

void Choices::add(RunningRequest& run, std::size_t row) {
  Choice& choice = made_.emplace_back();
  choice.run = &run;
  choice.row = row;
  try {
    choice.logits = decoder_.logits(row);
  } catch (...) {
    choice.error = std::current_exception();
  }
}

// On any thread; what is thrown waits for the engine's.
void Choices::make(Choice& choice) noexcept {
  if (choice.error) return;
  try {
    choice.token = choice.run->choose(choice.logits);
  } catch (...) {
    choice.error = std::current_exception();
  }
}

Token Choices::choose(RunningRequest& run, std::size_t row) {
  const auto made = std::ranges::find(made_, row, &Choice::row);
  if (made == made_.end()) return run.choose(decoder_.logits(row));
  if (made->error) std::rethrow_exception(made->error);
  return made->token;
}

}  // namespace llmlocal
