// Who runs, in which stream, and who waits for one.
//
// Requests are let in in the order of their arrival.  One whose text outgrows its stream, where
// there is no memory for longer ones, gives it up and waits.  What fails costs the request that it
// hits.  Used by the engine's thread only.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "engine/decoder.h"
#include "engine/failures.h"
#include "engine/queued.h"
#include "engine/request.h"
#include "engine/running_request.h"
#include "engine/stats.h"
#include "engine/streams/stream_pool.h"

namespace llmlocal {

class Scheduler {
 public:
  // Decoder and failures outlive it.
  Scheduler(Decoder& decoder, const CacheOptions& options, const Failures& failures);

  // Takes all of them.
  void add(Queue& arriving) noexcept;
  bool is_idle() const { return running_.empty() && waiting_.empty(); }
  // Nothing ran after admit(), as all wait for what is read from disk.
  bool waits_for_disk() const { return waits_for_disk_; }
  // There was nothing to do for a while.
  void rest() { pool_.rest(); }

  // Ends what was cancelled or is late.
  void end_stopped();
  // Lets in those that there is a stream for, and makes streams for them.
  void admit();
  void fail_all(const std::exception_ptr& error) noexcept;

  // What is over gives its stream back, and then its consumer is told.
  void release_finished() noexcept;
  void announce_finished() noexcept;
  // The consumers of the others are told of what has come, all at once.
  void announce_news() noexcept;

  // In the order of admission.
  const std::vector<std::unique_ptr<RunningRequest>>& running() const { return running_; }
  StreamPool& pool() { return pool_; }
  void report(EngineStats& stats) const;

 private:
  void leave_queue(Queue::iterator queued,
                   FinishReason reason,
                   const std::exception_ptr& error,
                   Clock::time_point now) noexcept;
  void tidy_streams();
  void follow(std::span<const Move> moves);
  void start_reading();
  void make_room();
  void reshape_streams();
  std::unique_ptr<RunningRequest>* latest_that_outgrew_its_stream();
  void preempt(std::unique_ptr<RunningRequest>& run);
  bool restart_for(Queue::iterator queued);
  void let_in();
  // What became of one in the queue: it left it, or waits for a stream, or for its leader or what
  // is read from disk.
  enum class Admission { kLeft, kWaits, kFollows };
  Admission admit_one(Queue::iterator queued, bool has_stream);
  void plan_checkpoints(RunningRequest& run, Position parting);

  Decoder& decoder_;
  const Failures& failures_;
  StreamPool pool_;
  std::vector<std::unique_ptr<RunningRequest>> running_;
  Queue waiting_;
  Queue leaving_;  // Out of the queue, with an outcome that is still to be told.
  bool waits_for_disk_ = false;
  int steps_with_gap_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t cached_tokens_ = 0;
  std::uint64_t prefix_hits_ = 0;
};

}  // namespace llmlocal
