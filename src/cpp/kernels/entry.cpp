// How ggml-cpu finds our kernels: it asks each of its extra buffer types, for each operation of a
// graph, who computes it.  Ours is one of them, holds no memory, and answers where a kernel of ours
// suits.  The list is made when it is first used, so that nothing runs while the library is loaded.
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernels/attention.h"
#include "kernels/experts.h"
#include "kernels/float_products.h"
#include "kernels/gelu.h"
#include "kernels/ggml_internals.h"
#include "kernels/products.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernels/lanes.h"

namespace llmlocal::kernels {
namespace {

class Kernels final : public ggml::cpu::extra_buffer_type {
 public:
  // Nothing is ever put into memory of this type.
  bool supports_op(ggml_backend_dev_t, const ggml_tensor*) override { return false; }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    switch (op->op) {
      case GGML_OP_MUL_MAT:
        return ggml_is_quantized(op->src[0]->type) ? products_for(op) : float_products_for(op);
      case GGML_OP_MUL_MAT_ID:
        return experts_for(op);
      case GGML_OP_FLASH_ATTN_EXT:
        return attention_for(op);
      case GGML_OP_UNARY:
        return gelu_for(op);
      default:
        return nullptr;
    }
  }
};

const char* name_of(ggml_backend_buffer_type_t) {
  static const std::string name = std::string("llmlocal ") + kInstructions;
  return name.c_str();
}

ggml_backend_buffer_t allocate_none(ggml_backend_buffer_type_t, std::size_t) {
  return nullptr;
}

std::size_t alignment_of(ggml_backend_buffer_type_t) {
  return 64;
}

bool switched_off() {
  const char* value = std::getenv("LLMLOCAL_KERNELS");
  return value != nullptr && std::strcmp(value, "0") == 0;
}

}  // namespace
}  // namespace llmlocal::kernels

ggml_backend_buffer_type_t ggml_backend_cpu_kleidiai_buffer_type() {
  using namespace llmlocal::kernels;
  static const bool off = switched_off();
  if (off) return nullptr;
  static Kernels kernels;
  static ggml_backend_buffer_type type = {
      {name_of, allocate_none, alignment_of, nullptr, nullptr, nullptr},
      ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0),
      &kernels,
  };
  return &type;
}

#else

ggml_backend_buffer_type_t ggml_backend_cpu_kleidiai_buffer_type() {
  return nullptr;
}

#endif
