#include "engine/engine.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

#include "base/errors.h"
#include "engine/leader.h"
#include "engine/step_watch.h"

namespace llmlocal {
namespace {

// A gap between active streams costs a part of every step, closing it a copy of
// one stream: worth it once the gap has lasted a while.
constexpr int kStepsBeforeClosingGap = 8;

// Tokens that its stream holds after its next step, at most.
Position room_needed(const RunState& state) {
  return std::max(static_cast<Position>(state.prompt.size()), state.evaluated + 1);
}

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

Engine::Engine(std::unique_ptr<Decoder> decoder, const CacheOptions& options)
    : decoder_(std::move(decoder)),
      context_length_(decoder_->context_length()),
      vocab_size_(decoder_->vocab_size()),
      pool_(*decoder_, options),
      governor_(decoder_->max_threads()) {
  publish_stats();
  thread_ = std::thread(&Engine::run, this);
}

Engine::~Engine() {
  close();
}

std::vector<std::shared_ptr<Request>> Engine::submit(std::vector<RequestSpec> specs) {
  for (const RequestSpec& spec : specs) spec.validate(context_length_, vocab_size_);
  std::vector<std::shared_ptr<Request>> requests;
  requests.reserve(specs.size());
  Queue arriving;
  for (RequestSpec& spec : specs) {
    requests.push_back(std::make_shared<Request>(std::move(spec)));
    arriving.push_back({requests.back(), {}, {}});
  }
  {
    const std::lock_guard lock(mutex_);
    if (stopped_by_) std::rethrow_exception(stopped_by_);
    inbox_.splice(inbox_.end(), arriving);
  }
  work_.notify_one();
  return requests;
}

void Engine::close() {
  closing_ = true;
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_by_) stopped_by_ = closed_;
  }
  work_.notify_one();
  const std::lock_guard lock(close_mutex_);
  if (thread_.joinable()) thread_.join();
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = published_;
  stats.waiting += inbox_.size();
  return stats;
}

void Engine::run() noexcept {
  std::exception_ptr reason = closed_;
  try {
    while (receive()) {
      try {
        step();
      } catch (const std::bad_alloc&) {
        // No memory for the books of the engine, which still agree with the decoder.
        fail_all(out_of_memory_);
      }
    }
  } catch (...) {
    reason = as_engine_error(std::current_exception());
  }
  stop(reason);
  decoder_.reset();
}

bool Engine::receive() {
  std::unique_lock lock(mutex_);
  const bool idle = running_.empty() && waiting_.empty();
  if (idle) {
    work_.wait(lock, [this] { return closing_ || !inbox_.empty(); });
    governor_.rest();
    pool_.rest();
  }
  counters_.requests += inbox_.size();
  waiting_.splice(waiting_.end(), inbox_);
  return !closing_;
}

void Engine::step() {
  const Clock::time_point start = Clock::now();
  end_stopped();
  tidy_streams();
  make_room();
  admit();
  retire_finished();  // Those for which there is no room.
  const auto capacity = static_cast<Position>(decoder_->batch_capacity());
  const bool answering =
      std::ranges::any_of(running_, [](const auto& run) { return run->state().decoding; });
  const double spent_s = std::chrono::duration<double>(Clock::now() - start).count();
  const Position prompt_budget = answering ? pacer_.prompt_budget(spent_s) : capacity;
  const StepPlan plan = plan_step(run_states(), prompt_budget, decoder_->batch_capacity());
  if (!plan.batch.empty()) evaluate(plan);
  retire_finished();
}

// Takes out what was cancelled or is late.
void Engine::end_stopped() {
  const Clock::time_point now = Clock::now();
  const auto reason_to_end = [&](const Request& request) -> std::optional<FinishReason> {
    if (request.is_cancelled()) return FinishReason::kCancelled;
    if (request.is_late(now)) return FinishReason::kTimeout;
    return std::nullopt;
  };
  for (const auto& run : running_) {
    if (const auto reason = reason_to_end(run->request())) {
      attempt(*run, [&] { run->end(*reason, now); });
    }
  }
  for (auto queued = waiting_.begin(); queued != waiting_.end();) {
    const auto each = queued++;
    if (const auto reason = reason_to_end(*each->request)) leave_queue(each, *reason, nullptr, now);
  }
  retire_finished();
}

