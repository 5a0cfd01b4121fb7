// The sequences in one llama_context: how long they are, and how they are cut, saved and restored.
#pragma once

#include <llama.h>

#include <cstddef>
#include <optional>
#include <utility>

#include "engine/decoder.h"
#include "llama/context.h"
#include "llama/guard.h"
#include "llama/model.h"
#include "llama/state_bytes.h"

namespace llmlocal {

class Sequences {
 public:
  // `streams` of them, with room for `room` tokens each.  Model and guard outlive it.
  Sequences(
      Context context, const Model& model, FusedGuard& guarded, StreamId streams, Position room)
      : context_(std::move(context)),
        model_(model),
        guarded_(guarded),
        streams_(streams),
        room_(room) {}

  // Whether what this model keeps of a text can't be cut back.
  static bool are_whole_only(const Model& model) {
    return model.is_recurrent() || model.is_hybrid();
  }

  llama_context* context() const { return context_.get(); }
  StreamId streams() const { return streams_; }
  Position room() const { return room_; }

  // As Decoder has them.
  bool copies_whole_only() const;
  Position trim_floor(StreamId stream) const;
  Position copy_floor(StreamId stream) const;
  bool trim(StreamId stream, Position length);
  void clear(StreamId stream);
  // Nothing also where the stream is empty, or no memory for it is free.
  std::optional<StateBlob> save(StreamId stream);
  bool restore(StreamId stream, const StateBlob& blob);
  std::optional<StateBlob> save_part(StreamId stream);
  bool cut_back(StreamId stream, const StateBlob& part);

 private:
  llama_memory_t memory() const { return llama_get_memory(context_.get()); }
  Position length(StreamId stream) const;
  StateLayout layout_of(StreamId stream, std::size_t state_size) const;
  StateLayout part_layout_of(StreamId stream, std::size_t part_size) const;
  std::optional<StateBlob> write(StreamId stream,
                                 const StateLayout& layout,
                                 std::size_t size,
                                 llama_state_seq_flags flags);
  bool read(StreamId stream, const StateBlob& blob, llama_state_seq_flags flags);

  Context context_;
  const Model& model_;
  FusedGuard& guarded_;
  StreamId streams_;
  Position room_;
};

}  // namespace llmlocal
