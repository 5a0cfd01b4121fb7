#include "kernels/attention.h"
namespace llmlocal::kernels {
ggml::cpu::tensor_traits* attention_for(const ggml_tensor*) {
  return nullptr;
}
}  // namespace llmlocal::kernels
