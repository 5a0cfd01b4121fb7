// Where the weights of an operation lie.
#pragma once

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

inline ggml_backend_buffer_t buffer_of(const ggml_tensor* tensor) {
  return tensor->view_src != nullptr ? tensor->view_src->buffer : tensor->buffer;
}

// Memory in ggml's own layout that we may read: not packed weights, nor those of another device.
inline bool is_plain(const ggml_tensor* tensor) {
  ggml_backend_buffer_t buffer = buffer_of(tensor);
  return buffer == nullptr || ggml_backend_buffer_is_host(buffer);
}

// Weights that ggml has repacked.
inline bool is_packed([[maybe_unused]] const ggml_tensor* tensor) {
#ifdef GGML_USE_CPU_REPACK
  ggml_backend_buffer_t buffer = buffer_of(tensor);
  return buffer != nullptr && tensor->extra != nullptr &&
         buffer->buft == ggml_backend_cpu_repack_buffer_type();
#else
  return false;
#endif
}

}  // namespace llmlocal::kernels
