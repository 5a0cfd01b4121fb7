#include "engine/stream_pool.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/errors.h"

namespace llmlocal {
namespace {

// At least one token of a prompt must be evaluated, for its logits.
Position reuse_limit(std::span<const Token> prompt) {
  return static_cast<Position>(prompt.size()) - 1;
}

// `now` doubled until it is `wanted` or more, but no more than `most`.
std::int32_t doubled(std::int32_t now, std::int32_t wanted, std::int32_t most) {
  while (now < wanted && now < most) now = now > most / 2 ? most : now * 2;
  return now;
}

// Whether the decoder could do what is only there to spare it work.  What it throws then is no more
// than a refusal, and the requests that run must not pay for it; a decoder that is beyond use will
// say so in the next step.
template <typename Call>
bool works(Call&& call) {
  try {
    return call();
  } catch (...) {
    return false;
  }
}

}  // namespace

StreamPool::StreamPool(Decoder& decoder, StreamId max_streams, std::size_t store_bytes)
    : decoder_(decoder),
      most_streams_(std::max(max_streams, decoder.streams())),
      max_streams_(most_streams_),
      store_(store_bytes),
      streams_(static_cast<std::size_t>(decoder.streams())) {}

std::vector<StreamView> StreamPool::views() const {
  std::vector<StreamView> views;
  views.reserve(streams_.size());
  for (StreamId id = 0; id < streams(); ++id) {
    const Stream& stream = streams_[static_cast<std::size_t>(id)];
    const bool empty = stream.tokens.empty();
    views.push_back({stream.tokens,
                     empty ? 0 : decoder_.trim_floor(id),
                     empty ? 0 : decoder_.copy_floor(id),
                     stream.active,
                     stream.last_used});
  }
  return views;
}

Position StreamPool::held_prefix(std::span<const Token> prompt) const {
  const Position limit = reuse_limit(prompt);
  const std::vector<StreamView> now = views();
  return std::max({longest_to_continue(now, prompt, limit).length,
                   longest_to_copy(now, prompt, limit).length,
                   store_.find(prompt, limit).length});
}

std::optional<StreamPool::Lease> StreamPool::acquire(std::span<const Token> prompt) {
  const Position limit = reuse_limit(prompt);
  const std::vector<StreamView> now = views();
  const StreamMatch to_copy = longest_to_copy(now, prompt, limit);
  const StreamMatch to_continue = longest_to_continue(now, prompt, limit);
  const Position adoptable = std::max(to_copy.length, store_.find(prompt, limit).length);
  // A stream that alone has the most is the place to be, gap or not.
  const std::optional<StreamId> target = to_continue.length >= adoptable + kWorthKeeping
                                             ? std::optional(to_continue.stream)
                                             : choose_stream(now, prompt, limit, adoptable);
  if (!target) return std::nullopt;

  const StreamView& there = now[static_cast<std::size_t>(*target)];
  const Position own = usable_prefix(there.tokens, there.floor, prompt, limit);
  save_tail(*target, own >= adoptable ? own : 0);
  // Looked up again: saving may have pushed the entry out.
  const PrefixStore::Match stored = store_.find(prompt, limit);
  Lease lease{*target, 0};
  // Believed to be empty, and so cleared before it is used, should anything be thrown from here on.
  Stream& stream = at(*target);
  stream.tokens.clear();
  if (own > 0 && own >= std::max(to_copy.length, stored.length)) {  // Continue in place.
    lease.reused = works([&] { return decoder_.trim(*target, own); }) ? own : 0;
  } else {
    lease.reused = adopt(*target, to_copy, stored);
  }
  if (lease.reused == 0) decoder_.clear(*target);

  stream.tokens.assign(prompt.begin(), prompt.begin() + lease.reused);
  stream.active = true;
  return lease;
}

Position StreamPool::adopt(StreamId target,
                           const StreamMatch& stream,
                           const PrefixStore::Match& stored) {
  const Position best = std::max(stream.length, stored.length);
  if (best < kWorthKeeping) return 0;
  decoder_.clear(target);
  bool adopted = false;
  if (stream.length >= stored.length) {
    adopted = works([&] { return decoder_.copy(stream.stream, target); });
  } else {
    store_.touch(stored.entry);
    adopted = works([&] { return decoder_.restore(target, stored.entry->blob); });
    // A state that the decoder refuses will be refused again.
    if (!adopted) store_.remove(stored.entry);
  }
  return adopted && works([&] { return decoder_.trim(target, best); }) ? best : 0;
}

void StreamPool::save_tail(StreamId stream, Position keep) {
  if (length(stream) - keep >= kWorthKeeping) checkpoint(stream);
}

void StreamPool::checkpoint(StreamId stream) {
  const Tokens& tokens = at(stream).tokens;
  if (tokens.empty() || store_.budget() == 0 || store_.covers(tokens)) return;
  works([&] {
    std::optional<StateBlob> blob = decoder_.save(stream);
    if (blob) store_.insert(tokens, std::move(*blob));
    return blob.has_value();
  });
}

void StreamPool::extend(StreamId stream, std::span<const Token> tokens) {
  at(stream).tokens.insert(at(stream).tokens.end(), tokens.begin(), tokens.end());
}

void StreamPool::roll_back(StreamId stream) {
  const bool kept =
      length(stream) > 0 && works([&] { return decoder_.trim(stream, length(stream)); });
  if (!kept) clear(stream);
}

void StreamPool::clear(StreamId stream) {
  at(stream).tokens.clear();
  decoder_.clear(stream);
}

void StreamPool::release(StreamId stream) {
  at(stream).active = false;
  at(stream).last_used = ++clock_;
}

void StreamPool::release_all() {
  for (StreamId id = 0; id < streams(); ++id) {
    if (at(id).active) release(id);
  }
}

void StreamPool::grow(StreamId wanted_streams, Position wanted_room) {
  const StreamId more_streams = doubled(streams(), wanted_streams, max_streams_);
  const Position enough = doubled(room(), wanted_room, decoder_.context_length());
  const Position more_room = enough < refused_room_ ? enough : room();
  const bool adds_streams = more_streams > streams();
  const bool adds_room = more_room > room();
  if (!adds_streams && !adds_room) return;
  if (grows_to(more_streams, more_room)) return;
  // Fewer at a time is slower, not wrong; and the next request need not try again at once.
  if (adds_streams) max_streams_ = streams();
  const bool has_room = adds_streams && adds_room && grows_to(streams(), more_room);
  if (adds_room && !has_room) refused_room_ = more_room;
}

bool StreamPool::grows_to(StreamId target, Position room) {
  try {
    streams_.reserve(static_cast<std::size_t>(target));
    const std::vector<bool> survived = decoder_.grow(target, room);
    for (StreamId id = 0; id < streams(); ++id) {
      if (!survived[static_cast<std::size_t>(id)]) at(id).tokens.clear();
    }
    streams_.resize(static_cast<std::size_t>(target));
    return true;
  } catch (const OutOfMemoryError&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void StreamPool::rest() {
  max_streams_ = most_streams_;
  refused_room_ = kAnyRoom;
}

void StreamPool::restart(Position wanted_room) {
  const Position target = doubled(room(), wanted_room, decoder_.context_length());
  for (StreamId id = 0; id < streams(); ++id) save_tail(id, 0);
  for (Stream& stream : streams_) stream.tokens.clear();
  streams_.resize(1);
  try {
    decoder_.restart(target);
  } catch (const OutOfMemoryError&) {
    // A request comes before what others might reuse.
    if (store_.size() == 0) throw;
    store_.clear();
    decoder_.restart(target);
  }
}

std::optional<Move> StreamPool::gap() const {
  std::vector<bool> active;
  active.reserve(streams_.size());
  for (const Stream& stream : streams_) active.push_back(stream.active);
  return closing_move(active);
}

bool StreamPool::has_gap() const {
  return gap().has_value();
}

std::optional<Move> StreamPool::close_gap() {
  const std::optional<Move> move = gap();
  if (!move) return std::nullopt;
  save_tail(move->to, 0);
  clear(move->to);
  if (!works([&] { return decoder_.copy(move->from, move->to); })) {
    clear(move->to);
    return std::nullopt;
  }
  std::swap(at(move->to), at(move->from));
  clear(move->from);
  return move;
}

StreamId StreamPool::active() const {
  return static_cast<StreamId>(std::ranges::count_if(streams_, &Stream::active));
}

}  // namespace llmlocal
