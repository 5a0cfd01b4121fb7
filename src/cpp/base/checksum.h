// A sum over bytes that tells whether they were damaged; not meant against forgery.
//
// Every change of up to eight bytes in a row is noticed for certain, any other with odds of 2^64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace llmlocal {

std::uint64_t checksum(std::span<const std::byte> bytes);

// For what is long, another one: of the sums of its pieces, so that a second thread can help.
enum class Helper { kNone, kThread };
std::uint64_t checksum_of_pieces(std::span<const std::byte> bytes, Helper helper);

}  // namespace llmlocal
