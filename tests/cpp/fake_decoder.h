// A Decoder without a model, strict about its contract.
//
// It keeps the tokens of every stream and answers from these alone, so whatever the engine mixes up
// shows in the text.  It behaves like the three kinds of KV cache, fails and refuses where a test
// says so, and writes down what it was asked to do.  A broken rule is a violation: it is recorded,
// and thrown.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "base/thread_group.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "fake_options.h"

namespace llmlocal::testing {

inline constexpr std::size_t kStateBytesPerToken = 16;
inline constexpr std::size_t kPartBytes = 32;
inline constexpr std::size_t kStreamBytes = 1000;  // With room for the whole context.

// Takes the best token, and like a real sampler leaves the logits in disorder.
class GreedySampler : public Sampler {
 public:
  Token choose(std::span<float> logits, Constraint* constraint) override {
    std::span<const Token> few;
    if (constraint) few = constraint->apply(logits);
    if (std::isnan(logits[0])) throw EngineError("the model's output is not a number");
    const auto logit_of = [&](Token token) { return logits[static_cast<std::size_t>(token)]; };
    const auto best = few.empty() ? std::ranges::max_element(logits) - logits.begin()
                                  : *std::ranges::max_element(few, {}, logit_of);
    std::ranges::fill(logits, 1.0F);
    return static_cast<Token>(best);
  }
  void accept(Token /*token*/) override {}
  void take_back(std::size_t /*count*/) override {}
};

class GreedySamplers : public SamplerFactory {
 public:
  using OnMake = std::function<void(std::span<const Token> prompt)>;
  explicit GreedySamplers(OnMake on_make) : on_make_(std::move(on_make)) {}

  std::unique_ptr<Sampler> make(const SamplingParams& /*params*/,
                                std::span<const Token> prompt) override {
    if (on_make_) on_make_(prompt);
    return std::make_unique<GreedySampler>();
  }

 private:
  OnMake on_make_;
};

class FakeDecoder : public Decoder {
 public:
  FakeDecoder(FakeOptions options, std::shared_ptr<DecoderLog> log)
      : options_(std::move(options)),
        log_(std::move(log)),
        room_(first_room()),
        streams_(static_cast<std::size_t>(options_.streams)) {}
  ~FakeDecoder() override {
    check_thread();
    log_->destroyed = true;
  }
  FakeDecoder(const FakeDecoder&) = delete;
  FakeDecoder& operator=(const FakeDecoder&) = delete;

  std::optional<double> cpu_seconds() const override {
    return options_.keeps_threads_busy ? workers_.cpu_seconds() : std::nullopt;
  }

  // The truth, for tests that drive the decoder themselves.
  const Tokens& tokens(StreamId stream) { return at(stream).tokens; }

  Position context_length() const override { return options_.context_length; }
  std::size_t batch_capacity() const override { return options_.batch_capacity; }
  std::size_t output_capacity() const override {
    return std::min(std::max(options_.outputs, streams_.size()), options_.batch_capacity);
  }
  StreamId streams() const override { return static_cast<StreamId>(streams_.size()); }
  Position room() const override { return room_; }
  std::size_t stream_bytes(Position room) const override {
    return kStreamBytes * static_cast<std::size_t>(room) /
           static_cast<std::size_t>(options_.context_length);
  }
  std::int32_t vocab_size() const override { return options_.model.vocab_size(); }
  bool is_end(Token token) const override { return token == options_.model.end_token(); }
  const std::string& piece(Token token) const override { return options_.model.piece(token); }

  DecodeStatus decode(const Batch& batch) override {
    check_thread();
    check_batch(batch);
    log_->add_batch(batch);
    last_batch_.clear();
    const auto aborted = [this] { return options_.polls_abort_check && abort_check_(); };
    for (std::size_t row = 0; row < batch.size(); ++row) {
      if (row == batch.size() / 2) {  // What fails or is aborted leaves a part behind.
        options_.gate->pass(aborted);
        if (options_.on_decode) options_.on_decode(batch);
        enter(Call::kDecode);
      }
      if (aborted()) return DecodeStatus::kAborted;
      at(batch.streams[row]).tokens.push_back(batch.tokens[row]);
    }
    last_batch_ = batch;
    logits_.assign(batch.size(), {});
    return DecodeStatus::kOk;
  }

  std::span<float> logits(std::size_t row) override {
    check_thread();
    require(row < last_batch_.size() && last_batch_.wants_logits[row] != 0,
            "logits of a row that has none");
    enter(Call::kLogits);
    const auto length = static_cast<std::size_t>(last_batch_.positions[row]) + 1;
    const auto sequence = std::span(at(last_batch_.streams[row]).tokens).first(length);
    std::vector<float>& logits = logits_[row];
    if (!logits.empty()) return logits;  // As whoever had them left them.
    logits.assign(options_.model.pieces.size(), 0.0F);
    logits[static_cast<std::size_t>(options_.model.next(sequence))] = 2.0F;
    if (options_.logits_are_nan && options_.logits_are_nan(sequence)) {
      logits[0] = std::numeric_limits<float>::quiet_NaN();
    }
    return logits;
  }

