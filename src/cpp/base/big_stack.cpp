#include "base/big_stack.h"

#include <memory>
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

using Task = std::packaged_task<void()>;

#ifdef _WIN32

DWORD WINAPI run_task(void* task) {
  const std::unique_ptr<Task> owned(static_cast<Task*>(task));
  (*owned)();
  return 0;
}

bool start(std::size_t stack_bytes, Task* task) {
  HANDLE thread = CreateThread(
      nullptr, stack_bytes, run_task, task, STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
  if (thread) CloseHandle(thread);
  return thread != nullptr;
}

#else

void* run_task(void* task) {
  const std::unique_ptr<Task> owned(static_cast<Task*>(task));
  (*owned)();
  return nullptr;
}

bool start(std::size_t stack_bytes, Task* task) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  constexpr std::size_t kPage = std::size_t{64} * 1024;  // A multiple of every page size in use.
  pthread_t thread{};
  const bool started =
      pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
      pthread_attr_setstacksize(&attributes, (stack_bytes + kPage - 1) / kPage * kPage) == 0 &&
      pthread_create(&thread, &attributes, run_task, task) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

#endif

}  // namespace

std::shared_future<void> start_on_big_stack(std::size_t stack_bytes, std::function<void()> work) {
  // What the work owns is let go before anybody hears of its end.
  auto task = std::make_unique<Task>([work = std::move(work)]() mutable {
    const std::function<void()> owned = std::exchange(work, nullptr);
    owned();
  });
  std::shared_future<void> end = task->get_future().share();
  if (!start(stack_bytes, task.get())) {
    throw OutOfMemoryError("no thread with a stack of " + std::to_string(stack_bytes) +
                           " bytes can be started");
  }
  task.release();  // NOLINT(bugprone-unused-return-value): the thread has it
  return end;
}

void run_on_big_stack(std::size_t stack_bytes, const std::function<void()>& work) {
  start_on_big_stack(stack_bytes, work).get();
}

bool run_on_big_stack_for(std::chrono::milliseconds most,
                          std::size_t stack_bytes,
                          std::function<void()> work) {
  const std::shared_future<void> end = start_on_big_stack(stack_bytes, std::move(work));
  if (end.wait_for(most) != std::future_status::ready) return false;
  end.get();
  return true;
}

}  // namespace llmlocal
