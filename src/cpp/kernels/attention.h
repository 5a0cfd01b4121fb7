// Fused attention for few rows.
#pragma once

#include "kernels/ggml_internals.h"

namespace llmlocal::kernels {

// The traits that compute this FLASH_ATTN_EXT, or null: ggml's own are left to do it.
ggml::cpu::tensor_traits* attention_for(const ggml_tensor* op);

}  // namespace llmlocal::kernels
