// How threads share out the work of one operation, and the memory that it needs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

constexpr std::int64_t kSeveral = 4;  // items a thread, so that none waits long for another

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}
constexpr std::int64_t over(std::int64_t amount, std::int64_t each) {
  return (amount + each - 1) / each;
}

// Calls `compute` with each of so many items; threads take the next one when they are done.
template <class Compute>
void for_items(const ggml_compute_params& params, std::int64_t items, const Compute& compute) {
  if (params.ith == 0) ggml_threadpool_chunk_set(params.threadpool, params.nth);
  ggml_barrier(params.threadpool);
  for (std::int64_t item = params.ith; item < items;
       item = ggml_threadpool_chunk_add(params.threadpool, 1)) {
    compute(item);
  }
}

// The operation's work memory, as aligned() has it; 64 bytes more than that must be there.
inline char* work_of(const ggml_compute_params& params) {
  return reinterpret_cast<char*>(aligned(reinterpret_cast<std::uintptr_t>(params.wdata)));
}

}  // namespace llmlocal::kernels
