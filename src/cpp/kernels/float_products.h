// Matrix products with weights of half precision and bfloat16, for many columns, which stay in
// single precision.  ggml rounds them to the weights' type.
#pragma once

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

// The traits that compute this MUL_MAT, or null: ggml's own are left to do it.
ggml::cpu::tensor_traits* float_products_for(const ggml_tensor* op);

}  // namespace llmlocal::kernels
