// What the encoder engine asks of a model that turns texts into vectors.
//
// Its own thread alone calls it, but for the constant facts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "engine/decoder.h"

namespace llmlocal {

// Texts that are evaluated together, one after the other.
struct TextBatch {
  Tokens tokens;
  std::vector<std::size_t> lengths;  // Tokens of each text; none is 0.
};

class Encoder {
 public:
  Encoder() = default;
  virtual ~Encoder() = default;
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  // --- Constant facts
  // ------------------------------------------------------------------------
  virtual std::size_t dimensions() const = 0;  // Numbers that a text gives.
  virtual Position window() const = 0;         // Tokens of one text at most.
  virtual std::int32_t vocab_size() const = 0;
  // Tokens that are best evaluated together; a longer text makes a batch of its own.
  virtual std::size_t batch_tokens() const = 0;
  virtual std::size_t batch_texts() const = 0;  // At most.
  virtual int max_threads() const = 0;
  // Seconds on CPUs that they have had so far, with the calling one; nothing where that is not
  // known, or says nothing, as they also wait for other devices.
  virtual std::optional<double> cpu_seconds() const = 0;

  // --- A batch
  // -------------------------------------------------------------------------------
  // Evaluates the texts.  `should_stop` is polled meanwhile; true ends it early.  Throws
  // EngineError; after an AbortError it is beyond use.
  virtual DecodeStatus encode(const TextBatch& batch, const std::function<bool()>& should_stop) = 0;
  // What the text of this index in the last batch gave: dimensions() numbers.
  virtual std::span<const float> vector(std::size_t text) = 0;
  // How many threads the next batches use, 1 to max_threads().
  virtual void set_threads(int n) = 0;
};

}  // namespace llmlocal
