#include "kernels/gelu.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/exponentials.h"
#include "kernels/places.h"
#include "kernels/readers.h"

namespace llmlocal::kernels {
namespace {

class Gelu final : public ggml::cpu::tensor_traits {
 public:
  bool work_size(int, const ggml_tensor*, std::size_t& size) override {
    size = 0;  // As ggml's own.
    return true;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    if (params->use_ref) return false;
    const std::int64_t rows = ggml_nrows(op), width = op->ne[0];
    const std::int64_t end = rows * (params->ith + 1) / params->nth;
    for (std::int64_t row = rows * params->ith / params->nth; row < end; ++row) {
      gelu(column(op->src[0], row), reinterpret_cast<float*>(column(op, row)), width);
    }
    return true;
  }

 private:
  static void gelu(const char* from, float* to, std::int64_t width) {
    std::int64_t i = 0;
    for (; i + 8 <= width; i += 8) _mm256_storeu_ps(to + i, gelu_of(FloatRow::load(from, i)));
    if (i == width) return;
    alignas(32) float last[8];
    _mm256_store_ps(last, gelu_of(load_last<FloatRow>(from, i, width)));
    std::copy_n(last, width - i, to + i);
  }
};

}  // namespace

ggml::cpu::tensor_traits* gelu_for(const ggml_tensor* op) {
  static Gelu gelu;
  const ggml_tensor* numbers = op->src[0];
  const bool suits = ggml_get_unary_op(op) == GGML_UNARY_OP_GELU &&
                     numbers->type == GGML_TYPE_F32 && numbers->nb[0] == sizeof(float) &&
                     op->type == GGML_TYPE_F32 && op->nb[0] == sizeof(float);
  return suits ? &gelu : nullptr;
}

}  // namespace llmlocal::kernels

#endif
