// Memory that runs out when a test says so: operator new of this whole program, replaced.
#pragma once

#include <new>

namespace llmlocal::testing {

inline constexpr int kNever = -1;

// From now on, the n-th allocation of this thread fails (0: the next one), and then none again.
// Returns how many were left before the one that was to fail, kNever if none was.
int fail_allocation(int n);

// How many have failed, in all threads.
int failed_allocations();

// Whether the call throws for lack of memory when its n-th allocation fails.
template <typename Call>
bool runs_out_of_memory(int n, Call&& call) {
  fail_allocation(n);
  try {
    call();
  } catch (const std::bad_alloc&) {
    fail_allocation(kNever);
    return true;
  }
  fail_allocation(kNever);
  return false;
}

}  // namespace llmlocal::testing
