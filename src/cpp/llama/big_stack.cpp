#include "llama/big_stack.h"

#include <exception>
#include <string>

#include "base/errors.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <pthread.h>
#endif

namespace llmlocal {
namespace {

struct Job {
  const std::function<void()>& work;
  std::exception_ptr error;

  void run() noexcept {
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
  }
};

#ifdef _WIN32

DWORD WINAPI run_job(void* job) {
  static_cast<Job*>(job)->run();
  return 0;
}

bool run_and_wait(std::size_t stack_bytes, Job& job) {
  HANDLE thread =
      CreateThread(nullptr, stack_bytes, run_job, &job, STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
  if (!thread) return false;
  WaitForSingleObject(thread, INFINITE);
  CloseHandle(thread);
  return true;
}

#else

void* run_job(void* job) {
  static_cast<Job*>(job)->run();
  return nullptr;
}

bool run_and_wait(std::size_t stack_bytes, Job& job) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  constexpr std::size_t kPage = std::size_t{64} * 1024;  // A multiple of every page size in use.
  pthread_t thread{};
  const bool started =
      pthread_attr_setstacksize(&attributes, (stack_bytes + kPage - 1) / kPage * kPage) == 0 &&
      pthread_create(&thread, &attributes, run_job, &job) == 0;
  pthread_attr_destroy(&attributes);
  if (started) pthread_join(thread, nullptr);
  return started;
}

#endif

}  // namespace

void run_on_big_stack(std::size_t stack_bytes, const std::function<void()>& work) {
  Job job{work, nullptr};
  if (!run_and_wait(stack_bytes, job)) {
    throw OutOfMemoryError("no thread with a stack of " + std::to_string(stack_bytes) +
                           " bytes can be started");
  }
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace llmlocal
