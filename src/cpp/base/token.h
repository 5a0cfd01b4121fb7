// Names for the integers that travel between the layers.
#pragma once

#include <cstdint>
#include <vector>

namespace llmlocal {

using Token = std::int32_t;     // An id in the model's vocabulary.
using Position = std::int32_t;  // How many tokens of a sequence come before this one.
using StreamId = std::int32_t;  // A stream of the KV cache; holds one sequence at a time.
using Tokens = std::vector<Token>;

}  // namespace llmlocal
