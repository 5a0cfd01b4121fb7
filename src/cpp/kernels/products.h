// Matrix products with quantized weights that stay where they are: a few rows at a time are
// unpacked to scratch memory, for many columns.
#pragma once

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

// The traits that compute this MUL_MAT, or null: ggml's own are left to do it.
ggml::cpu::tensor_traits* products_for(const ggml_tensor* op);

}  // namespace llmlocal::kernels