void Engine::leave_queue(Queue::iterator queued,
                         FinishReason reason,
                         const std::exception_ptr& error,
                         Clock::time_point now) noexcept {
  if (queued->run) {
    RunningRequest& run = *queued->run;
    attempt(run, [&] {
      if (error) {
        run.fail(error, now);
      } else {
        run.end(reason, now);
      }
    });
  } else {
    queued->outcome = outcome_without_running(*queued->request, reason, now);
    queued->outcome.error = error;
  }
  leaving_.splice(leaving_.end(), waiting_, queued);
}

void Engine::tidy_streams() {
  steps_with_gap_ = pool_.has_gap() ? steps_with_gap_ + 1 : 0;
  if (steps_with_gap_ < kStepsBeforeClosingGap) return;
  steps_with_gap_ = 0;
  if (const auto move = pool_.close_gap()) follow({&*move, 1});
}

// All at once: one may go where another one was.
void Engine::follow(std::span<const Move> moves) {
  for (const auto& run : running_) {
    const auto move = std::ranges::find(moves, run->stream(), &Move::from);
    if (move != moves.end()) run->move_to(move->to);
  }
}

// For the texts that run to go on, and for those that may be let in.
void Engine::make_room() {
  reshape_streams();
  while (auto* const run = latest_that_outgrew_its_stream()) {
    attempt(**run, [&] { preempt(*run); });
    std::erase(running_, nullptr);
    reshape_streams();
  }
  for (const auto& run : running_) {
    const bool lost_all = pool_.length(run->stream()) < run->state().evaluated;
    if (lost_all) attempt(*run, [&] { run->start_over(); });
  }
}

std::unique_ptr<RunningRequest>* Engine::latest_that_outgrew_its_stream() {
  for (auto& run : std::views::reverse(running_)) {
    if (!run->is_over() && room_needed(run->state()) > pool_.room()) return &run;
  }
  return nullptr;
}

void Engine::reshape_streams() {
  const auto most = static_cast<std::size_t>(pool_.most_streams());
  std::vector<Position> running;
  running.reserve(running_.size());
  for (const auto& run : running_) running.push_back(room_needed(run->state()));
  std::vector<Position> waiting;
  for (const Queued& each : waiting_) {
    if (running.size() + waiting.size() >= most) break;
    waiting.push_back(each.text_length());
  }
  follow(pool_.reshape(running, waiting));
}

// A text that outgrew its stream gives it up, and is the first to have a longer one.
void Engine::preempt(std::unique_ptr<RunningRequest>& run) {
  Queue queue;
  queue.push_back({run->shared_request(), {}, {}});
  run->start_over();
  pool_.release(run->stream());
  queue.front().run = std::move(run);
  waiting_.splice(waiting_.begin(), queue);
}

// In the order of arrival; one that waits for its leader lets others pass.
void Engine::admit() {
  for (auto queued = waiting_.begin(); queued != waiting_.end();) {
    const auto each = queued++;
    const bool has_stream = pool_.active() < pool_.streams();
    if (has_stream && each->text_length() > pool_.room()) {
      // It needs the memory of others, first of those that are free, then of all.
      if (pool_.active() > 0) return;
      if (!restart_for(each)) continue;
    }
    admit_one(each);
  }
}

// False: there is not enough memory for this request, even alone.
bool Engine::restart_for(Queue::iterator queued) {
  std::exception_ptr error;
  try {
    pool_.restart(queued->text_length());
    return true;
  } catch (const OutOfMemoryError&) {
    error = std::current_exception();
  } catch (const std::bad_alloc&) {
    error = out_of_memory_;
  }
  leave_queue(queued, FinishReason::kCancelled, error, Clock::now());
  return false;
}

