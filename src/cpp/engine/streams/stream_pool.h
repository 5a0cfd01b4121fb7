// What the KV cache holds: which tokens are in which stream, which streams are in use, and what was
// evicted to RAM.
//
// The only place that changes sequences of the decoder, so what it believes is what is there. A
// free stream stays warm: its tokens can be continued in place or copied elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "engine/streams/cache_budget.h"
#include "engine/streams/cache_options.h"
#include "engine/streams/cache_shape.h"
#include "engine/streams/prefix_files.h"
#include "engine/streams/prefix_reader.h"
#include "engine/streams/prefix_store.h"
#include "engine/streams/prefix_writer.h"
#include "engine/streams/stream_choice.h"

namespace llmlocal {

class StreamPool {
 public:
  StreamPool(Decoder& decoder, const CacheOptions& options);

  struct Lease {
    StreamId stream = -1;
    Position reused = 0;  // Tokens of the prompt that are there already.
  };

  // How many tokens of `prompt` are held somewhere; at least one is left to evaluate.
  Position held_prefix(const PrefixView& prompt) const;

  // How many tokens of `prompt` some other text that is held begins with, whether or not it can be
  // cut back to them.
  Position parting(const PrefixView& prompt) const;

  // Whether nothing of this prompt is to be waited for.  Where a file has more of it than is held,
  // that is read by another thread: `reading` is then what acquire() wants, and this is asked again
  // with it until it is true.
  bool is_at_hand(const PrefixView& prompt, std::shared_ptr<PrefixReading>& reading);

  // Takes a free stream and puts the longest held prefix of `prompt` into it, or what was read for
  // it. None: all in use.  What can't be adopted, for whatever reason, is left to be evaluated.
  // Throws where the stream can't even be cleared.
  std::optional<Lease> acquire(const PrefixView& prompt, const PrefixReading* reading = nullptr);

  // This has been evaluated in the stream: the next part of its text.
  void extend(StreamId stream, const PrefixView& next);
  // A step was cut short: cuts the stream back to what was there before it, or to nothing.
  void roll_back(StreamId stream);
  // The last `count` tokens that were evaluated are not wanted.  Where the stream can't be cut, it
  // is empty then.
  void cut(StreamId stream, std::size_t count);
  // Forgets the stream's content.
  void clear(StreamId stream);
  // The stream's request is done; its content stays for reuse.
  void release(StreamId stream);
  void release_all();
  // Keeps in RAM what later texts need to begin with the stream's present one, unless it is there
  // already or can't be had.  That is a part of the state where the rest can be cut back and
  // nothing is written to disk.
  void checkpoint(StreamId stream);

  // What is held of this text, as far as it can serve one that begins with it.  Nothing: it is not,
  // or can't be had.
  std::optional<PrefixStore::Entry> take_out(const PrefixView& text);
  // The other way: keeps a state in RAM, if it may take so much.
  void put_in(PrefixStore::Entry entry);

  // Something that is worth keeping on disk was handed to its writer; or there is nothing; or the
  // writer has no place for it yet.  For moments in which nobody waits: it takes as long as saving
  // a stream.
  enum class Kept { kOne, kNothing, kNoPlace };
  Kept keep_one() noexcept;
  // The same for all that is left, at the end; returns when it is handed over.
  void keep_rest() noexcept;

  // Gives the cache the shape that the texts ask for, as far as it may be had; see choose_shape().
  // Returns where active streams are now, if not where they were.
  std::vector<Move> reshape(std::span<const Position> running, std::span<const Position> waiting);
  // There was nothing to do for a while: what there was no memory for may be had now.
  void rest() { budget_.forgive(); }
  // Where there was no memory to grow, and no stream is active: exchanges all streams for one with
  // room for `wanted` tokens or more.  Throws OutOfMemoryError or std::bad_alloc.
  void restart(Position wanted_room);
  // Tells the ledger of the process what was taken of what the cache and the store may have.
  void report_memory() const { budget_.report(shape(), store_.bytes()); }
  // Nothing will be asked of it any more: gives back the memory outside the decoder.
  void retire() noexcept;
  // Whether a free stream lies between active ones.
  bool has_gap() const;
  // Moves one active stream, if that closes a gap between active streams.
  std::optional<Move> close_gap();

  StreamId streams() const { return static_cast<StreamId>(streams_.size()); }
  StreamId active() const;
  // How many there may be, as long as they are now.
  StreamId limit() const { return budget_.limit(shape()); }
  StreamId most_streams() const { return budget_.most_streams(); }
  Position room() const { return decoder_.room(); }
  Position length(StreamId stream) const {
    return static_cast<Position>(streams_[static_cast<std::size_t>(stream)].key.size());
  }
  const PrefixStore& store() const { return store_; }

 private:
  struct Stream {
    PrefixKey key;
    bool active = false;
    std::uint64_t last_used = 0;  // When it was released.
    Position on_disk = 0;         // Tokens that a file holds already, or was offered.
  };

  // Fewer tokens than this are not worth a copy or a place in the store.
  static constexpr Position kWorthKeeping = 16;
  // Nor these a file: reading it would take longer than evaluating them.
  static constexpr Position kWorthWriting = 64;

  CacheShape shape() const { return {streams(), room()}; }
  std::vector<StreamId> kept_in(CacheShape shape) const;
  std::optional<std::vector<Move>> change_to(CacheShape shape);
  std::optional<Move> gap() const;
  Stream& at(StreamId stream) { return streams_[static_cast<std::size_t>(stream)]; }
  std::vector<StreamView> views() const;
  Position held_in_memory(const PrefixView& prompt, Position limit) const;
  std::optional<Lease> acquire(const PrefixView& prompt,
                               Position limit,
                               const PrefixReading* reading);
  Position adopt(StreamId target, const PrefixReading& from);
  std::optional<StreamId> next_for_disk(bool is_end) const;
  void offer(StreamId stream);
  // Keeps a copy of the stream's present state in RAM, unless something covers it already.
  void save(StreamId stream);
  std::optional<PrefixStore::Entry> saved(StreamId stream);
  bool cut_to(StreamId stream, Position length, const Wanted& wanted);
  // Saves what cutting the stream back to `keep` tokens would lose, if it is worth it.
  void save_tail(StreamId stream, Position keep);
  Position adopt(StreamId target,
                 const StreamMatch& stream,
                 const PrefixStore::Match& stored,
                 const Wanted& wanted);

  Decoder& decoder_;
  const Position shortest_room_;
  CacheBudget budget_;
  PrefixStore store_;
  const std::shared_ptr<PrefixFiles> files_;
  std::unique_ptr<PrefixWriter> writer_;  // Where there are files, and so the next.
  std::unique_ptr<PrefixReader> reader_;
  std::vector<Stream> streams_;
  std::uint64_t clock_ = 0;
};

}  // namespace llmlocal
