#include "llama/attention.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/errors.h"
#include "llama/devices.h"

namespace llmlocal {
namespace {

struct KvType {
  std::string_view name;
  ggml_type type;
};
constexpr std::array<KvType, 9> kKvTypes = {{{"f16", GGML_TYPE_F16},
                                             {"f32", GGML_TYPE_F32},
                                             {"bf16", GGML_TYPE_BF16},
                                             {"q8_0", GGML_TYPE_Q8_0},
                                             {"q5_1", GGML_TYPE_Q5_1},
                                             {"q5_0", GGML_TYPE_Q5_0},
                                             {"q4_1", GGML_TYPE_Q4_1},
                                             {"q4_0", GGML_TYPE_Q4_0},
                                             {"iq4_nl", GGML_TYPE_IQ4_NL}}};

constexpr std::size_t kMostFusedRows = 512;
constexpr std::size_t kMostSeparateRows = 128;
constexpr std::size_t kFewestRows = 64;
constexpr std::size_t kMostScoreBytes = std::size_t{256} * 1024 * 1024;

ggml_type kv_type_of(const std::string& name) {
  std::string known;
  for (const KvType& each : kKvTypes) {
    if (each.name == name) return each.type;
    known += (known.empty() ? "" : ", ") + std::string(each.name);
  }
  throw ParameterError("kv_type must be one of " + known + ", got '" + name + "'");
}

// On CPUs our own kernel (src/cpp/kernels) is faster than separate steps.  llama.cpp's reads long
// contexts slower, one row at a time, than plain matrix products do: on a 2-core Xeon answers take
// 1.5 times as long after 256 tokens, and 2.1 times after 3,000, while prompts are 6 % faster.
llama_flash_attn_type kernel_of(ggml_type type, std::optional<bool> fused, bool offload) {
  if (fused) return *fused ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  const bool suits = offload || ggml_is_quantized(type) || !own_kernels().empty();
  return suits ? LLAMA_FLASH_ATTN_TYPE_AUTO : LLAMA_FLASH_ATTN_TYPE_DISABLED;
}

}  // namespace

Attention::Attention(const std::string& kv_type, std::optional<bool> fused, bool offload)
    : type_(kv_type_of(kv_type)), kernel_(kernel_of(type_, fused, offload)) {
  if (ggml_is_quantized(type_) && kernel_ == LLAMA_FLASH_ATTN_TYPE_DISABLED) {
    throw ParameterError("kv_type='" + kv_type + "' needs flash_attention");
  }
}

// In separate steps each row has a score for each token of its context and each head: also for
// those that come after it in the same graph, and all of them are written and read again.  So fewer
// rows are faster, and a long context's memory bounds them too.
std::uint32_t Attention::rows_at_once(std::size_t context_length, std::int32_t heads) const {
  if (kernel_ != LLAMA_FLASH_ATTN_TYPE_DISABLED) return kMostFusedRows;
  const auto scores = context_length * static_cast<std::size_t>(std::max(heads, 1));
  const std::size_t rows = kMostScoreBytes / (sizeof(float) * scores);
  return static_cast<std::uint32_t>(std::clamp(rows, kFewestRows, kMostSeparateRows));
}

}  // namespace llmlocal