// Leaves it where it is if it must wait for a stream or for a leader.
void Engine::admit_one(Queue::iterator queued) {
  const bool has_room = pool_.active() < pool_.streams();
  if (!has_room && !decoder_->copies_whole_only()) return;
  const std::span<const Token> text = queued->text();
  const std::vector<RunState> runs = run_states();
  if (const auto leader = find_leader(runs, text, pool_.held_prefix(text))) {
    // Where a state can be adopted only as a whole, the leader makes a stop there, also for those
    // that must wait for a stream in any case.
    if (decoder_->copies_whole_only()) running_[leader->run]->pause_at(leader->shared);
    return;
  }
  if (!has_room) return;
  if (!queued->run) {
    try {
      queued->run = std::make_unique<RunningRequest>(
          queued->request,
          decoder_->make_sampler(queued->request->spec().sampling, text),
          Clock::now());
    } catch (...) {
      const std::exception_ptr error = as_engine_error(std::current_exception());
      leave_queue(queued, FinishReason::kCancelled, error, Clock::now());
      return;
    }
  }
  running_.reserve(running_.size() + 1);
  const auto lease = pool_.acquire(text);
  if (!lease) return;
  queued->run->enter(lease->stream, lease->reused);
  running_.push_back(std::move(queued->run));
  waiting_.erase(queued);
  counters_.cached_tokens += static_cast<std::uint64_t>(lease->reused);
  counters_.prefix_hits += lease->reused > 0 ? 1 : 0;
}

// The step's requests fail if it does; the others go on.
void Engine::evaluate(const StepPlan& plan) {
  try {
    if (decode(plan) == DecodeStatus::kOk) {
      harvest(plan);
    } else {
      // Its requests are over, and the next step takes them out; or it does the same again with
      // fewer threads.
      for (const RunPart& part : plan.parts) pool_.roll_back(running_[part.run]->stream());
    }
  } catch (...) {
    fail_step(plan, as_engine_error(std::current_exception()));
  }
}

DecodeStatus Engine::decode(const StepPlan& plan) {
  decoder_->set_threads(governor_.threads());
  StepWatch watch(governor_, plan.batch.size(), decoder_->keeps_threads_busy());
  // What is given up must be undone, which not every memory can.
  const bool may_give_up = !decoder_->copies_whole_only();
  bool gave_up = false;
  const AbortCheck check(*decoder_, [&] {
    gave_up = gave_up || (may_give_up && watch.is_hopeless());
    return gave_up || step_is_pointless(plan);
  });
  const DecodeStatus status = decoder_->decode(plan.batch);
  ++counters_.steps;
  const double seconds = watch.seconds();
  const std::optional<double> cpu_seconds = watch.cpu_seconds();
  if (gave_up) governor_.give_up(seconds, cpu_seconds.value_or(0));
  if (status == DecodeStatus::kAborted) return status;
  pacer_.observe(plan.answer_tokens, plan.prompt_tokens, seconds);
  if (!gave_up) governor_.observe(plan.batch.size(), seconds, cpu_seconds);
  return status;
}

// Books what was evaluated, samples where there are logits, and delivers.
void Engine::harvest(const StepPlan& plan) {
  counters_.prompt_tokens += static_cast<std::uint64_t>(plan.prompt_tokens);
  std::size_t row = 0;
  for (const RunPart& part : plan.parts) {
    RunningRequest& run = *running_[part.run];
    const auto count = static_cast<std::size_t>(part.tokens);
    pool_.extend(run.stream(), std::span(plan.batch.tokens).subspan(row, count));
    row += count;
    run.advance(part.tokens);
    if (is_worth_a_checkpoint(run)) pool_.checkpoint(run.stream());
    if (!part.logits_row) continue;
    const Clock::time_point now = Clock::now();
    if (run.request().spec().max_tokens == 0) {
      run.end(FinishReason::kLength, now);
      continue;
    }
    attempt(run, [&] {
      const Token token = run.sampler().sample(decoder_->logits(*part.logits_row));
      ++counters_.completion_tokens;
      run.accept(token, *decoder_, now);
    });
  }
}

// What can't be done for one request fails that one alone.
template <typename Work>
void Engine::attempt(RunningRequest& run, Work&& work) {
  try {
    work();
  } catch (...) {
    run.fail(as_engine_error(std::current_exception()), Clock::now());
  }
}