  void set_abort_check(std::function<bool()> check) override {
    check_thread();
    abort_check_ = std::move(check);
  }
  void set_threads(int n) override {
    check_thread();
    require(n >= 1 && n <= max_threads(), "threads out of range");
    log_->threads = n;
  }
  int max_threads() const override { return 4; }

  std::shared_ptr<SamplerFactory> samplers() const override {
    return std::make_shared<GreedySamplers>(options_.on_make_sampler);
  }

  bool copies_whole_only() const override { return options_.memory != MemoryKind::kPlain; }
  Position trim_floor(StreamId stream) const override {
    const Stream& it = streams_.at(static_cast<std::size_t>(stream));
    return options_.memory == MemoryKind::kWholeStates ? length_of(it) : it.floor;
  }
  Position copy_floor(StreamId stream) const override {
    const Stream& it = streams_.at(static_cast<std::size_t>(stream));
    const bool is_cut = options_.memory == MemoryKind::kWindowed && length_of(it) > options_.window;
    return is_cut ? length_of(it) : trim_floor(stream);
  }

  bool trim(StreamId stream, Position length) override {
    check_thread();
    Stream& it = at(stream);
    require(length > 0 && length <= length_of(it), "trim to more than there is, or to none");
    if (length < trim_floor(stream)) {
      it = {};
      return false;
    }
    enter(Call::kTrim);
    it.tokens.resize(static_cast<std::size_t>(length));
    return true;
  }
  void clear(StreamId stream) override {
    check_thread();
    if (options_.on_clear) options_.on_clear();
    enter(Call::kClear);
    at(stream) = {};
  }
  bool copy(StreamId from, StreamId to) override {
    check_thread();
    require(from != to, "copy of a stream onto itself");
    ++log_->copies;
    at(to) = {};
    if (options_.copy_works && !options_.copy_works()) return false;
    leave_a_part(Call::kCopy, at(to), at(from).tokens);
    at(to) = {at(from).tokens, copy_floor(from)};
    return true;
  }

  std::optional<StateBlob> save(StreamId stream) override {
    check_thread();
    const Tokens& tokens = at(stream).tokens;
    require(!tokens.empty(), "save of an empty stream");
    ++log_->saves;
    if (options_.on_save) options_.on_save();
    enter(Call::kSave);
    if (options_.save_works && !options_.save_works()) return std::nullopt;
    return blob_of(tokens, copy_floor(stream), tokens.size() * kStateBytesPerToken);
  }
  std::optional<StateBlob> save_part(StreamId stream) override {
    check_thread();
    const Tokens& tokens = at(stream).tokens;
    require(!tokens.empty(), "a part of an empty stream");
    enter(Call::kSavePart);
    ++log_->saved_parts;
    if (!options_.has_parts || !copies_whole_only() ||
        tokens.size() * kStateBytesPerToken < 2 * kPartBytes) {
      return std::nullopt;
    }
    // It has all tokens, so that cut_back() can tell whether the stream began with them.
    return blob_of(tokens, length_of(at(stream)), kPartBytes);
  }
  bool cut_back(StreamId stream, const StateBlob& part) override {
    check_thread();
    ++log_->cuts_back;
    Stream& it = at(stream);
    const Tokens tokens = tokens_of(part);
    require(part.length > 0 && part.length <= length_of(it), "cut back to more than there is");
    require(std::equal(tokens.begin(), tokens.end(), it.tokens.begin()), "a part of another text");
    if (options_.cut_back_works && !options_.cut_back_works()) {
      it = {};
      return false;
    }
    leave_a_part(Call::kCutBack, it, tokens);
    it.tokens = tokens;
    it.floor = copy_floor(stream);
    return true;
  }
  bool restore(StreamId stream, const StateBlob& blob) override {
    check_thread();
    ++log_->restores;
    at(stream) = {};
    if (blob.length > room_) return false;
    if (options_.restore_works && !options_.restore_works()) return false;
    Tokens tokens = tokens_of(blob);
    leave_a_part(Call::kRestore, at(stream), tokens);
    at(stream) = {std::move(tokens), blob.floor};
    return true;
  }

