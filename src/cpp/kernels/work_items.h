// How threads share out the work of one operation, and the memory that it needs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

constexpr std::int64_t kSeveral = 4;  // items a thread, so that none waits long for another

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}
constexpr std::int64_t over(std::int64_t amount, std::int64_t each) {
  return (amount + each - 1) / each;
}

// What is left of a thread's items, which it takes in order, and others from the end.
class alignas(64) Share {
 public:
  Share(std::int64_t first, std::int64_t end) : left_(both(first, end)) {}

  // -1: none is left.
  std::int64_t take_first() {
    return take([](std::int64_t first, std::int64_t) { return first; });
  }
  std::int64_t take_last() {
    return take([](std::int64_t, std::int64_t end) { return end - 1; });
  }

 private:
  static std::uint64_t both(std::int64_t first, std::int64_t end) {
    return static_cast<std::uint64_t>(first) << 32 | static_cast<std::uint64_t>(end);
  }

  template <class Choose>
  std::int64_t take(const Choose& choose) {
    std::uint64_t left = left_.load(std::memory_order_relaxed);
    for (;;) {
      const auto first = static_cast<std::int64_t>(left >> 32);
      const auto end = static_cast<std::int64_t>(left & UINT32_MAX);
      if (first == end) return -1;
      const std::int64_t item = choose(first, end);
      const std::uint64_t rest = item == first ? both(first + 1, end) : both(first, end - 1);
      if (left_.compare_exchange_weak(left, rest, std::memory_order_relaxed)) return item;
    }
  }

  std::atomic<std::uint64_t> left_;  // The first, and the one after the last.
};

// The operation's work memory begins with the threads' shares.
constexpr std::size_t shares_bytes(int threads) {
  return 64 + static_cast<std::size_t>(threads) * sizeof(Share);
}
inline Share* shares_of(const ggml_compute_params& params) {
  return reinterpret_cast<Share*>(aligned(reinterpret_cast<std::uintptr_t>(params.wdata)));
}
// What follows them, as aligned() has it.
inline char* work_of(const ggml_compute_params& params) {
  return reinterpret_cast<char*>(shares_of(params) + params.nth);
}

// Calls `compute` with each of so many items.  A thread has those that lie side by side, and helps
// others when it is done: memory is read faster from one end to the other than here and there.
template <class Compute>
void for_items(const ggml_compute_params& params, std::int64_t items, const Compute& compute) {
  Share* shares = shares_of(params);
  new (shares + params.ith)
      Share(items * params.ith / params.nth, items * (params.ith + 1) / params.nth);
  ggml_barrier(params.threadpool);
  for (int i = 0; i < params.nth; ++i) {
    Share& share = shares[(params.ith + i) % params.nth];
    for (;;) {
      const std::int64_t item = i == 0 ? share.take_first() : share.take_last();
      if (item < 0) break;
      compute(item);
    }
  }
}

}  // namespace llmlocal::kernels
