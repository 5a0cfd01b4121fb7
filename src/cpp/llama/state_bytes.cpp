#include "llama/state_bytes.h"

#include <algorithm>
#include <cstring>

namespace llmlocal {
namespace {

constexpr std::size_t kHeader = 8;  // A magic number and the id of the sequence.
constexpr std::size_t kWord = sizeof(std::uint32_t);

std::uint32_t word_at(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, kWord);
  return value;
}

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_word(std::vector<std::byte>& to, std::uint32_t value) {
  append(to, std::as_bytes(std::span(&value, 1)));
}

// The part of a section that belongs to the sequence: its number of cells and their data.
std::optional<std::span<const std::byte>> payload_of(std::span<const std::byte> section,
                                                     const StateLayout& layout) {
  if (layout.stream >= layout.streams) return std::nullopt;
  const std::size_t before = kWord * (1 + layout.stream);
  const std::size_t after = kWord * (layout.streams - 1 - layout.stream);
  if (section.size() < before + kWord + after || word_at(section, 0) != layout.streams) {
    return std::nullopt;
  }
  const auto is_zero = [&](std::size_t offset) { return word_at(section, offset) == 0; };
  for (std::size_t offset = kWord; offset < before; offset += kWord) {
    if (!is_zero(offset)) return std::nullopt;
  }
  for (std::size_t offset = section.size() - after; offset < section.size(); offset += kWord) {
    if (!is_zero(offset)) return std::nullopt;
  }
  return section.subspan(before, section.size() - before - after);
}

}  // namespace

std::optional<std::vector<std::byte>> fit_to_streams(std::span<const std::byte> state,
                                                     const StateLayout& layout,
                                                     std::uint32_t streams) {
  if (state.size() < kHeader || streams == 0) return std::nullopt;
  std::vector<std::byte> fitted;
  fitted.reserve(state.size() + layout.kv_sections.size() * kWord * streams);
  append(fitted, state.first(kHeader));
  std::span<const std::byte> rest = state.subspan(kHeader);
  for (const std::uint64_t size : layout.kv_sections) {
    if (size == 0) continue;
    if (size > rest.size()) return std::nullopt;
    const auto payload = payload_of(rest.first(size), layout);
    if (!payload) return std::nullopt;
    append_word(fitted, streams);
    append(fitted, *payload);
    for (std::uint32_t i = 1; i < streams; ++i) append_word(fitted, 0);
    rest = rest.subspan(size);
  }
  append(fitted, rest);
  return fitted;
}

}  // namespace llmlocal
