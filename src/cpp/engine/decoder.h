// What the engine needs of a model: the one seam between policy and llama.cpp.
//
// A decoder keeps `streams()` sequences of up to `room()` tokens each, until it is given another
// shape.  The engine decides what is in them; the decoder only does as it is told.  All calls come
// from one thread.
// Tests drive the engine with a scripted decoder instead of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"
#include "engine/steps/batch.h"
#include "engine/streams/cache_shape.h"
#include "sampling/sampler.h"

namespace llmlocal {

// The evaluated state of a sequence, kept outside the KV cache.  Copies share the bytes, which
// nobody changes once they are there.
struct StateBlob {
  std::shared_ptr<const std::byte[]> data;
  std::size_t size = 0;
  Position length = 0;  // Tokens that it covers.
  Position floor = 0;   // After a restore it can be trimmed to `floor` or more tokens, or to none.
};

enum class DecodeStatus {
  kOk,
  kAborted,  // The abort check said so; the sequences hold an unknown part of the batch.
};

class Decoder {
 public:
  virtual ~Decoder() = default;

  // --- Facts -------------------------------------------------------------------------------------
  virtual Position context_length() const = 0;     // Tokens that one sequence may ever have.
  virtual std::size_t batch_capacity() const = 0;  // Rows that one decode() may have.
  // How many of them may ask for logits; one for each stream, and a few more.
  virtual std::size_t output_capacity() const = 0;
  virtual StreamId streams() const = 0;
  virtual Position room() const = 0;  // Tokens that each stream can hold now; see restart().
  // The least that it is worth while to make it shorter to.
  virtual Position shortest_room() const { return room(); }
  // Memory that one stream takes if it has room for so many tokens.
  virtual std::size_t stream_bytes(Position room) const = 0;
  virtual std::int32_t vocab_size() const = 0;
  virtual bool is_end(Token token) const = 0;               // Ends the generation.
  virtual const std::string& piece(Token token) const = 0;  // The bytes that it stands for.

  // --- A step ------------------------------------------------------------------------------------
  // Evaluates the rows, which must continue their streams.  Throws EngineError.
  virtual DecodeStatus decode(const Batch& batch) = 0;
  // The logits of row `row` of the last batch, which must have asked for them: there until the next
  // decode(), for whoever wants to overwrite them, on any thread.
  virtual std::span<float> logits(std::size_t row) = 0;
  // Polled during decode(); true ends it early.  An empty one says nothing.
  virtual void set_abort_check(std::function<bool()> check) = 0;
  // How many threads the next steps use, 1 to max_threads().
  virtual void set_threads(int n) = 0;
  virtual int max_threads() const = 0;
  // Seconds on CPUs that they have had so far, with the calling one; nothing where that is not
  // known, or says nothing, as they also wait for other devices.
  virtual std::optional<double> cpu_seconds() const = 0;
  // Used by the threads that submit requests, also when the decoder is gone.
  virtual std::shared_ptr<SamplerFactory> samplers() const = 0;

  // --- Sequences ---------------------------------------------------------------------------------
  // Whether a copy or a saved state stands for all of its tokens or for none (recurrent models,
  // sliding windows): a prefix can then be shared only at the moment when the stream ends there.
  virtual bool copies_whole_only() const = 0;
  // The smallest n > 0 that trim(stream, n) accepts now: 0 where any length will do.
  virtual Position trim_floor(StreamId stream) const = 0;
  // The same for a copy of the stream, or a state saved from it.
  virtual Position copy_floor(StreamId stream) const = 0;
  // Keeps the first `length` tokens.  False: it could not, and the stream is now empty.
  virtual bool trim(StreamId stream, Position length) = 0;
  virtual void clear(StreamId stream) = 0;
  // Makes `to` hold what `from` holds.  False: it could not, and `to` is empty.
  virtual bool copy(StreamId from, StreamId to) = 0;
  virtual std::optional<StateBlob> save(StreamId stream) = 0;
  // False: it could not, and the stream is empty.
  virtual bool restore(StreamId stream, const StateBlob& blob) = 0;
  // What trim() can't cut back of the stream's state, where that is much less than all of it: any
  // stream that begins with the same tokens can be cut back to them with it.
  virtual std::optional<StateBlob> save_part(StreamId stream) = 0;
  // Keeps the first `part.length` tokens of a stream, which are those that the part was saved
  // after. False: it could not, and the stream is empty.
  virtual bool cut_back(StreamId stream, const StateBlob& part) = 0;

  // Exchanges them for those of another shape.  Stream i then holds what kept[i] held; returns
  // whether that survived.  Whatever it throws, mostly for want of memory, nothing has changed
  // then.
  virtual std::vector<bool> reshape(std::span<const StreamId> kept, CacheShape shape) = 0;
  // Where there is no memory for old and new together: first gives up all there is, then makes one
  // empty stream.  Throws OutOfMemoryError or std::bad_alloc; then there is one empty stream with
  // room for little, or for nothing: with this nothing can be done but to try again.
  virtual void restart(Position room) = 0;
};

}  // namespace llmlocal
