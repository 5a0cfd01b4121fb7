// A sum over bytes that tells whether they were damaged; not meant against forgery.
//
// Every change of up to eight bytes in a row is noticed for certain, any other with odds of 2^64.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace llmlocal {

class Checksum {
 public:
  // All but the last piece must be a multiple of 32 bytes long.
  void add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

 private:
  using Words = std::array<std::uint64_t, 4>;
  Words lanes_{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89};
  std::uint64_t length_ = 0;
};

std::uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace llmlocal
