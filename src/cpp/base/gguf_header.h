// What a GGUF file says before its weights, read without trust and without its long arrays.
//
// llama.cpp reads the same, but ends the process over some of it, or goes on with what its kernels
// can't take; this is what is known before it is asked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace llmlocal {

struct GgufTensor {
  std::string name;
  std::uint32_t type = 0;  // A number of ggml's.
  std::vector<std::uint64_t> shape;
};

struct GgufHeader {
  std::vector<std::string> keys;                // Of all settings, in the order of the file.
  std::map<std::string, std::string> texts;     // Settings that are short texts, by their keys.
  std::map<std::string, std::int64_t> numbers;  // Settings that are whole numbers, or 0 or 1.
  std::uint64_t longest_token = 0;              // Bytes of the vocabulary's longest.
  std::vector<GgufTensor> tensors;
};

// Throws ModelLoadError with the reason, which does not name the file.
GgufHeader read_gguf_header(const std::filesystem::path& path);

}  // namespace llmlocal
