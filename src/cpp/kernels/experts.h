// Products of columns with matrices that are chosen for each: the experts of a mixture.
#pragma once

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

// The traits that compute this MUL_MAT_ID, or null: ggml's own are left to do it.
ggml::cpu::tensor_traits* experts_for(const ggml_tensor* op);

}  // namespace llmlocal::kernels
