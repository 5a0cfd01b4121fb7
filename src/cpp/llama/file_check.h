// What can be known of a model's file before llama.cpp is given it, told in plain words.
#pragma once

#include <string>
#include <vector>

#include "base/gguf_header.h"

namespace llmlocal {

struct FileCheck {
  bool vocab_only = false;  // No weights are wanted.
  bool on_cpu = true;       // Some of the weights are for the CPU.
};

// The header of the file, or of the first of several.  Throws ModelLoadError if there is no such
// file, it is of another kind, or its weights are of types that can't be computed with.
GgufHeader checked_header(const std::string& path, const FileCheck& check);

// The file, and the others of a split model, as far as they are there.
std::vector<std::string> files_of(const std::string& path, const GgufHeader& header);

// Why a model with this header writes no text, and what to do; empty if it may.
std::string why_no_text(const GgufHeader& header);

}  // namespace llmlocal
