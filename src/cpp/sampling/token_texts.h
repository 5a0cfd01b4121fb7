// What tokens are spelled like, control tokens included.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/token.h"

namespace llmlocal {

class TokenTexts {
 public:
  virtual ~TokenTexts() = default;

  virtual std::int32_t vocab_size() const = 0;
  virtual std::string_view text(Token token) const noexcept = 0;
};

}  // namespace llmlocal
