// Runs many requests at once over one decoder: the thread, and the inbox.
//
// submit() may be called from any thread; the engine's own thread alone touches the decoder.  A
// step takes out what was cancelled and lets in what waits (Scheduler), then evaluates one batch,
// samples and delivers (Evaluator).  Requests join and leave between steps.  What fails costs the
// requests that it hits; where the decoder is beyond use, the thread ends.  Whatever ends it, every
// consumer is woken with the reason, and that needs no memory.  It never calls Python.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/token.h"
#include "engine/decoder.h"
#include "engine/failures.h"
#include "engine/job.h"
#include "engine/queued.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/stats.h"
#include "engine/steps/evaluator.h"
#include "engine/streams/stream_pool.h"

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

  // Has this done by the engine's thread between two steps, and waits for it.  Throws what it
  // threw, or as submit() does.
  void perform(Job::Work work);

  // Ends all requests with EngineClosedError, waits for the step in hand and frees the decoder.
  // May be called twice, and from several threads.
  void close();

  EngineStats stats() const;

 private:
  using Jobs = std::list<std::shared_ptr<Job>>;

  std::shared_ptr<SamplerFactory> samplers_if_open() const;
  Chooser make_chooser(SamplerFactory& samplers, RequestSpec& spec) const;
  void run() noexcept;
  CacheOptions told_of_reads(CacheOptions options);
  bool receive();  // Waits for work.  False: the engine is to close.
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  bool has_work() const { return closing_ || !inbox_.empty() || !jobs_.empty(); }
  void run_jobs(std::unique_lock<std::mutex>& lock);
  void step();
  void retire_finished() noexcept;
  void fail_all(const std::exception_ptr& error) noexcept;
  void stop(const std::exception_ptr& error) noexcept;
  void publish_stats() noexcept;

  std::unique_ptr<Decoder> decoder_;  // The engine's thread only, but for constant facts.
  const Position context_length_;
  const std::int32_t vocab_size_;
  const std::vector<Token> ends_;  // The tokens that end a text.
  const std::shared_ptr<PrefixFiles> files_;
  const Failures failures_;
  std::atomic<bool> closing_{false};

  // The engine's thread only.
  Scheduler scheduler_;
  Evaluator evaluator_;

  mutable std::mutex mutex_;  // Guards all down to published_.
  std::condition_variable work_;
  std::shared_ptr<SamplerFactory> samplers_;  // Until it stops.
  Queue inbox_;
  Jobs jobs_;
  bool was_read_ = false;          // Something from disk, since the last time the engine looked.
  std::exception_ptr stopped_by_;  // Set once no more requests are taken.
  EngineStats published_;

  std::mutex close_mutex_;  // Lets one close() at a time join the thread.
  std::thread thread_;      // The last member: it uses all others.
};

}  // namespace llmlocal
