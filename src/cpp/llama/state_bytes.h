// Fits the saved state of a sequence to a context with another number of streams.
//
// llama.cpp writes a sequence's state as an 8-byte header and then, for each section of the KV
// cache (one; two with a sliding window), the number of streams and, per stream, the number of
// cells, followed by the data where that is not 0.  A context with another number of streams
// refuses it although the data would fit, so these counts are rewritten when a context grows.
// Sections of other kinds (recurrent states) follow and stay as they are.  Plain bytes only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llmlocal {

struct StateLayout {
  std::uint32_t streams = 1;  // Of the context that wrote it.
  std::uint32_t stream = 0;   // The one that it was written from.
  // Bytes of each KV section; 0 = there is none.
  std::array<std::uint64_t, 2> kv_sections{};
};

// The same state for a context with `streams` streams, written as if from stream 0; nothing if
// `state` is not laid out as `layout` says.
std::optional<std::vector<std::byte>> fit_to_streams(std::span<const std::byte> state,
                                                     const StateLayout& layout,
                                                     std::uint32_t streams);

}  // namespace llmlocal
