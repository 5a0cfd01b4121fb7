// Turns the texts of many callers into vectors over one encoder: the thread, and the inbox.
//
// It makes the same promises as the engine that generates: submit() may be called from any thread,
// and the engine's own thread alone touches the encoder; texts of different callers are evaluated
// together; what is cancelled or late ends within one batch; what fails costs the jobs that it
// hits; where the encoder is beyond use, the thread ends, and whatever ends it, every caller is
// woken with the reason.  It never calls Python.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "engine/encoder/embedding_job.h"
#include "engine/encoder/encoder.h"
#include "engine/encoder/encoder_stats.h"
#include "engine/encoder/text_queue.h"
#include "engine/failures.h"
#include "engine/steps/thread_governor.h"

namespace llmlocal {

class EncoderEngine {
 public:
  explicit EncoderEngine(std::unique_ptr<Encoder> encoder);
  ~EncoderEngine();
  EncoderEngine(const EncoderEngine&) = delete;
  EncoderEngine& operator=(const EncoderEngine&) = delete;

  // Queues the texts.  Throws ParameterError, ContextOverflowError, EngineClosedError, or the
  // EngineError that stopped the engine.
  std::shared_ptr<EmbeddingJob> submit(EmbeddingSpec spec);

  // Ends all jobs with EngineClosedError, waits for the batch in hand and frees the encoder.  May
  // be called twice, and from several threads.
  void close();

  EncoderStats stats() const;

 private:
  using Texts = std::span<const TakenText>;

  void run() noexcept;
  bool receive();  // Waits for work.  False: the engine is to close.
  void step();
  void end_stopped() noexcept;
  void evaluate(Texts texts);
  DecodeStatus encode(Texts texts);
  void deliver(Texts texts);
  bool is_pointless(Texts texts) const;
  void fail_all(const std::exception_ptr& error) noexcept;
  void stop(const std::exception_ptr& error) noexcept;
  void publish_stats() noexcept;

  std::unique_ptr<Encoder> encoder_;  // The engine's thread only, but for constant facts.
  const std::size_t dimensions_;
  const Position window_;
  const std::int32_t vocab_size_;
  const Failures failures_;
  std::atomic<bool> closing_{false};

  // The engine's thread only.
  ThreadGovernor governor_;
  TextQueue queue_;
  EncoderStats stats_;

  mutable std::mutex mutex_;  // Guards inbox_, stopped_by_ and published_.
  std::condition_variable work_;
  Jobs inbox_;
  std::exception_ptr stopped_by_;  // Set once no more jobs are taken.
  EncoderStats published_;

  std::mutex close_mutex_;  // Lets one close() at a time join the thread.
  std::thread thread_;      // The last member: it uses all others.
};

}  // namespace llmlocal
