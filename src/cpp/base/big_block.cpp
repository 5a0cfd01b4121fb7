#include "base/big_block.h"

#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace llmlocal {

std::shared_ptr<std::byte[]> make_big_block(std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  if (bytes >= 2 * kHugePage) {
    void* memory = nullptr;
    if (::posix_memalign(&memory, kHugePage, bytes) != 0) throw std::bad_alloc();
    // No more than advice; what is left of the last huge page stays in small ones.
    ::madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return {static_cast<std::byte*>(memory), [](std::byte* block) {
              std::free(block);  // NOLINT(*-no-malloc, *-owning-memory): posix_memalign's
            }};
  }
#endif
  // Not make_shared: that would write the memory once more.
  return std::shared_ptr<std::byte[]>(new std::byte[bytes]);
}

}  // namespace llmlocal
