#include "engine/streams/stream_pool.h"

#include <algorithm>
#include <utility>

#include "engine/streams/works.h"

namespace llmlocal {
namespace {

// At least one token of a prompt must be evaluated, for its logits.
Position reuse_limit(const PrefixView& prompt) {
  return static_cast<Position>(prompt.size()) - 1;
}

}  // namespace

StreamPool::StreamPool(Decoder& decoder, const CacheOptions& options)
    : decoder_(decoder),
      shortest_room_(decoder.shortest_room()),
      budget_(decoder, options),
      store_(options.store_bytes),
      files_(options.files),
      writer_(files_ ? std::make_unique<PrefixWriter>(files_) : nullptr),
      reader_(files_ ? std::make_unique<PrefixReader>(files_, options.on_read) : nullptr),
      streams_(static_cast<std::size_t>(decoder.streams())) {}

std::vector<StreamView> StreamPool::views() const {
  std::vector<StreamView> views;
  views.reserve(streams_.size());
  for (StreamId id = 0; id < streams(); ++id) {
    const Stream& stream = streams_[static_cast<std::size_t>(id)];
    const bool empty = stream.key.empty();
    views.push_back({stream.key,
                     empty ? 0 : decoder_.trim_floor(id),
                     empty ? 0 : decoder_.copy_floor(id),
                     stream.active,
                     stream.last_used});
  }
  return views;
}

Position StreamPool::held_in_memory(const PrefixView& prompt, Position limit) const {
  const std::vector<StateBlob> parts = store_.parts_of(prompt, limit);
  const Wanted wanted{prompt, limit, parts};
  const std::vector<StreamView> now = views();
  return std::max({longest_to_continue(now, wanted).length,
                   longest_to_copy(now, wanted).length,
                   store_.find(prompt, limit).length});
}

Position StreamPool::held_prefix(const PrefixView& prompt) const {
  const Position limit = reuse_limit(prompt);
  const Position in_memory = held_in_memory(prompt, limit);
  const Position on_disk = files_ ? files_->find(prompt, limit).length : 0;
  return on_disk >= in_memory + kWorthWriting ? on_disk : in_memory;
}

bool StreamPool::is_at_hand(const PrefixView& prompt, std::shared_ptr<PrefixReading>& reading) {
  if (!reader_) return true;
  if (reading) return reading->is_done();
  const Position limit = reuse_limit(prompt);
  const PrefixFiles::Match match = files_->find(prompt, limit);
  if (match.length < held_in_memory(prompt, limit) + kWorthWriting) return true;
  // Whoever waits for the same file has it in memory in a moment.
  if (reader_->is_under_way(match.name)) return false;
  return !works([&] { return (reading = reader_->start(match, prompt)) != nullptr; });
}

Position StreamPool::parting(const PrefixView& prompt) const {
  Position longest = store_.parting(prompt);
  for (const Stream& stream : streams_) {
    longest = std::max(longest, common_prefix(stream.key, prompt));
  }
  return longest;
}

std::optional<StreamPool::Lease> StreamPool::acquire(const PrefixView& prompt,
                                                     const PrefixReading* reading) {
  return acquire(prompt, reuse_limit(prompt), reading);
}

std::optional<StreamPool::Lease> StreamPool::acquire(const PrefixView& prompt,
                                                     Position limit,
                                                     const PrefixReading* reading) {
  const std::vector<StateBlob> parts = store_.parts_of(prompt, limit);
  const Wanted wanted{prompt, limit, parts};
  const std::vector<StreamView> now = views();
  const StreamMatch to_copy = longest_to_copy(now, wanted);
  const StreamMatch to_continue = longest_to_continue(now, wanted);
  Position adoptable = std::max(to_copy.length, store_.find(prompt, limit).length);
  const bool from_disk =
      reading != nullptr && reading->blob().has_value() &&
      reading->length() >= std::max(adoptable, to_continue.length) + kWorthWriting;
  if (from_disk) adoptable = reading->length();
  // A stream that alone has the most is the place to be, gap or not.
  const std::optional<StreamId> target = to_continue.length >= adoptable + kWorthKeeping
                                             ? std::optional(to_continue.stream)
                                             : choose_stream(now, wanted, adoptable);
  if (!target) return std::nullopt;

  const StreamView& there = now[static_cast<std::size_t>(*target)];
  const Position own = usable_prefix(there.text, there.floor, wanted);
  store_.touch_parts(prompt.first(static_cast<std::size_t>(std::max(own, adoptable))));
  save_tail(*target, own >= adoptable ? own : 0);
  // Looked up again: saving may have pushed the entry out.
  const PrefixStore::Match stored = store_.find(prompt, limit);
  Lease lease{*target, 0};
  // Believed to be empty, and so cleared before it is used, should anything be thrown from here on.
  Stream& stream = at(*target);
  stream.key.shorten(0);
  if (from_disk) {
    lease.reused = adopt(*target, *reading);
  } else if (own > 0 && own >= std::max(to_copy.length, stored.length)) {  // Continue in place.
    lease.reused = cut_to(*target, own, wanted) ? own : 0;
  } else {
    lease.reused = adopt(*target, to_copy, stored, wanted);
  }
  if (lease.reused == 0) decoder_.clear(*target);

  stream.key.assign(prompt.first(static_cast<std::size_t>(lease.reused)));
  stream.active = true;
  return lease;
}

Position StreamPool::adopt(StreamId target, const PrefixReading& from) {
  decoder_.clear(target);
  const bool adopted = works([&] { return decoder_.restore(target, *from.blob()); }) &&
                       works([&] { return decoder_.trim(target, from.length()); });
  if (!adopted) return 0;
  files_->count_hit(from.length());
  return from.length();
}

Position StreamPool::adopt(StreamId target,
                           const StreamMatch& stream,
                           const PrefixStore::Match& stored,
                           const Wanted& wanted) {
  const Position best = std::max(stream.length, stored.length);
  if (best < kWorthKeeping) return 0;
  decoder_.clear(target);
  bool adopted = false;
  if (stream.length >= stored.length) {
    adopted = works([&] { return decoder_.copy(stream.stream, target); });
  } else {
    store_.touch(*stored.entry);
    adopted = works([&] { return decoder_.restore(target, stored.entry->blob); });
    // A state that the decoder refuses will be refused again.
    if (!adopted) store_.remove(*stored.entry);
  }
  return adopted && cut_to(target, best, wanted) ? best : 0;
}

// Keeps the first `length` tokens of a stream that begins with those of the prompt.
bool StreamPool::cut_to(StreamId stream, Position length, const Wanted& wanted) {
  return works([&] {
    if (length >= decoder_.trim_floor(stream)) return decoder_.trim(stream, length);
    const auto part = std::ranges::find(wanted.parts, length, &StateBlob::length);
    return part != wanted.parts.end() && decoder_.cut_back(stream, *part);
  });
}

void StreamPool::save_tail(StreamId stream, Position keep) {
  if (length(stream) - keep >= kWorthKeeping) save(stream);
}

void StreamPool::checkpoint(StreamId stream) {
  const PrefixKey& key = at(stream).key;
  if (key.empty() || store_.budget() == 0) return;
  const auto length = static_cast<Position>(key.size());
  const std::vector<StateBlob> parts = store_.parts_of(key, length);
  if (!parts.empty() && parts.back().length == length) return;
  const bool is_kept = !files_ && works([&] {
    std::optional<StateBlob> part = decoder_.save_part(stream);
    if (part) store_.insert({.key = key, .blob = std::move(*part), .is_part = true});
    return part.has_value();
  });
  if (!is_kept) save(stream);
}

void StreamPool::save(StreamId stream) {
  const PrefixKey& key = at(stream).key;
  if (key.empty() || store_.budget() == 0 || store_.covers(key)) return;
  works([&] {
    std::optional<StateBlob> blob = decoder_.save(stream);
    // What can't be cut back is kept on the way for others; the rest, in case it is asked for
    // again.
    if (blob) store_.insert({key, std::move(*blob), decoder_.copies_whole_only()});
    return blob.has_value();
  });
}

void StreamPool::extend(StreamId stream, const PrefixView& next) {
  at(stream).key.append(next);
}

void StreamPool::roll_back(StreamId stream) {
  const bool kept =
      length(stream) > 0 && works([&] { return decoder_.trim(stream, length(stream)); });
  if (!kept) clear(stream);
}

void StreamPool::cut(StreamId stream, std::size_t count) {
  if (count == 0) return;
  at(stream).key.shorten(at(stream).key.size() - count);
  roll_back(stream);
}

void StreamPool::clear(StreamId stream) {
  at(stream).key.shorten(0);
  decoder_.clear(stream);
}

void StreamPool::release(StreamId stream) {
  at(stream).active = false;
  at(stream).last_used = ++clock_;
  if (files_) works([&] { return (at(stream).on_disk = files_->covered(at(stream).key)) > 0; });
}

std::optional<PrefixStore::Entry> StreamPool::take_out(const PrefixView& text) {
  const auto limit = static_cast<Position>(text.size());
  const StreamMatch stream = longest_to_copy(views(), {text, limit});
  const PrefixStore::Match stored = store_.find(text, limit);
  const bool is_ready = stored.entry != nullptr && stored.entry->blob.floor <= stored.length;
  if (is_ready && stored.length >= stream.length) return *stored.entry;
  if (held_in_memory(text, limit) > stream.length) {
    // With a part: a free stream is where it is put together.
    if (const std::optional<Lease> lease = acquire(text, limit, nullptr)) {
      release(lease->stream);
      return saved(lease->stream);
    }
  }
  return stream.length > 0 ? saved(stream.stream) : std::nullopt;
}

std::optional<PrefixStore::Entry> StreamPool::saved(StreamId stream) {
  if (length(stream) == 0) return std::nullopt;
  std::optional<StateBlob> blob = decoder_.save(stream);
  if (!blob) return std::nullopt;
  return PrefixStore::Entry{at(stream).key, std::move(*blob)};
}

void StreamPool::put_in(PrefixStore::Entry entry) {
  entry.serves_others = true;
  store_.insert(std::move(entry));
}

// A free stream with more tokens than any file has.  As a conversation grows, it is written anew
// only when it has grown by an eighth: all its files together then are no more than a few times as
// long as the last.  At the end all that is new counts.
std::optional<StreamId> StreamPool::next_for_disk(bool is_end) const {
  for (StreamId id = 0; id < streams(); ++id) {
    const Stream& stream = streams_[static_cast<std::size_t>(id)];
    const Position more = length(id) - stream.on_disk;
    const Position enough = is_end ? kWorthWriting : std::max(kWorthWriting, stream.on_disk / 8);
    if (!stream.active && more >= enough) return id;
  }
  return std::nullopt;
}

void StreamPool::offer(StreamId stream) {
  at(stream).on_disk = length(stream);  // Also if it can't be had: it would be the same again.
  works([&] {
    std::optional<StateBlob> blob = decoder_.save(stream);
    if (blob) writer_->take(at(stream).key, std::move(*blob));
    return blob.has_value();
  });
}

StreamPool::Kept StreamPool::keep_one() noexcept {
  if (!writer_) return Kept::kNothing;
  const std::optional<StreamId> stream = next_for_disk(false);
  if (stream && !writer_->has_place()) return Kept::kNoPlace;
  if (stream) {
    offer(*stream);
    return Kept::kOne;
  }
  if (!writer_->has_place()) return Kept::kNoPlace;
  const PrefixStore::Entry* const entry = store_.next_for_disk();
  if (entry == nullptr) return Kept::kNothing;
  works([&] {
    const bool is_new = files_->covered(entry->key) < static_cast<Position>(entry->key.size());
    const bool is_worth_it = static_cast<Position>(entry->key.size()) >= kWorthWriting;
    if (is_new && is_worth_it) writer_->take(entry->key, entry->blob);
    return true;
  });
  return Kept::kOne;
}

void StreamPool::keep_rest() noexcept {
  if (!writer_) return;
  while (const std::optional<StreamId> stream = next_for_disk(true)) {
    writer_->wait_for_place();
    offer(*stream);
  }
  while (keep_one() != Kept::kNothing) writer_->wait_for_place();
}

void StreamPool::release_all() {
  for (StreamId id = 0; id < streams(); ++id) {
    if (at(id).active) release(id);
  }
}

void StreamPool::retire() noexcept {
  writer_.reset();
  reader_.reset();
  store_.clear();
  budget_.retire();
}

StreamId StreamPool::active() const {
  return static_cast<StreamId>(std::ranges::count_if(streams_, &Stream::active));
}

}  // namespace llmlocal
