// What a store keeps of one text.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/prefix_key.h"
#include "engine/decoder.h"

namespace llmlocal {

struct PrefixEntry {
  PrefixKey key;
  StateBlob blob;
  bool serves_others = false;   // It was adopted, or is a checkpoint that others may adopt.
  bool was_offered = false;     // To the disk.
  bool is_part = false;         // See Decoder::save_part(): serves those that hold the rest.
  std::uint64_t last_used = 0;  // Larger is later.

  std::size_t bytes() const { return blob.size + key.bytes(); }
};

}  // namespace llmlocal