  std::vector<bool> reshape(std::span<const StreamId> kept, CacheShape shape) override {
    check_thread();
    require(shape.streams >= 1 && shape.room >= 1, "a shape of nothing");
    require(shape != CacheShape(streams(), room_), "a change to what is there");
    require(shape.room <= options_.context_length, "growth beyond the context");
    require(kept.size() <= static_cast<std::size_t>(shape.streams), "more kept than there will be");
    require(std::ranges::adjacent_find(kept, std::greater_equal{}) == kept.end(),
            "kept in disorder");
    enter(Call::kReshape);
    const Position together = streams() * room_ + shape.streams * shape.room;
    if (shape.streams > options_.grows_to || shape.room > options_.room_grows_to ||
        together > options_.together) {
      throw OutOfMemoryError("no memory to grow");
    }
    ++log_->reshapes;
    std::vector<bool> survived;
    std::vector<Stream> changed(static_cast<std::size_t>(shape.streams));
    for (const StreamId stream : kept) {
      survived.push_back(length_of(at(stream)) <= shape.room &&
                         (!options_.survives_reshape || options_.survives_reshape(stream)));
      // Content moves by way of saved states.
      if (survived.back()) {
        changed[survived.size() - 1] = {at(stream).tokens, copy_floor(stream)};
      }
    }
    streams_ = std::move(changed);
    room_ = shape.room;
    return survived;
  }
  void restart(Position room) override {
    check_thread();
    require(room > room_ && room <= options_.context_length, "restart with a wrong length");
    ++log_->restarts;
    streams_.assign(1, {});
    room_ = options_.failed_restart_leaves_nothing ? 0 : first_room();
    if (room > options_.room_restarts_to) throw OutOfMemoryError("no memory to restart");
    enter(Call::kRestart);
    room_ = room;
  }

 private:
  struct Stream {
    Tokens tokens;
    Position floor = 0;
  };
  Position first_room() const { return options_.room.value_or(options_.context_length); }
  static Position length_of(const Stream& stream) {
    return static_cast<Position>(stream.tokens.size());
  }

  static StateBlob blob_of(const Tokens& tokens, Position floor, std::size_t size) {
    // A part says that it is smaller than the tokens that stand in it.
    auto bytes = std::make_unique<std::byte[]>(std::max(size, tokens.size() * sizeof(Token)));
    std::memcpy(bytes.get(), tokens.data(), tokens.size() * sizeof(Token));
    return {std::move(bytes), size, static_cast<Position>(tokens.size()), floor};
  }
  static Tokens tokens_of(const StateBlob& blob) {
    Tokens tokens(static_cast<std::size_t>(blob.length));
    std::memcpy(tokens.data(), blob.data.get(), tokens.size() * sizeof(Token));
    return tokens;
  }

  void enter(Call call) const {
    // Whatever computes may ask whether to go on, not only decode(); nothing follows from it here.
    if (abort_check_) abort_check_();
    if (options_.on_call) options_.on_call(call);
  }
  // What throws has done half of its work.
  void leave_a_part(Call call, Stream& to, const Tokens& tokens) const {
    if (!options_.on_call) return;
    to.tokens.assign(tokens.begin(),
                     tokens.begin() + static_cast<std::ptrdiff_t>(tokens.size() / 2));
    enter(call);
  }

  Stream& at(StreamId stream) {
    require(stream >= 0 && stream < streams(), "no such stream");
    return streams_[static_cast<std::size_t>(stream)];
  }

  void require(bool holds, const char* rule) const {
    if (holds) return;
    log_->add_violation(rule);
    throw std::logic_error(rule);
  }

  void check_thread() {
    if (thread_ == std::thread::id()) thread_ = std::this_thread::get_id();
    if (thread_ != std::this_thread::get_id()) log_->add_violation("called from two threads");
  }

  void check_batch(const Batch& batch) {
    require(!batch.empty() && batch.size() <= options_.batch_capacity, "batch of a wrong size");
    const auto outputs = std::ranges::count(batch.wants_logits, 1);
    require(static_cast<std::size_t>(outputs) <= output_capacity(), "too many rows with logits");
    std::vector<Position> next;
    for (const Stream& stream : streams_) next.push_back(length_of(stream));
    for (std::size_t row = 0; row < batch.size(); ++row) {
      const StreamId stream = batch.streams[row];
      require(stream >= 0 && stream < streams(), "row of a stream that is not there");
      require(batch.tokens[row] >= 0 && batch.tokens[row] < vocab_size(), "row of no token");
      Position& position = next[static_cast<std::size_t>(stream)];
      require(batch.positions[row] == position, "row that does not continue its stream");
      require(position < room_, "row beyond the room of its stream");
      ++position;
    }
  }

  FakeOptions options_;
  std::shared_ptr<DecoderLog> log_;
  ThreadGroup workers_ = ThreadGroup::started_by([] {});  // But for the engine's thread.
  Position room_;
  std::vector<Stream> streams_;
  Batch last_batch_;
  std::vector<std::vector<float>> logits_;  // Of the last batch's rows, as far as asked for.
  std::function<bool()> abort_check_ = [] { return false; };
  std::thread::id thread_;  // Of the first call.
};

}  // namespace llmlocal::testing
