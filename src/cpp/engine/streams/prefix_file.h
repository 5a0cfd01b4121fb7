// The format of a file that holds one evaluated prefix: plain bytes, no files.
//
// A header of fixed size, the identity (a text that names everything that the state depends on but
// for its key), the key, and the state.  Two checksums: of all before the state, so that an index
// can trust what it read of a file, and of the state.  Whoever reads trusts nothing: what is not
// exactly as it was written is no entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/streams/prefix_store.h"

namespace llmlocal {

inline constexpr std::size_t kPrefixHeaderBytes = 96;

// What the fixed part says.
struct PrefixHeader {
  std::uint64_t identity_bytes = 0;
  std::uint64_t tokens = 0;
  std::uint64_t pieces = 0;
  AdapterSet adapters = kNoAdapters;
  std::uint64_t state_bytes = 0;
  Position floor = 0;
  std::uint64_t state_sum = 0;
  std::uint64_t front_sum = 0;

  std::uint64_t front_bytes() const {
    return kPrefixHeaderBytes + identity_bytes + tokens * sizeof(Token) + pieces * sizeof(Piece);
  }
  std::uint64_t file_bytes() const { return front_bytes() + state_bytes; }
};

// All before the state: what an index needs to know.
struct PrefixFront {
  PrefixHeader header;
  std::string identity;
  PrefixKey key;
};

// The front of a file for this entry.
std::vector<std::byte> encode_front(const std::string& identity,
                                    const PrefixView& key,
                                    Position floor,
                                    std::span<const std::byte> state);

// Nothing: this is no header of ours, or not of this version or kind of machine, or its file can't
// be `file_bytes` long.
std::optional<PrefixHeader> decode_header(std::span<const std::byte> bytes,
                                          std::uint64_t file_bytes);

// `bytes`: the whole front.  Nothing: it was damaged.
std::optional<PrefixFront> decode_front(const PrefixHeader& header,
                                        std::span<const std::byte> bytes);

// A whole entry in one piece, as a file would have it, and back.  Nothing: it was damaged, or is of
// another identity.
std::vector<std::byte> encode_entry(const std::string& identity, const PrefixStore::Entry& entry);
std::optional<PrefixStore::Entry> decode_entry(const std::string& identity,
                                               std::span<const std::byte> bytes);

// Such as "1f0c...-83ab....prefix": first the identity's part, then the key's.
std::string prefix_file_name(const std::string& identity, const PrefixView& key);
// Whether a file of this name can be an entry of this identity.
bool is_prefix_file(const std::string& name, const std::string& identity);

inline constexpr const char* kPrefixEnding = ".prefix";
inline constexpr const char* kPartEnding = ".part";  // Of a file that is being written.

}  // namespace llmlocal
