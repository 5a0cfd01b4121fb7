#include "llama/sequences.h"

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/big_block.h"
#include "base/system_memory.h"
#include "llama/log.h"

namespace llmlocal {

static_assert(LLAMA_STATE_SEQ_VERSION == 3,
              "llama.cpp saves a sequence's state in another way: compare state_bytes.cpp with the "
              "state_write functions of its memories");

namespace {

constexpr std::size_t kStateHeader = 8;
constexpr llama_state_seq_flags kWholeState = 0;
constexpr llama_state_seq_flags kPartOfState = LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY;

}  // namespace

Position Sequences::length(StreamId stream) const {
  return llama_memory_seq_pos_max(memory(), stream) + 1;
}

bool Sequences::copies_whole_only() const {
  return are_whole_only(model_) || model_.sliding_window() > 0;
}

Position Sequences::trim_floor(StreamId stream) const {
  if (are_whole_only(model_)) return length(stream);
  const Position window = model_.sliding_window();
  if (window == 0) return 0;
  // A restored state begins somewhere in the text; what follows needs a whole window before it.
  const Position first = llama_memory_seq_pos_min(memory(), stream);
  return first <= 0 ? 0 : first + window;
}

Position Sequences::copy_floor(StreamId stream) const {
  const bool window_is_all = !are_whole_only(model_) && length(stream) <= model_.sliding_window();
  return copies_whole_only() && !window_is_all ? length(stream) : 0;
}

bool Sequences::trim(StreamId stream, Position new_length) {
  if (new_length == length(stream)) return true;
  const bool trimmed = guarded_(
      "trimming a stream", [&] { return llama_memory_seq_rm(memory(), stream, new_length, -1); });
  if (!trimmed || length(stream) != new_length) {
    clear(stream);
    return false;
  }
  return true;
}

void Sequences::clear(StreamId stream) {
  guarded_("clearing a stream", [&] { return llama_memory_seq_rm(memory(), stream, -1, -1); });
}

StateLayout Sequences::layout_of(StreamId stream, std::size_t state_size) const {
  StateLayout layout{static_cast<std::uint32_t>(streams_), static_cast<std::uint32_t>(stream), {}};
  const bool recurrent = model_.is_recurrent() && !model_.is_hybrid();
  if (recurrent) return layout;
  const bool has_second_part = model_.is_hybrid() || model_.sliding_window() > 0;
  const std::size_t second =
      has_second_part
          ? llama_state_seq_get_size_ext(context_.get(), stream, kPartOfState) - kStateHeader
          : 0;
  // Where the partial state is all of it, there is one section only.
  const bool one_section = second == 0 || second + kStateHeader >= state_size;
  layout.kv_sections[0] = state_size - kStateHeader - (one_section ? 0 : second);
  if (!one_section && !model_.is_hybrid()) layout.kv_sections[1] = second;
  return layout;
}

// A part has no section of keys and values but for those of a sliding window.  Hybrid models with
// one have both in it; where the number of streams changes, these are refused and evaluated again.
StateLayout Sequences::part_layout_of(StreamId stream, std::size_t part_size) const {
  StateLayout layout{static_cast<std::uint32_t>(streams_), static_cast<std::uint32_t>(stream), {}};
  if (!model_.is_hybrid()) layout.kv_sections[0] = part_size - kStateHeader;
  return layout;
}

// A blob is the layout, followed by the state as llama.cpp wrote it.
std::optional<StateBlob> Sequences::write(StreamId stream,
                                          const StateLayout& layout,
                                          std::size_t size,
                                          llama_state_seq_flags flags) {
  if (!fits_in_memory(size, free_memory())) return std::nullopt;
  StateBlob blob;
  blob.size = sizeof(layout) + size;
  const std::shared_ptr<std::byte[]> block = make_big_block(blob.size);
  blob.data = block;
  std::memcpy(block.get(), &layout, sizeof(layout));
  auto* state = reinterpret_cast<std::uint8_t*>(block.get() + sizeof(layout));  // NOLINT
  if (llama_state_seq_get_data_ext(context_.get(), state, size, stream, flags) != size) {
    return std::nullopt;
  }
  blob.length = length(stream);
  return blob;
}

bool Sequences::read(StreamId stream, const StateBlob& blob, llama_state_seq_flags flags) {
  StateLayout layout;
  std::memcpy(&layout, blob.data.get(), sizeof(layout));
  std::span<const std::byte> state(blob.data.get() + sizeof(layout), blob.size - sizeof(layout));
  std::optional<std::vector<std::byte>> fitted;
  if (layout.streams != static_cast<std::uint32_t>(streams_)) {
    fitted = fit_to_streams(state, layout, static_cast<std::uint32_t>(streams_));
    if (!fitted) return false;
    state = *fitted;
  }
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(state.data());  // NOLINT
  return llama_state_seq_set_data_ext(context_.get(), bytes, state.size(), stream, flags) != 0;
}

std::optional<StateBlob> Sequences::save(StreamId stream) {
  if (length(stream) == 0) return std::nullopt;
  const ErrorLines errors;
  return guarded_("saving a stream", [&]() -> std::optional<StateBlob> {
    const std::size_t size = llama_state_seq_get_size(context_.get(), stream);
    if (size == 0) return std::nullopt;
    std::optional<StateBlob> blob = write(stream, layout_of(stream, size), size, kWholeState);
    if (blob) blob->floor = copy_floor(stream);
    return blob;
  });
}

bool Sequences::restore(StreamId stream, const StateBlob& blob) {
  clear(stream);
  const ErrorLines errors;
  const bool restored =
      guarded_("restoring a stream", [&] { return read(stream, blob, kWholeState); });
  if (restored && length(stream) == blob.length) return true;
  clear(stream);
  return false;
}

std::optional<StateBlob> Sequences::save_part(StreamId stream) {
  if (!copies_whole_only() || length(stream) == 0) return std::nullopt;
  const ErrorLines errors;
  return guarded_("saving a part of a stream", [&]() -> std::optional<StateBlob> {
    const std::size_t whole = llama_state_seq_get_size(context_.get(), stream);
    const std::size_t size = llama_state_seq_get_size_ext(context_.get(), stream, kPartOfState);
    // A whole state serves anybody, a part only who holds the rest.
    if (size <= kStateHeader || size > whole / 2) return std::nullopt;
    std::optional<StateBlob> part = write(stream, part_layout_of(stream, size), size, kPartOfState);
    if (part) part->floor = part->length;
    return part;
  });
}

bool Sequences::cut_back(StreamId stream, const StateBlob& part) {
  const ErrorLines errors;
  const bool is_cut = guarded_("cutting a stream back", [&] {
    // The part first: until it is there, what can't be cut back refuses to be.
    return read(stream, part, kPartOfState) &&
           llama_memory_seq_rm(memory(), stream, part.length, -1);
  });
  if (is_cut && length(stream) == part.length) return true;
  clear(stream);
  return false;
}

}  // namespace llmlocal
