// The next tokens that a step chooses.
//
// A choice takes some ten microseconds; but milliseconds where all tokens that may come next have
// to be found out, in a pattern and a large vocabulary, or where a sampler orders the whole
// vocabulary.  Such choices of several requests are made side by side, on as many threads as the
// step had: what one of them needs belongs to its request alone.  Used by the engine's thread only.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "base/helper_threads.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "engine/running_request.h"
#include "engine/steps/step_plan.h"

namespace llmlocal {

class Choices {
 public:
  using Running = std::span<const std::unique_ptr<RunningRequest>>;

  explicit Choices(Decoder& decoder) : decoder_(decoder) {}  // Outlives it.

  // Of a step that was just evaluated: makes those first that take long.
  void begin(const StepPlan& plan, Running running, int threads);
  // The next token of this answer, by the logits of this row; to be asked once for each row.
  // Throws what went wrong with it.
  Token choose(RunningRequest& run, std::size_t row);
  // There will be no more steps.
  void end() noexcept { helpers_.end(); }

 private:
  struct Choice {
    RunningRequest* run = nullptr;
    std::size_t row = 0;
    std::span<float> logits;
    Token token = 0;
    std::exception_ptr error;
  };

  void add(RunningRequest& run, std::size_t row);
  static void make(Choice& choice) noexcept;

  Decoder& decoder_;
  std::vector<Choice> made_;  // Of this step, early.
  HelperThreads helpers_;
};

}  // namespace llmlocal
