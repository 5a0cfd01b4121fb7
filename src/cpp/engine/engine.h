// Runs many requests at once over one decoder: the thread, the queue and the step.
//
// submit() may be called from any thread; the engine's own thread alone touches the decoder.  A
// step takes out what was cancelled, lets in what waits, evaluates one batch, samples and delivers.
// Requests join and leave between steps; one whose text outgrows its stream, where there is no
// memory for longer ones, gives it up and waits.  What fails costs the requests that it hits; where
// the decoder is beyond use, the thread ends.  Whatever ends it, every consumer is woken with the
// reason, and that needs no memory. It never calls Python.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/errors.h"
#include "engine/decoder.h"
#include "engine/outcome.h"
#include "engine/request.h"
#include "engine/running_request.h"
#include "engine/stats.h"
#include "engine/step_pacer.h"
#include "engine/stream_pool.h"
#include "engine/thread_governor.h"

namespace llmlocal {

class Engine {
 public:
  Engine(std::unique_ptr<Decoder> decoder, const CacheOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues requests, all or none.  Throws ParameterError, ContextOverflowError,
  // EngineClosedError, or the EngineError that stopped the engine.
  std::vector<std::shared_ptr<Request>> submit(std::vector<RequestSpec> specs);

  // Ends all requests with EngineClosedError, waits for the step in hand and
  // frees the decoder. May be called twice, and from several threads.
  void close();

  EngineStats stats() const;

 private:
  // A list, as its members can be moved to another one without fail.
  struct Queued {
    std::shared_ptr<Request> request;
    Outcome outcome;                      // Once it is in leaving_; of what has no `run`.
    std::unique_ptr<RunningRequest> run;  // Once it could run; it may have given up its stream.

    // What is to be evaluated for it: its prompt, and what it has answered already.
    std::span<const Token> text() const {
      return run ? run->state().prompt : std::span<const Token>(request->spec().prompt);
    }
    Position text_length() const { return static_cast<Position>(text().size()); }
  };
  using Queue = std::list<Queued>;

  void run() noexcept;
  bool receive();  // Waits for work.  False: the engine is to close.
  void step();
  void end_stopped();
  void make_room();
  void reshape_streams();
  std::unique_ptr<RunningRequest>* latest_that_outgrew_its_stream();
  void preempt(std::unique_ptr<RunningRequest>& run);
  void admit();
  bool restart_for(Queue::iterator queued);
  void admit_one(Queue::iterator queued);
  void leave_queue(Queue::iterator queued,
                   FinishReason reason,
                   const std::exception_ptr& error,
                   Clock::time_point now) noexcept;
  void tidy_streams();
  void follow(std::span<const Move> moves);
  void evaluate(const StepPlan& plan);
  DecodeStatus decode(const StepPlan& plan);
  void harvest(const StepPlan& plan);
  bool is_worth_a_checkpoint(const RunningRequest& run) const;
  void fail_step(const StepPlan& plan, const std::exception_ptr& error);
  template <typename Work>
  void attempt(RunningRequest& run, Work&& work);
  bool step_is_pointless(const StepPlan& plan) const;
  std::vector<RunState> run_states() const;
  void retire_finished() noexcept;
  void fail_all(const std::exception_ptr& error) noexcept;
  void stop(const std::exception_ptr& error) noexcept;
  void publish_stats();
  std::exception_ptr as_engine_error(const std::exception_ptr& error) const noexcept;

  std::unique_ptr<Decoder> decoder_;  // The engine's thread only, but for constant facts.
  const Position context_length_;
  const std::int32_t vocab_size_;
  // Made while there is memory for them.
  const std::exception_ptr closed_ =
      std::make_exception_ptr(EngineClosedError("the model was closed"));
  const std::exception_ptr out_of_memory_ =
      std::make_exception_ptr(OutOfMemoryError("out of memory while evaluating a step"));

  // The engine's thread only.
  StreamPool pool_;
  StepPacer pacer_;
  ThreadGovernor governor_;
  std::vector<std::unique_ptr<RunningRequest>> running_;  // In the order of admission.
  Queue waiting_;
  Queue leaving_;  // Out of the queue, with an outcome that is still to be told.
  int steps_with_gap_ = 0;
  EngineStats counters_;

  mutable std::mutex mutex_;  // Guards inbox_, stopped_by_ and published_.
  std::condition_variable work_;
  Queue inbox_;
  std::exception_ptr stopped_by_;  // Set once no more requests are taken.
  EngineStats published_;
  std::atomic<bool> closing_{false};

  std::mutex close_mutex_;  // Lets one close() at a time join the thread.
  std::thread thread_;      // The last member: it uses all others.
};

}  // namespace llmlocal
