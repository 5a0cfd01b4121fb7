#include "llama/file_check.h"

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "base/errors.h"

namespace llmlocal {
namespace {

namespace fs = std::filesystem;

// How files of other kinds begin that people take for models.
struct OtherKind {
  std::string_view beginning;
  const char* what;
};
constexpr std::array kOtherKinds{
    OtherKind{"version https://git-lfs", "a pointer of Git LFS; `git lfs pull` fetches the model"},
    OtherKind{"<!DOCTYPE", "a web page; download the file itself"},
    OtherKind{"<!doctype", "a web page; download the file itself"},
    OtherKind{"<html", "a web page; download the file itself"},
    OtherKind{"PK\x03\x04", "a ZIP archive, or a model of PyTorch's; look for its GGUF form"},
    OtherKind{"lmgg", "a model in llama.cpp's format of before GGUF; look for its GGUF form"},
    OtherKind{"fmgg", "a model in llama.cpp's format of before GGUF; look for its GGUF form"},
    OtherKind{"tjgg", "a model in llama.cpp's format of before GGUF; look for its GGUF form"},
};

fs::path as_path(const std::string& path) {
  return {std::u8string(path.begin(), path.end())};
}

void require_gguf(const std::string& path) {
  std::error_code failed;
  const fs::path file = as_path(path);
  const fs::file_status status = fs::status(file, failed);
  if (!fs::exists(status)) throw ModelLoadError("there is no file " + path);
  if (fs::is_directory(status)) throw ModelLoadError(path + " is a folder, not a file");
  // Not opened, since that would wait for whoever writes to a pipe.
  if (!fs::is_regular_file(status)) throw ModelLoadError(path + " is not a regular file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw ModelLoadError(path + " can't be opened for reading");
  std::string beginning(64, '\0');
  stream.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(stream.gcount()));
  if (beginning.starts_with("GGUF")) return;
  if (beginning.empty()) throw ModelLoadError(path + " is empty");
  for (const OtherKind& kind : kOtherKinds) {
    if (beginning.starts_with(kind.beginning)) throw ModelLoadError(path + " is " + kind.what);
  }
  if (beginning.find("{\"") == 8) {
    throw ModelLoadError(path + " is a model in the safetensors format; look for its GGUF form");
  }
  throw ModelLoadError(path + " is not a GGUF file (it does not start with \"GGUF\")");
}

std::string text_of(const GgufHeader& header, const std::string& key) {
  const auto found = header.texts.find(key);
  return found == header.texts.end() ? std::string() : found->second;
}

void require_model(const GgufHeader& header, bool vocab_only) {
  const std::string type = text_of(header, "general.type");
  if (type == "adapter") {
    throw ModelLoadError("it is a LoRA adapter; open the model that it was made for");
  }
  if (type == "imatrix") {
    throw ModelLoadError("it is an importance matrix, which is of use to quantize models only");
  }
  if (type == "mmproj" || text_of(header, "general.architecture") == "clip") {
    throw ModelLoadError("it is the projector of a multimodal model; open the model beside it");
  }
  if (header.tensors.empty() && !vocab_only) {
    throw ModelLoadError("it has no weights; perhaps it is a vocabulary alone");
  }
}

// llama.cpp keeps the tokens of two kinds of vocabularies in a tree of bytes, which it makes and
// frees by recursion, and of a third one all ends of each token: long ones take all of the stack,
// or of memory.
void require_short_tokens(const GgufHeader& header) {
  constexpr std::uint64_t kLongest = 2'000;
  const std::string kind = text_of(header, "tokenizer.ggml.model");
  const bool takes_them_apart = kind == "t5" || kind == "rwkv" || kind == "plamo2";
  if (takes_them_apart && header.longest_token > kLongest) {
    throw ModelLoadError("its vocabulary (" + kind + ") has a token of " +
                         std::to_string(header.longest_token) + " bytes; at most " +
                         std::to_string(kLongest) + " can be");
  }
}

// Types that ggml can store but has no product for.
bool is_multiplied(std::uint32_t type) {
  switch (static_cast<ggml_type>(type)) {
    case GGML_TYPE_I8:
    case GGML_TYPE_I16:
    case GGML_TYPE_I32:
    case GGML_TYPE_I64:
    case GGML_TYPE_F64:
    case GGML_TYPE_Q8_1:
    case GGML_TYPE_Q8_K:
      return false;
    default:
      return true;
  }
}

// Tables of numbers, which no product takes.
bool is_table(std::string_view name) {
  return name.find("tid2eid") != std::string_view::npos ||
         name.find("centroid_ordering") != std::string_view::npos ||
         name.find("masked_embd_ordering") != std::string_view::npos;
}

// Weights that are taken element by element, which the CPU can in plain numbers only; vectors are
// always.  A matrix of one row, such as the head of a model with one class, is multiplied.  By
// llama.cpp's table of tensors (LLM_TENSOR_INFOS).
bool is_elementwise(const GgufTensor& tensor) {
  if (tensor.shape.size() <= 1) return true;
  constexpr std::array<std::string_view, 8> kNames{"norm",
                                                   "ssm_a",
                                                   "ssm_d.",
                                                   "ssm_conv1d",
                                                   ".bias",
                                                   "shortconv.conv",
                                                   "time_mix_first",
                                                   "time_mix_lerp"};
  return std::ranges::any_of(
      kNames, [&](std::string_view part) { return tensor.name.find(part) != std::string::npos; });
}

// Throws for weights that llama.cpp would load, and end the process over in the first step.
void require_usable_types(const GgufHeader& header, bool on_cpu) {
  for (const GgufTensor& tensor : header.tensors) {
    const auto refuse = [&](const std::string& why) {
      const std::string type = tensor.type < GGML_TYPE_COUNT
                                   ? ggml_type_name(static_cast<ggml_type>(tensor.type))
                                   : std::to_string(tensor.type);
      std::string told = "the weights " + tensor.name;
      told.append(" have the type ").append(type).append(", ").append(why);
      throw ModelLoadError(told);
    };
    if (tensor.type >= GGML_TYPE_COUNT) refuse("which this release does not know");
    if (is_table(tensor.name)) continue;
    if (!is_multiplied(tensor.type)) refuse("which can't be computed with");
    const bool is_plain =
        tensor.type == GGML_TYPE_F32 ||
        (!on_cpu && (tensor.type == GGML_TYPE_F16 || tensor.type == GGML_TYPE_BF16));
    if (!is_plain && is_elementwise(tensor)) refuse("where plain numbers (f32) are needed");
  }
}

// The files of a split model but the first, as far as they are there.
std::vector<std::string> other_parts(const std::string& path, const GgufHeader& first) {
  const auto found = first.numbers.find("split.count");
  constexpr std::int64_t kMostParts = 1'000;
  if (found == first.numbers.end() || found->second < 2 || found->second > kMostParts) return {};
  const auto count = static_cast<std::int32_t>(found->second);
  std::string prefix(path.size() + 1, '\0');
  const std::int32_t length =
      llama_split_prefix(prefix.data(), prefix.size(), path.c_str(), 0, count);
  if (length <= 0) return {};
  prefix.resize(static_cast<std::size_t>(length));
  std::vector<std::string> parts;
  for (std::int32_t i = 1; i < count; ++i) {
    std::string part(path.size() + 32, '\0');
    const std::int32_t size = llama_split_path(part.data(), part.size(), prefix.c_str(), i, count);
    part.resize(static_cast<std::size_t>(std::max(size, 0)));
    std::error_code failed;
    if (fs::is_regular_file(as_path(part), failed)) parts.push_back(std::move(part));
  }
  return parts;
}

GgufHeader header_of(const std::string& path, const FileCheck& check, bool is_first) {
  try {
    GgufHeader header = read_gguf_header(as_path(path));
    if (is_first) {
      require_model(header, check.vocab_only);
      require_short_tokens(header);
    }
    if (!check.vocab_only) require_usable_types(header, check.on_cpu);
    return header;
  } catch (const ModelLoadError& error) {
    throw ModelLoadError("can't load " + path + ": " + error.what());
  }
}

}  // namespace

GgufHeader checked_header(const std::string& path, const FileCheck& check) {
  require_gguf(path);
  GgufHeader header = header_of(path, check, /*is_first=*/true);
  if (check.vocab_only) return header;
  for (const std::string& part : other_parts(path, header)) {
    header_of(part, check, /*is_first=*/false);
  }
  return header;
}

std::vector<std::string> files_of(const std::string& path, const GgufHeader& header) {
  std::vector<std::string> files = other_parts(path, header);
  files.insert(files.begin(), path);
  return files;
}

std::string why_no_text(const GgufHeader& header) {
  const std::string arch = text_of(header, "general.architecture");
  const auto number = [&](const char* key, std::int64_t fallback) {
    const auto found = header.numbers.find(arch + "." + key);
    return found == header.numbers.end() ? fallback : found->second;
  };
  const std::int64_t pooling = number("pooling_type", LLAMA_POOLING_TYPE_NONE);
  if (pooling == LLAMA_POOLING_TYPE_RANK) {
    return "it is a reranker, which scores documents and writes no text; open it with "
           "llmlocal.Reranker";
  }
  const bool is_encoder =
      arch.find("bert") != std::string::npos || arch == "gemma-embedding" || arch == "llama-embed";
  // Encoders see all of a text at once.
  if (is_encoder || pooling != LLAMA_POOLING_TYPE_NONE || number("attention.causal", 1) == 0) {
    return "it is an embedding model, which writes no text; open it with llmlocal.Embedder";
  }
  return {};
}

}  // namespace llmlocal
