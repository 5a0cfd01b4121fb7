// Takes a step: plans its batch, evaluates it, samples where there are logits, and delivers.
//
// How many threads do it, and how much of a prompt, it learns from what steps cost.  Used by the
// engine's thread only.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/decoder.h"
#include "engine/failures.h"
#include "engine/running_request.h"
#include "engine/stats.h"
#include "engine/steps/choices.h"
#include "engine/steps/step_pacer.h"
#include "engine/steps/step_plan.h"
#include "engine/steps/thread_governor.h"
#include "engine/streams/stream_pool.h"

namespace llmlocal {

class Evaluator {
 public:
  using Running = Choices::Running;

  // All outlive it.  `closing` ends the step in hand.
  Evaluator(Decoder& decoder,
            StreamPool& pool,
            const Failures& failures,
            const std::atomic<bool>& closing);

  // There was nothing to do for a while.
  void rest() { governor_.rest(); }
  // A step that began at `start`, with what had to be done first.  The requests in its batch fail
  // if it does; the others go on.  Throws where the decoder is beyond use.
  void step(Running running, Clock::time_point start);
  void report(EngineStats& stats) const;
  // There will be no more steps.
  void end() noexcept { choices_.end(); }

 private:
  void evaluate(const StepPlan& plan, Running running);
  DecodeStatus decode(const StepPlan& plan, Running running);
  void harvest(const StepPlan& plan, Running running);
  void harvest_prompt(const RunPart& part, RunningRequest& run);
  void harvest_answer(const RunPart& part, std::span<const Token> tokens, RunningRequest& run);
  std::optional<Token> answer(RunningRequest& run, std::size_t row);
  bool is_worth_a_checkpoint(const RunningRequest& run) const;
  void fail_step(const StepPlan& plan, Running running, const std::exception_ptr& error);
  bool is_pointless(const StepPlan& plan, Running running) const;

  Decoder& decoder_;
  StreamPool& pool_;
  const Failures& failures_;
  const std::atomic<bool>& closing_;
  StepPacer pacer_;
  ThreadGovernor governor_;
  Choices choices_;
  std::uint64_t steps_ = 0;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t completion_tokens_ = 0;
};

}  // namespace llmlocal
