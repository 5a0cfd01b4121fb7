#include "failing_new.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

namespace llmlocal::testing {
namespace {

// Plain integers: nothing here may allocate.
thread_local int allocations_left = kNever;
std::atomic<int> failures{0};

bool fails_now() {
  if (allocations_left == kNever) return false;
  if (allocations_left-- > 0) return false;
  ++failures;
  return true;
}

void* allocate(std::size_t size) {
  void* memory = fails_now() ? nullptr : std::malloc(size > 0 ? size : 1);
  if (!memory) throw std::bad_alloc();
  return memory;
}

void* allocate_or_null(std::size_t size) noexcept {
  return fails_now() ? nullptr : std::malloc(size > 0 ? size : 1);
}

}  // namespace

int fail_allocation(int n) {
  return std::exchange(allocations_left, n);
}

int failed_allocations() {
  return failures;
}

}  // namespace llmlocal::testing

// All of them, so that a sanitizer finds each block freed as it was allocated.
void* operator new(std::size_t size) {
  return llmlocal::testing::allocate(size);
}
void* operator new[](std::size_t size) {
  return llmlocal::testing::allocate(size);
}
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return llmlocal::testing::allocate_or_null(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return llmlocal::testing::allocate_or_null(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
