// Runs many requests at once over one decoder: the thread, the queue and the step.
//
// submit() may be called from any thread; the engine's own thread alone touches the decoder.  A
// step takes out what was cancelled, lets in what waits, evaluates one batch, samples and delivers.
// Requests join and leave between steps.  Whatever ends the thread, every consumer is woken with
// the reason. It never calls Python.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/decoder.h"
#include "engine/request.h"
#include "engine/running_request.h"
#include "engine/stats.h"
#include "engine/step_pacer.h"
#include "engine/stream_pool.h"
#include "engine/thread_governor.h"

namespace llmlocal {

struct EngineOptions {
  StreamId max_streams = 8;     // Requests that run at once; more wait. 1 to 256.
  std::size_t kv_bytes = 0;     // What all streams together may take; one is always there.
  std::size_t store_bytes = 0;  // RAM for evicted prefixes; 0 = none are kept.
};

class Engine {
 public:
  Engine(std::unique_ptr<Decoder> decoder, const EngineOptions& options);
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
  using Waiting = std::deque<std::shared_ptr<Request>>;

  void run() noexcept;
  bool receive();  // Waits for work.  False: the engine is to close.
  void step();
  void end_stopped();
  void admit();
  bool admit_one(const std::shared_ptr<Request>& request);
  void tidy_streams();
  void evaluate(const StepPlan& plan);
  void harvest(const StepPlan& plan);
  bool is_worth_a_checkpoint(const RunningRequest& run) const;
  void fail_step(const StepPlan& plan, const std::exception_ptr& error);
  bool step_is_pointless(const StepPlan& plan) const;
  std::vector<RunState> run_states() const;
  void retire_finished();
  void end_all(const std::exception_ptr& error);
  void publish_stats();

  std::unique_ptr<Decoder> decoder_;  // The engine's thread only, but for constant facts.
  const Position context_length_;
  const std::int32_t vocab_size_;

  // The engine's thread only.
  StreamPool pool_;
  StepPacer pacer_;
  ThreadGovernor governor_;
  std::vector<std::unique_ptr<RunningRequest>> running_;  // In the order of admission.
  Waiting waiting_;
  int steps_with_gap_ = 0;
  EngineStats counters_;

  mutable std::mutex mutex_;  // Guards inbox_, stopped_by_ and published_.
  std::condition_variable work_;
  Waiting inbox_;
  std::exception_ptr stopped_by_;  // Set once no more requests are taken.
  EngineStats published_;
  std::atomic<bool> closing_{false};

  std::mutex close_mutex_;  // Lets one close() at a time join the thread.
  std::thread thread_;      // The last member: it uses all others.
};

}  // namespace llmlocal
