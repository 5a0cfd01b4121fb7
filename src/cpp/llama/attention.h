// How a context keeps and computes attention: the type of the numbers in its KV cache, fused or in
// separate steps, and how many rows at once.
#pragma once

#include <llama.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace llmlocal {

class Attention {
 public:
  // `fused`: nothing = what suits the device and the type.  Throws ParameterError for a type that
  // there is not, or that can't be had unfused.
  Attention(const std::string& kv_type, std::optional<bool> fused, bool offload);

  ggml_type type() const { return type_; }
  llama_flash_attn_type kernel() const { return kernel_; }

  // Rows of one compute graph, for sequences of so many tokens.
  std::uint32_t rows_at_once(std::size_t context_length, std::int32_t heads) const;

 private:
  ggml_type type_;
  llama_flash_attn_type kernel_;
};

}  // namespace llmlocal
