// Keeps what has broken from being used on.
//
// Calls that work on one thing go through its fuse.  The first that ends with an AbortError blows
// it; from then on no call is made, and each throws an EngineError with the reason.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/errors.h"

namespace llmlocal {

class Fuse {
 public:
  template <typename Call>
  auto run(Call&& call) -> decltype(call()) {
    if (reason_) throw EngineError(*reason_ + "; close this model and load it again");
    try {
      return std::forward<Call>(call)();
    } catch (const AbortError& error) {
      reason_ = error.what();
      throw;
    }
  }

 private:
  std::optional<std::string> reason_;
};

}  // namespace llmlocal
