#include "engine/scheduler.h"

#include <algorithm>
#include <cstddef>
#include <new>
#include <optional>
#include <utility>

#include "base/errors.h"
#include "engine/streams/checkpoints.h"
#include "engine/streams/leader.h"

namespace llmlocal {
namespace {

// A gap between active streams costs a part of every step, closing it a copy of one stream: worth
// it once the gap has lasted a while.
constexpr int kStepsBeforeClosingGap = 8;

// Tokens that its stream holds after its next step, at most.
Position room_needed(const RunState& state) {
  const auto next = static_cast<Position>(std::max<std::size_t>(state.next.size(), 1));
  return std::max(static_cast<Position>(state.prompt.size()), state.evaluated + next);
}

bool arrived_later(const RunningRequest& run, const RunningRequest& other) {
  return run.request().submitted() > other.request().submitted();
}

}  // namespace

Scheduler::Scheduler(Decoder& decoder, const CacheOptions& options, const Failures& failures)
    : decoder_(decoder), failures_(failures), pool_(decoder, options) {}

void Scheduler::add(Queue& arriving) noexcept {
  requests_ += arriving.size();
  waiting_.splice(waiting_.end(), arriving);
}

void Scheduler::end_stopped() {
  const Clock::time_point now = Clock::now();
  const auto reason_to_end = [&](const Request& request) -> std::optional<FinishReason> {
    if (request.is_cancelled()) return FinishReason::kCancelled;
    if (request.is_late(now)) return FinishReason::kTimeout;
    return std::nullopt;
  };
  for (const auto& run : running_) {
    if (const auto reason = reason_to_end(run->request())) {
      failures_.attempt(*run, [&] { run->end(*reason, now); });
    }
  }
  for (auto queued = waiting_.begin(); queued != waiting_.end();) {
    const auto each = queued++;
    if (const auto reason = reason_to_end(*each->request)) leave_queue(each, *reason, nullptr, now);
  }
}

void Scheduler::leave_queue(Queue::iterator queued,
                            FinishReason reason,
                            const std::exception_ptr& error,
                            Clock::time_point now) noexcept {
  if (queued->run) {
    RunningRequest& run = *queued->run;
    failures_.attempt(run, [&] {
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

void Scheduler::admit() {
  tidy_streams();
  start_reading();
  make_room();
  let_in();
  waits_for_disk_ = running_.empty() && !waiting_.empty();
}

void Scheduler::tidy_streams() {
  steps_with_gap_ = pool_.has_gap() ? steps_with_gap_ + 1 : 0;
  if (steps_with_gap_ < kStepsBeforeClosingGap) return;
  steps_with_gap_ = 0;
  if (const auto move = pool_.close_gap()) follow({&*move, 1});
}

// All at once: one may go where another one was.
void Scheduler::follow(std::span<const Move> moves) {
  for (const auto& run : running_) {
    const auto move = std::ranges::find(moves, run->stream(), &Move::from);
    if (move != moves.end()) run->move_to(move->to);
  }
}

// The file of who is next is read while room is made for it.
void Scheduler::start_reading() {
  if (waiting_.empty() || pool_.active() >= pool_.most_streams()) return;
  Queued& next = waiting_.front();
  if (!next.reading) pool_.is_at_hand(next.reusable_text(), next.reading);
}

// For the texts that run to go on, and for those that may be let in.
void Scheduler::make_room() {
  reshape_streams();
  while (auto* const run = latest_that_outgrew_its_stream()) {
    failures_.attempt(**run, [&] { preempt(*run); });
    std::erase(running_, nullptr);
    reshape_streams();
  }
  for (const auto& run : running_) {
    const bool lost_all = pool_.length(run->stream()) < run->state().evaluated;
    if (lost_all) failures_.attempt(*run, [&] { run->start_over(); });
  }
}

std::unique_ptr<RunningRequest>* Scheduler::latest_that_outgrew_its_stream() {
  std::unique_ptr<RunningRequest>* latest = nullptr;
  for (auto& run : running_) {
    if (run->is_over() || room_needed(run->state()) <= pool_.room()) continue;
    if (latest == nullptr || !arrived_later(**latest, *run)) latest = &run;
  }
  return latest;
}

void Scheduler::reshape_streams() {
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

// A text that outgrew its stream gives it up, and waits before all that came later.
void Scheduler::preempt(std::unique_ptr<RunningRequest>& run) {
  Queue queue;
  queue.push_back({.request = run->shared_request()});
  run->start_over();
  pool_.release(run->stream());
  queue.front().run = std::move(run);
  const auto place = std::ranges::find_if(waiting_, [&](const Queued& each) {
    return each.request->submitted() > queue.front().request->submitted();
  });
  waiting_.splice(place, queue);
}

// In the order of arrival.  Those who wait for a leader, or for a file, let others pass, but each
// keeps a stream for itself: it needs one in a moment, and would take that of a text that others
// still wait for.
void Scheduler::let_in() {
  StreamId followers = 0;
  for (auto queued = waiting_.begin(); queued != waiting_.end();) {
    const auto each = queued++;
    const bool has_stream = pool_.active() + followers < pool_.streams();
    if (has_stream && each->text_length() > pool_.room()) {
      // It needs the memory of others, first of those that are free, then of all.
      if (pool_.active() > 0) return;
      if (!restart_for(each)) continue;
    }
    if (admit_one(each, has_stream) == Admission::kFollows) ++followers;
  }
}

// False: there is not enough memory for this request, even alone.
bool Scheduler::restart_for(Queue::iterator queued) {
  std::exception_ptr error;
  try {
    pool_.restart(queued->text_length());
    return true;
  } catch (const OutOfMemoryError&) {
    error = std::current_exception();
  } catch (const std::bad_alloc&) {
    error = failures_.out_of_memory();
  }
  leave_queue(queued, FinishReason::kCancelled, error, Clock::now());
  return false;
}

// Leaves it where it is if it must wait for a stream, for a leader or for a file.
Scheduler::Admission Scheduler::admit_one(Queue::iterator queued, bool has_stream) {
  if (!has_stream && !decoder_.copies_whole_only()) return Admission::kWaits;
  const PrefixView text = queued->reusable_text();
  const std::vector<RunState> runs = states_of(running_);
  if (const auto leader = find_leader(runs, text, pool_.held_prefix(text))) {
    // Where a state can be adopted only as a whole, the leader makes a stop there, also for those
    // that must wait for a stream in any case.
    if (decoder_.copies_whole_only()) running_[leader->run]->pause_at(leader->shared);
    return Admission::kFollows;
  }
  if (!has_stream) return Admission::kWaits;
  if (!pool_.is_at_hand(text, queued->reading)) return Admission::kFollows;
  if (!queued->run) {
    try {
      queued->run = std::make_unique<RunningRequest>(queued->request, Clock::now());
    } catch (...) {
      const std::exception_ptr error = failures_.as_engine_error(std::current_exception());
      leave_queue(queued, FinishReason::kCancelled, error, Clock::now());
      return Admission::kLeft;
    }
  }
  running_.reserve(running_.size() + 1);
  const Position parting = decoder_.copies_whole_only() ? pool_.parting(text) : 0;
  const auto lease = pool_.acquire(text, queued->reading.get());
  if (!lease) return Admission::kWaits;
  queued->reading.reset();
  queued->run->enter(lease->stream, lease->reused);
  plan_checkpoints(*queued->run, parting);
  running_.push_back(std::move(queued->run));
  waiting_.erase(queued);
  cached_tokens_ += static_cast<std::uint64_t>(lease->reused);
  prefix_hits_ += lease->reused > 0 ? 1 : 0;
  return Admission::kLeft;
}

// Where a state stands for all of its tokens or for none, later prompts can adopt only what was
// kept on the way.
void Scheduler::plan_checkpoints(RunningRequest& run, Position parting) {
  if (!decoder_.copies_whole_only()) return;
  const auto ends_message = [this](Token token) { return decoder_.is_end(token); };
  const RunState& state = run.state();
  for (const Position each :
       choose_checkpoints(state.prompt.tokens, state.evaluated, parting, ends_message)) {
    run.pause_at(each);
  }
}

void Scheduler::release_finished() noexcept {
  for (const auto& run : running_) {
    if (run->is_over()) pool_.release(run->stream());
  }
}

void Scheduler::announce_finished() noexcept {
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

void Scheduler::announce_news() noexcept {
  for (const auto& run : running_) run->announce_news();
}

void Scheduler::fail_all(const std::exception_ptr& error) noexcept {
  const Clock::time_point now = Clock::now();
  for (const auto& run : running_) run->fail(error, now);
  while (!waiting_.empty()) leave_queue(waiting_.begin(), FinishReason::kCancelled, error, now);
  pool_.release_all();  // Also one that was taken for a request that is not running yet.
}

void Scheduler::report(EngineStats& stats) const {
  stats.streams = pool_.streams();
  stats.streams_active = pool_.active();
  stats.streams_limit = pool_.limit();
  stats.stream_tokens = pool_.room();
  stats.stream_bytes = decoder_.stream_bytes(pool_.room());
  stats.waiting = waiting_.size();
  stats.store_bytes = pool_.store().bytes();
  stats.store_budget = pool_.store().budget();
  stats.store_entries = pool_.store().size();
  stats.requests = requests_;
  stats.cached_tokens = cached_tokens_;
  stats.prefix_hits = prefix_hits_;
}

}  // namespace llmlocal
