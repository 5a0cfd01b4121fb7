// The rows of one step: what the scheduler hands to the decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/token.h"

namespace llmlocal {

struct Batch {
  std::vector<Token> tokens;
  std::vector<Position> positions;
  std::vector<StreamId> streams;
  std::vector<std::int8_t> wants_logits;

  std::size_t size() const { return tokens.size(); }
  bool empty() const { return tokens.empty(); }

  // Returns the row's index.
  std::size_t add(Token token, Position position, StreamId stream, bool logits) {
    tokens.push_back(token);
    positions.push_back(position);
    streams.push_back(stream);
    wants_logits.push_back(logits ? 1 : 0);
    return tokens.size() - 1;
  }

  void clear() {
    tokens.clear();
    positions.clear();
    streams.clear();
    wants_logits.clear();
  }
};

}  // namespace llmlocal
