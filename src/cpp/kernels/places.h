// Where the operands of an operation lie.
#pragma once

#include <cstddef>
#include <cstdint>

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

// Columns are counted through all of the tensor's outer dimensions.
inline char* column(const ggml_tensor* tensor, std::int64_t index) {
  const std::int64_t i1 = index % tensor->ne[1], outer = index / tensor->ne[1];
  const std::int64_t i2 = outer % tensor->ne[2], i3 = outer / tensor->ne[2];
  return static_cast<char*>(tensor->data) + i1 * static_cast<std::int64_t>(tensor->nb[1]) +
         i2 * static_cast<std::int64_t>(tensor->nb[2]) +
         i3 * static_cast<std::int64_t>(tensor->nb[3]);
}

// Rows of weights, in parts of kPartLength.
struct Matrix {
  const char* data;
  std::size_t row_bytes;
  std::int64_t rows, parts;
};

}  // namespace llmlocal::kernels
