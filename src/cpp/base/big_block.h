// Memory for a large block of bytes that is written once, such as a saved state.
#pragma once

#include <cstddef>
#include <memory>

namespace llmlocal {

// Not cleared.  In huge pages where the system has them: the first write to each small page costs
// more than the copy of what is written there.  Throws std::bad_alloc.
std::shared_ptr<std::byte[]> make_big_block(std::size_t bytes);

}  // namespace llmlocal
