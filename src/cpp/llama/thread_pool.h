// ggml's own worker threads, kept for the life of a context.
#pragma once

#include <memory>

struct ggml_threadpool;

namespace llmlocal {

struct FreeThreadPool {
  void operator()(ggml_threadpool* pool) const;
};
using ThreadPool = std::unique_ptr<ggml_threadpool, FreeThreadPool>;

// The pool, whose threads include the calling one; none if the CPU backend has no such thing.
ThreadPool make_thread_pool(int threads);

}  // namespace llmlocal
