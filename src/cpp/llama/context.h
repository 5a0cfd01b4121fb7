// Makes the contexts of a model: what evaluates it, with memory and threads of its own.
#pragma once

#include <llama.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/thread_group.h"
#include "llama/buffer_sizes.h"
#include "llama/guard.h"
#include "llama/model.h"
#include "llama/thread_pool.h"

namespace llmlocal {

struct FreeContext {
  void operator()(llama_context* context) const { llama_free(context); }
};
using Context = std::unique_ptr<llama_context, FreeContext>;

// Bytes beside the weights, by the name of the buffer's type; readable while a context works.
class ContextSizes {
 public:
  void set(BufferSizes sizes) {
    const std::lock_guard lock(mutex_);
    sizes_ = std::move(sizes);
  }
  BufferSizes get() const {
    const std::lock_guard lock(mutex_);
    return sizes_;
  }

 private:
  mutable std::mutex mutex_;  // Guards sizes_.
  BufferSizes sizes_;
};

// What the contexts of one user have in common: they share its threads, its guard and its check
// for an early end, so it outlives them.
class ContextMaker {
 public:
  // `threads`: 1 to 512; `offload`: compute on the model's devices.
  ContextMaker(std::shared_ptr<const Model> model, int threads, bool offload);
  ContextMaker(const ContextMaker&) = delete;
  ContextMaker& operator=(const ContextMaker&) = delete;

  // A context by the caller's parameters, but for the threads, the devices and the check for an
  // early end, which are filled in.  `what` names it in errors, and `needed` is the memory that it
  // will take at least.  Throws OutOfMemoryError, or EngineError with llama.cpp's reason.
  Context make(llama_context_params params, const std::string& what, std::size_t needed);

  const Model& model() const { return *model_; }
  int threads() const { return threads_; }
  bool offloads() const { return offload_; }
  // Seconds on CPUs of the threads that evaluate, with the calling one; nothing where they are
  // started anew for each step.
  std::optional<double> cpu_seconds() const {
    return pool_ ? workers_.cpu_seconds() : std::nullopt;
  }
  FusedGuard& guarded() { return guarded_; }
  std::shared_ptr<const ContextSizes> sizes() const { return sizes_; }  // Of the last one made.

  SequenceBytes sequence_bytes() const { return sequence_bytes_; }  // In the last one made.

  // Polled while a context evaluates; true ends that early.  An empty one says nothing.
  void set_abort_check(std::function<bool()> check) { abort_check_ = std::move(check); }
  // Throws EngineError if a device of the model was lost.
  void require_devices() const;
  // Throws EngineError if a file whose weights are mapped is not what it was: some can't be read
  // then, or are others.
  void require_files() const;

 private:
  static bool should_abort(void* self);

  std::shared_ptr<const Model> model_;
  int threads_;
  bool offload_;
  std::shared_ptr<ContextSizes> sizes_ = std::make_shared<ContextSizes>();
  SequenceBytes sequence_bytes_;
  std::function<bool()> abort_check_;
  FusedGuard guarded_;
  ThreadPool pool_;
  ThreadGroup workers_;
};

// Such as "12 MB".
std::string megabytes(std::size_t bytes);

}  // namespace llmlocal
