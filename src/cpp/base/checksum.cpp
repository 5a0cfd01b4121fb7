#include "base/checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace llmlocal {
namespace {

constexpr std::size_t kBlock = 32;

// One-to-one in either argument, so that a difference in a word stays one in the lane.
constexpr std::uint64_t mix(std::uint64_t lane, std::uint64_t word) {
  return std::rotl((lane ^ word) * 0x9e3779b97f4a7c15, 29);
}

}  // namespace

void Checksum::add(std::span<const std::byte> bytes) {
  length_ += bytes.size();
  while (!bytes.empty()) {
    std::array<std::uint64_t, 4> words{};  // What is missing of the last block counts as zeros.
    const std::size_t count = std::min(bytes.size(), kBlock);
    std::memcpy(words.data(), bytes.data(), count);
    for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_[i] = mix(lanes_[i], words[i]);
    bytes = bytes.subspan(count);
  }
}

std::uint64_t Checksum::value() const {
  std::uint64_t sum = length_;
  for (const std::uint64_t word : lanes_) {
    sum = mix(sum, word);
    sum ^= sum >> 32;
  }
  return sum;
}

std::uint64_t checksum(std::span<const std::byte> bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum.value();
}

}  // namespace llmlocal
