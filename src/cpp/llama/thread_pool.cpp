#include "llama/thread_pool.h"

#include <ggml-backend.h>
#include <ggml-cpu.h>

namespace llmlocal {
namespace {

// The CPU backend may be a plugin, so its functions are asked for by name.
template <typename Function>
Function* cpu_function(const char* name) {
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (!cpu) return nullptr;
  void* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name);
  return reinterpret_cast<Function*>(address);  // NOLINT(*-reinterpret-cast)
}

}  // namespace

void FreeThreadPool::operator()(ggml_threadpool* pool) const {
  auto* free_pool = cpu_function<decltype(ggml_threadpool_free)>("ggml_threadpool_free");
  if (free_pool) free_pool(pool);
}

ThreadPool make_thread_pool(int threads) {
  auto* new_pool = cpu_function<decltype(ggml_threadpool_new)>("ggml_threadpool_new");
  if (!new_pool) return nullptr;
  ggml_threadpool_params params = ggml_threadpool_params_default(threads);
  // Threads that wait for the next step sleep.  Spinning gains nothing measurable, and threads that
  // no step uses at present would spin too, and take the cores that they were to leave free.
  params.poll = 0;
  return ThreadPool(new_pool(&params));
}

}  // namespace llmlocal
