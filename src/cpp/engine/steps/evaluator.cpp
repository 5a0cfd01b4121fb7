#include "engine/steps/evaluator.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

#include "engine/steps/step_watch.h"
#include "engine/streams/checkpoints.h"

namespace llmlocal {
namespace {

// Says when to end a step, as long as there is one.
class AbortCheck {
 public:
  AbortCheck(Decoder& decoder, std::function<bool()> check) : decoder_(decoder) {
    decoder_.set_abort_check(std::move(check));
  }
  ~AbortCheck() { decoder_.set_abort_check({}); }
  AbortCheck(const AbortCheck&) = delete;
  AbortCheck& operator=(const AbortCheck&) = delete;

 private:
  Decoder& decoder_;
};

}  // namespace

Evaluator::Evaluator(Decoder& decoder,
                     StreamPool& pool,
                     const Failures& failures,
                     const std::atomic<bool>& closing)
    : decoder_(decoder),
      pool_(pool),
      failures_(failures),
      closing_(closing),
      governor_(decoder.max_threads()),
      choices_(decoder) {}

void Evaluator::step(Running running, Clock::time_point start) {
  const auto capacity = static_cast<Position>(decoder_.batch_capacity());
  const bool answering =
      std::ranges::any_of(running, [](const auto& run) { return run->state().decoding; });
  const double spent_s = std::chrono::duration<double>(Clock::now() - start).count();
  const StepLimits limits{.prompt_tokens = answering ? pacer_.prompt_budget(spent_s) : capacity,
                          .rows = decoder_.batch_capacity(),
                          .outputs = decoder_.output_capacity()};
  const StepPlan plan = plan_step(states_of(running), limits);
  if (!plan.batch.empty()) evaluate(plan, running);
}

// The step's requests fail if it does; the others go on.
void Evaluator::evaluate(const StepPlan& plan, Running running) {
  try {
    if (decode(plan, running) == DecodeStatus::kOk) {
      harvest(plan, running);
    } else {
      // Its requests are over, and the next step takes them out; or it does the same again with
      // fewer threads.
      for (const RunPart& part : plan.parts) pool_.roll_back(running[part.run]->stream());
    }
  } catch (...) {
    fail_step(plan, running, failures_.as_engine_error(std::current_exception()));
  }
}

DecodeStatus Evaluator::decode(const StepPlan& plan, Running running) {
  decoder_.set_threads(governor_.threads());
  StepWatch watch(governor_, [this] { return decoder_.cpu_seconds(); }, plan.batch.size());
  // What is given up must be undone, which not every memory can.
  const bool may_give_up = !decoder_.copies_whole_only();
  bool gave_up = false;
  const AbortCheck check(decoder_, [&] {
    gave_up = gave_up || (may_give_up && watch.is_hopeless());
    return gave_up || is_pointless(plan, running);
  });
  const DecodeStatus status = decoder_.decode(plan.batch);
  ++steps_;
  const double seconds = watch.seconds();
  const std::optional<double> cpu_seconds = watch.cpu_seconds();
  if (gave_up) governor_.give_up(seconds, cpu_seconds.value_or(0));
  if (status == DecodeStatus::kAborted) return status;
  pacer_.observe(plan.answer_tokens, plan.prompt_tokens, seconds);
  if (!gave_up) governor_.observe(plan.batch.size(), seconds, cpu_seconds);
  return status;
}

// Books what was evaluated, samples where there are logits, and delivers.
void Evaluator::harvest(const StepPlan& plan, Running running) {
  prompt_tokens_ += static_cast<std::uint64_t>(plan.prompt_tokens);
  choices_.begin(plan, running, governor_.threads());
  for (const RunPart& part : plan.parts) {
    RunningRequest& run = *running[part.run];
    const RunState& state = run.state();
    if (state.decoding) {
      pool_.extend(run.stream(), plan.tokens_of(part));
      harvest_answer(part, plan.tokens_of(part), run);
    } else {
      pool_.extend(run.stream(), state.prompt.part(state.evaluated, part.rows));
      harvest_prompt(part, run);
    }
    if (!run.is_over()) failures_.attempt(run, [&] { run.draft(decoder_.context_length()); });
  }
}

void Evaluator::harvest_prompt(const RunPart& part, RunningRequest& run) {
  run.advance(part.rows);
  if (is_worth_a_checkpoint(run)) pool_.checkpoint(run.stream());
  failures_.attempt(run, [&] {
    run.tell_prompt_done();
    if (run.is_scored()) {
      for (std::size_t i = 0; i < part.outputs; ++i) {
        run.score(decoder_.logits(part.output_row(i)), Clock::now());
      }
    } else if (part.outputs > 0) {
      answer(run, part.output_row(0));
    }
  });
}

// Drafts hold as far as they are what is chosen; the rest is given up.
void Evaluator::harvest_answer(const RunPart& part,
                               std::span<const Token> tokens,
                               RunningRequest& run) {
  std::size_t kept = 0;
  failures_.attempt(run, [&] {
    std::optional<Token> chosen;
    do {
      run.advance(1);
      ++kept;
      chosen = answer(run, part.output_row(kept - 1));
    } while (!run.is_over() && kept < part.rows && chosen == tokens[kept]);
  });
  pool_.cut(run.stream(), part.rows - kept);
}

// The next token of the answer; nothing if there is none.
std::optional<Token> Evaluator::answer(RunningRequest& run, std::size_t row) {
  const Clock::time_point now = Clock::now();
  if (const auto reason = run.reason_to_be_silent()) {
    run.end(*reason, now);
    return std::nullopt;
  }
  const Token token = choices_.choose(run, row);
  ++completion_tokens_;
  run.accept(token, decoder_, now);
  return token;
}

// The one moment at which this prefix can be kept for others: at a stop that was made for it, and
// at the end of a prompt that can't be cut out of the stream later.
bool Evaluator::is_worth_a_checkpoint(const RunningRequest& run) const {
  const RunState& state = run.state();
  if (state.decoding || !decoder_.copies_whole_only()) return false;
  if (run.is_at_pause()) return true;
  const bool is_new = state.evaluated - run.last_pause() >= kCheckpointGap;
  return run.prompt_is_done() && is_new && decoder_.trim_floor(run.stream()) >= state.evaluated;
}

// Throws where the decoder is beyond use.
void Evaluator::fail_step(const StepPlan& plan, Running running, const std::exception_ptr& error) {
  const Clock::time_point now = Clock::now();
  for (const RunPart& part : plan.parts) running[part.run]->fail(error, now);
  for (const RunPart& part : plan.parts) pool_.clear(running[part.run]->stream());
}

// Nobody waits for the result any more.  Asked many times while the decoder works, so the clock is
// read only where it matters.
bool Evaluator::is_pointless(const StepPlan& plan, Running running) const {
  if (closing_.load(std::memory_order_relaxed)) return true;
  return std::ranges::all_of(plan.parts, [&](const RunPart& part) {
    const Request& request = running[part.run]->request();
    if (request.is_cancelled()) return true;
    return request.has_deadline() && request.is_late(Clock::now());
  });
}

void Evaluator::report(EngineStats& stats) const {
  stats.threads = governor_.threads();
  stats.steps = steps_;
  stats.prompt_tokens = prompt_tokens_;
  stats.completion_tokens = completion_tokens_;
}

}  // namespace llmlocal
