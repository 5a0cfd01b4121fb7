// GELU, which ggml looks up in a table of half precision, number by number.
#pragma once

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

// The traits that compute this UNARY, or null: ggml's own are left to do it.
ggml::cpu::tensor_traits* gelu_for(const ggml_tensor* op);

}  // namespace llmlocal::kernels
