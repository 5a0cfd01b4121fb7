#include "engine/streams/prefix_file.h"

#include <array>
#include <cstring>
#include <limits>

#include "base/big_block.h"
#include "base/checksum.h"

namespace llmlocal {
namespace {

// Also tells the order of bytes: where it differs, these eight are not found.
constexpr std::uint64_t kMagic = 0x31'58'46'50'4c'4c'4d'4c;  // "LMLLPFX1"
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kMostIdentityBytes = 1 << 16;
constexpr std::uint64_t kMostTokens = std::numeric_limits<Position>::max();
constexpr std::uint64_t kMostStateBytes = std::uint64_t{1} << 46;

struct Fixed {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::int32_t floor = 0;
  std::uint64_t identity_bytes = 0;
  std::uint64_t tokens = 0;
  std::uint64_t state_bytes = 0;
  std::uint64_t state_sum = 0;
  std::uint64_t pieces = 0;
  std::uint64_t adapters = 0;
  std::array<std::uint64_t, 3> reserved{};
  std::uint64_t front_sum = 0;  // Of all before the state, with 0 in this place.
};
static_assert(sizeof(Fixed) == kPrefixHeaderBytes);
static_assert(sizeof(Piece) == 16);  // No gaps in what is written.

std::string hex(std::uint64_t value) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; value >>= 4) text[i] = kDigits[value & 15];
  return text;
}

// Nobody looks into files of another version; they go as all do that nobody uses.
std::string name_of_identity(const std::string& identity) {
  return hex(checksum(std::as_bytes(std::span(identity))) + kVersion) + "-";
}

// As PrefixView has them: each somewhere in the text, and behind the one before.
bool are_in_place(const std::vector<Piece>& pieces, std::size_t cells) {
  std::int64_t end = 0;
  for (const Piece& piece : pieces) {
    if (piece.first < end || piece.cells < 1) return false;
    end = std::int64_t{piece.first} + piece.cells;
  }
  return end <= static_cast<std::int64_t>(cells);
}

std::uint64_t front_sum(std::span<const std::byte> front) {
  std::vector<std::byte> bytes(front.begin(), front.end());
  constexpr std::uint64_t kNone = 0;
  std::memcpy(bytes.data() + offsetof(Fixed, front_sum), &kNone, sizeof(kNone));
  return checksum(bytes);
}

}  // namespace

std::vector<std::byte> encode_front(const std::string& identity,
                                    const PrefixView& key,
                                    Position floor,
                                    std::span<const std::byte> state) {
  Fixed fixed;
  fixed.floor = floor;
  fixed.identity_bytes = identity.size();
  fixed.tokens = key.tokens.size();
  fixed.pieces = key.pieces.size();
  fixed.adapters = key.adapters;
  fixed.state_bytes = state.size();
  fixed.state_sum = checksum_of_pieces(state, Helper::kNone);
  std::vector<std::byte> front(sizeof(fixed) + identity.size() + key.tokens.size_bytes() +
                               key.pieces.size_bytes());
  std::byte* to = front.data();
  const auto append = [&](const void* from, std::size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);
    to += bytes;
  };
  append(&fixed, sizeof(fixed));
  append(identity.data(), identity.size());
  append(key.tokens.data(), key.tokens.size_bytes());
  append(key.pieces.data(), key.pieces.size_bytes());
  fixed.front_sum = front_sum(front);
  std::memcpy(front.data(), &fixed, sizeof(fixed));
  return front;
}

std::optional<PrefixHeader> decode_header(std::span<const std::byte> bytes,
                                          std::uint64_t file_bytes) {
  if (bytes.size() < sizeof(Fixed)) return std::nullopt;
  Fixed fixed;
  std::memcpy(&fixed, bytes.data(), sizeof(fixed));
  if (fixed.magic != kMagic || fixed.version != kVersion) return std::nullopt;
  if (fixed.identity_bytes > kMostIdentityBytes || fixed.tokens == 0 ||
      fixed.tokens > kMostTokens || fixed.pieces > fixed.tokens ||
      fixed.state_bytes > kMostStateBytes || fixed.floor < 0 ||
      static_cast<std::uint64_t>(fixed.floor) > fixed.tokens) {
    return std::nullopt;
  }
  const PrefixHeader header{fixed.identity_bytes,
                            fixed.tokens,
                            fixed.pieces,
                            fixed.adapters,
                            fixed.state_bytes,
                            fixed.floor,
                            fixed.state_sum,
                            fixed.front_sum};
  if (header.file_bytes() != file_bytes) return std::nullopt;
  return header;
}

std::optional<PrefixFront> decode_front(const PrefixHeader& header,
                                        std::span<const std::byte> bytes) {
  if (bytes.size() != header.front_bytes() || front_sum(bytes) != header.front_sum) {
    return std::nullopt;
  }
  PrefixFront front{header, std::string(header.identity_bytes, '\0'), {}};
  front.key.tokens.resize(header.tokens);
  front.key.pieces.resize(header.pieces);
  front.key.adapters = header.adapters;
  const std::byte* from = bytes.data() + sizeof(Fixed);
  const auto take = [&](void* to, std::size_t count) {
    if (count > 0) std::memcpy(to, from, count);
    from += count;
  };
  take(front.identity.data(), front.identity.size());
  take(front.key.tokens.data(), header.tokens * sizeof(Token));
  take(front.key.pieces.data(), header.pieces * sizeof(Piece));
  if (!are_in_place(front.key.pieces, front.key.size())) return std::nullopt;
  return front;
}

std::vector<std::byte> encode_entry(const std::string& identity, const PrefixStore::Entry& entry) {
  const std::span<const std::byte> state(entry.blob.data.get(), entry.blob.size);
  std::vector<std::byte> bytes = encode_front(identity, entry.key, entry.blob.floor, state);
  bytes.insert(bytes.end(), state.begin(), state.end());
  return bytes;
}

std::optional<PrefixStore::Entry> decode_entry(const std::string& identity,
                                               std::span<const std::byte> bytes) {
  const auto header = decode_header(bytes, bytes.size());
  if (!header) return std::nullopt;
  std::optional<PrefixFront> front = decode_front(*header, bytes.first(header->front_bytes()));
  const std::span<const std::byte> state = bytes.subspan(header->front_bytes());
  if (!front || front->identity != identity ||
      checksum_of_pieces(state, Helper::kThread) != header->state_sum) {
    return std::nullopt;
  }
  StateBlob blob;
  const std::shared_ptr<std::byte[]> block = make_big_block(state.size());
  std::memcpy(block.get(), state.data(), state.size());
  blob.data = block;
  blob.size = state.size();
  blob.length = static_cast<Position>(front->key.size());
  blob.floor = header->floor;
  return PrefixStore::Entry{std::move(front->key), std::move(blob)};
}

std::string prefix_file_name(const std::string& identity, const PrefixView& key) {
  const std::array<std::uint64_t, 3> parts = {
      checksum(std::as_bytes(key.tokens)), checksum(std::as_bytes(key.pieces)), key.adapters};
  return name_of_identity(identity) + hex(checksum(std::as_bytes(std::span(parts)))) +
         kPrefixEnding;
}

bool is_prefix_file(const std::string& name, const std::string& identity) {
  return name.starts_with(name_of_identity(identity)) && name.ends_with(kPrefixEnding);
}

}  // namespace llmlocal
