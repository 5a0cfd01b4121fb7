// A file as memory, for as long as nobody can cut it short.
#pragma once

#include <cstddef>
#include <memory>

namespace llmlocal {

// The first `bytes` bytes of an open file, which may be closed meanwhile.  Nothing: they can't all
// be had, or the system can't keep others from changing them; the file can be read then.
//
// To touch a page of a mapped file that was cut short ends the process.  So the file is mapped
// under a lease (Linux, local file systems, files of the own user): whoever opens it to write, or
// cuts it, waits until the memory is given back, or for as long as the system allows (45 s); and
// all pages are there from the start, so that a fault of the disk is told of and not met later.
std::shared_ptr<const std::byte[]> map_leased(int file, std::size_t bytes);

}  // namespace llmlocal
