// How a fake decoder is to behave, and what it writes down for the test to look at.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"
#include "engine/steps/batch.h"
#include "fake_model.h"
#include "step_gate.h"

namespace llmlocal::testing {

enum class MemoryKind {
  kPlain,        // Can be cut anywhere, and so can its copies.
  kWindowed,     // Can be cut anywhere, but a copy lacks what lies before the window.
  kWholeStates,  // Can't be cut at all.
};

// What happened, for the test to look at: it outlives the decoder.
class DecoderLog {
 public:
  void add_batch(const Batch& batch) {
    const std::lock_guard lock(mutex_);
    batches_.push_back(batch);
  }
  void add_violation(const std::string& what) {
    const std::lock_guard lock(mutex_);
    violations_.push_back(what);
  }
  std::vector<Batch> batches() const {
    const std::lock_guard lock(mutex_);
    return batches_;
  }
  std::string violations() const {
    const std::lock_guard lock(mutex_);
    std::string all;
    for (const std::string& each : violations_) all += each + "; ";
    return all;
  }
  std::atomic<int> copies{0};
  std::atomic<int> saves{0};
  std::atomic<int> restores{0};
  std::atomic<int> saved_parts{0};
  std::atomic<int> cuts_back{0};
  std::atomic<int> reshapes{0};
  std::atomic<int> restarts{0};
  std::atomic<int> threads{0};  // As set for the last step.
  std::atomic<bool> destroyed{false};

 private:
  mutable std::mutex mutex_;  // Guards everything below.
  std::vector<Batch> batches_;
  std::vector<std::string> violations_;
};

// The calls in the midst of which FakeOptions::on_call is called.
enum class Call {
  kDecode,
  kLogits,
  kTrim,
  kClear,
  kCopy,
  kSave,
  kRestore,
  kSavePart,
  kCutBack,
  kReshape,
  kRestart
};

inline constexpr Position kAnyRoom = std::numeric_limits<Position>::max();

struct FakeOptions {
  FakeModel model;
  MemoryKind memory = MemoryKind::kPlain;
  Position window = 8;
  bool has_parts = false;  // What can't be cut back can be had alone.
  Position context_length = 256;
  std::size_t batch_capacity = 32;
  std::size_t outputs = 8;  // Or as many as there are streams.
  StreamId streams = 1;
  std::optional<Position> room;  // Of the first stream; nothing = context_length.
  // More than this is out of memory.
  StreamId grows_to = 256;
  Position room_grows_to = kAnyRoom;
  Position together = kAnyRoom;  // Tokens of the streams before and after a change.
  Position room_restarts_to = kAnyRoom;
  bool failed_restart_leaves_nothing = false;
  bool polls_abort_check = true;
  bool keeps_threads_busy = false;  // Waiting at a gate takes no time on CPUs.
  std::shared_ptr<StepGate> gate = std::make_shared<StepGate>();

  // Called by the engine's thread in the midst of the call they are named for; may throw.
  std::function<void(const Batch&)> on_decode;
  // Called by the thread that submits; may throw.
  std::function<void(std::span<const Token> prompt)> on_make_sampler;
  std::function<void()> on_clear;
  std::function<void()> on_save;
  std::function<void(Call)> on_call;
  // Whether the call works.
  std::function<bool()> copy_works;
  std::function<bool()> save_works;
  std::function<bool()> restore_works;
  std::function<bool()> cut_back_works;
  std::function<bool(StreamId)> survives_reshape;
  std::function<bool(std::span<const Token> sequence)> logits_are_nan;
};

}  // namespace llmlocal::testing
