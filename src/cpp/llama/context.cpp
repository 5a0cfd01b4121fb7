#include "llama/context.h"

#include "base/errors.h"
#include "base/system_memory.h"
#include "llama/backend.h"
#include "llama/log.h"

namespace llmlocal {

ContextMaker::ContextMaker(std::shared_ptr<const Model> model, int threads, bool offload)
    : model_(std::move(model)),
      threads_(threads),
      offload_(offload),
      workers_(ThreadGroup::started_by([&] { pool_ = make_thread_pool(threads); })) {}

Context ContextMaker::make(llama_context_params params,
                           const std::string& what,
                           std::size_t needed) {
  const std::size_t free = free_memory();
  if (!offload_ && !fits_in_memory(needed, free)) {
    throw OutOfMemoryError("not enough memory for " + what + ": " + megabytes(free) +
                           " are free; lower n_ctx or choose a smaller kv_type");
  }
  params.n_threads = threads_;
  params.n_threads_batch = threads_;
  params.no_perf = true;
  params.offload_kqv = offload_;
  params.op_offload = offload_;
  params.abort_callback = should_abort;
  params.abort_callback_data = this;

  const RegistryUse use;
  const ErrorLines log(LogLevel::kInfo, ErrorLines::Then::kPassOn);
  const ErrorLines errors;
  Context context(guarded_("making the context",
                           [&] { return llama_init_from_model(model_->handle(), params); }));
  require_devices();
  if (!context) {
    const std::string reason = errors.text().empty() ? "llama.cpp gave no reason" : errors.text();
    if (speaks_of_memory(reason)) {
      throw OutOfMemoryError("there is no room for " + what + ": " + reason);
    }
    throw EngineError("this model can't have " + what + ": " + reason);
  }
  if (pool_) llama_attach_threadpool(context.get(), pool_.get(), pool_.get());
  sizes_->set(told_buffer_sizes(log.text()));
  sequence_bytes_ = told_sequence_bytes(log.text());
  return context;
}

bool ContextMaker::should_abort(void* self) {
  const auto& check = static_cast<ContextMaker*>(self)->abort_check_;
  return check && check();
}

void ContextMaker::require_devices() const {
  if (const auto loss = model_->lost_device()) {
    throw EngineError(*loss + "; what it held is gone, so close this model and load it again");
  }
}

void ContextMaker::require_files() const {
  if (const auto damage = model_->damaged_file()) {
    throw EngineError("the model's file " + *damage + "; close this model and load it again");
  }
}

std::string megabytes(std::size_t bytes) {
  return std::to_string((bytes + 500'000) / 1'000'000) + " MB";
}

}  // namespace llmlocal
