#include "base/big_stack.h"

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/errors.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <pthread.h>
#endif

namespace llmlocal {
namespace {

// Work that a thread does, and whoever waits for it: the last of the two to let go frees it.
class Job {
 public:
  explicit Job(std::function<void()> work) : work_(std::move(work)) {}

  void run() noexcept {
    std::exception_ptr error;
    try {
      work_();
    } catch (...) {
      error = std::current_exception();
    }
    work_ = nullptr;
    const std::lock_guard lock(mutex_);
    error_ = error;
    is_done_ = true;
    done_.notify_all();
  }

  // Rethrows what the work threw.
  void wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return is_done_; });
    if (error_) std::rethrow_exception(error_);
  }

  bool wait_for(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    if (!done_.wait_for(lock, most, [this] { return is_done_; })) return false;
    if (error_) std::rethrow_exception(error_);
    return true;
  }

 private:
  std::function<void()> work_;
  std::mutex mutex_;  // Guards the two below.
  bool is_done_ = false;
  std::exception_ptr error_;
  std::condition_variable done_;
};

using SharedJob = std::shared_ptr<Job>;

#ifdef _WIN32

DWORD WINAPI run_job(void* job) {
  const std::unique_ptr<SharedJob> owned(static_cast<SharedJob*>(job));
  (*owned)->run();
  return 0;
}

bool start(std::size_t stack_bytes, SharedJob* job) {
  HANDLE thread =
      CreateThread(nullptr, stack_bytes, run_job, job, STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
  if (thread) CloseHandle(thread);
  return thread != nullptr;
}

#else

void* run_job(void* job) {
  const std::unique_ptr<SharedJob> owned(static_cast<SharedJob*>(job));
  (*owned)->run();
  return nullptr;
}

bool start(std::size_t stack_bytes, SharedJob* job) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  constexpr std::size_t kPage = std::size_t{64} * 1024;  // A multiple of every page size in use.
  pthread_t thread{};
  const bool started =
      pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
      pthread_attr_setstacksize(&attributes, (stack_bytes + kPage - 1) / kPage * kPage) == 0 &&
      pthread_create(&thread, &attributes, run_job, job) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

#endif

SharedJob start_job(std::size_t stack_bytes, std::function<void()> work) {
  auto job = std::make_shared<Job>(std::move(work));
  auto owned = std::make_unique<SharedJob>(job);
  if (!start(stack_bytes, owned.get())) {
    throw OutOfMemoryError("no thread with a stack of " + std::to_string(stack_bytes) +
                           " bytes can be started");
  }
  owned.release();  // NOLINT(bugprone-unused-return-value): the thread has it
  return job;
}

}  // namespace

void run_on_big_stack(std::size_t stack_bytes, const std::function<void()>& work) {
  start_job(stack_bytes, work)->wait();
}

bool run_on_big_stack_for(std::chrono::milliseconds most,
                          std::size_t stack_bytes,
                          std::function<void()> work) {
  return start_job(stack_bytes, std::move(work))->wait_for(most);
}

}  // namespace llmlocal
