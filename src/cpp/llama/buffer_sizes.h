// What llama.cpp allocated where, by what it logs while it loads a model or makes a context: its
// public interface has no call for it.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace llmlocal {

// Bytes by the name of the buffer type, such as "CUDA0" or "CPU_Mapped".
using BufferSizes = std::map<std::string, std::size_t>;

// The sizes told by lines such as "load_tensors: CUDA0 model buffer size = 12.50 MiB".
BufferSizes told_buffer_sizes(const std::string& log);

// Those of the second added to the first.
void add_sizes(BufferSizes& to, const BufferSizes& more);

// Of these, what is a mapping of a file.
std::size_t mapped_bytes(const BufferSizes& sizes);

// What one sequence takes in a context, whatever its length and for each of its tokens.
struct SequenceBytes {
  double state = 0;
  double token = 0;
};

// As the log tells it of a context that was made; a hundredth of a mebibyte may be missing.
SequenceBytes told_sequence_bytes(const std::string& log);

}  // namespace llmlocal