// The one moment at which this prefix can be kept for others: where a follower waits for it, and
// at the end of a prompt that can't be cut out of the stream later.
bool Engine::is_worth_a_checkpoint(const RunningRequest& run) const {
  const RunState& state = run.state();
  if (state.decoding || !decoder_->copies_whole_only()) return false;
  if (state.evaluated == state.pause_at) return true;
  return run.prompt_is_done() && decoder_->trim_floor(run.stream()) >= state.evaluated;
}

// Throws where the decoder is beyond use.
void Engine::fail_step(const StepPlan& plan, const std::exception_ptr& error) {
  const Clock::time_point now = Clock::now();
  for (const RunPart& part : plan.parts) running_[part.run]->fail(error, now);
  for (const RunPart& part : plan.parts) pool_.clear(running_[part.run]->stream());
}

// Nobody waits for the result any more.  Asked many times while the decoder works, so the clock is
// read only where it matters.
bool Engine::step_is_pointless(const StepPlan& plan) const {
  if (closing_.load(std::memory_order_relaxed)) return true;
  return std::ranges::all_of(plan.parts, [&](const RunPart& part) {
    const Request& request = running_[part.run]->request();
    if (request.is_cancelled()) return true;
    return request.has_deadline() && request.is_late(Clock::now());
  });
}

std::vector<RunState> Engine::run_states() const {
  std::vector<RunState> states;
  states.reserve(running_.size());
  for (const auto& run : running_) states.push_back(run->state());
  return states;
}

// Frees the streams of finished requests first and tells their consumers last,
// so that whoever learns of an end finds it in the statistics.
void Engine::retire_finished() noexcept {
  for (const auto& run : running_) {
    if (run->is_over()) pool_.release(run->stream());
  }
  publish_stats();
  std::erase_if(running_, [](const auto& run) {
    if (run->is_over()) run->announce();
    return run->is_over();
  });
  for (Queued& each : leaving_) {
    if (each.run) {
      each.run->announce();
    } else {
      each.request->channel().finish(std::move(each.outcome));
    }
  }
  leaving_.clear();
}

void Engine::fail_all(const std::exception_ptr& error) noexcept {
  const Clock::time_point now = Clock::now();
  for (const auto& run : running_) run->fail(error, now);
  while (!waiting_.empty()) leave_queue(waiting_.begin(), FinishReason::kCancelled, error, now);
  pool_.release_all();  // Also one that was taken for a request that is not running yet.
  retire_finished();
}

void Engine::stop(const std::exception_ptr& error) noexcept {
  {
    const std::lock_guard lock(mutex_);
    // An engine that failed says why; one that was closed has said so already.
    if (!stopped_by_) stopped_by_ = error;
    waiting_.splice(waiting_.end(), inbox_);
  }
  fail_all(error);
}

// The error as it should reach callers: ours as it is, anything else wrapped with its text.
std::exception_ptr Engine::as_engine_error(const std::exception_ptr& error) const noexcept {
  try {
    try {
      std::rethrow_exception(error);
    } catch (const Error&) {
      return error;
    } catch (const std::bad_alloc&) {
      return out_of_memory_;
    } catch (const std::exception& other) {
      const std::string text = std::string("the engine failed: ") + other.what();
      return std::make_exception_ptr(EngineError(text));
    } catch (...) {
      return std::make_exception_ptr(EngineError("the engine failed for an unknown reason"));
    }
  } catch (...) {
    return out_of_memory_;  // Not even for the text.
  }
}

void Engine::publish_stats() {
  EngineStats stats = counters_;
  stats.streams = pool_.streams();
  stats.streams_active = pool_.active();
  stats.streams_limit = pool_.limit();
  stats.stream_tokens = pool_.room();
  stats.stream_bytes = decoder_->stream_bytes(pool_.room());
  stats.waiting = waiting_.size();
  stats.store_bytes = pool_.store().bytes();
  stats.store_budget = pool_.store().budget();
  stats.store_entries = pool_.store().size();
  stats.threads = governor_.threads();
  const std::lock_guard lock(mutex_);
  published_ = stats;
}

}  // namespace llmlocal
