// A loaded GGUF model: its weights, its vocabulary and what its file says about itself.
//
// Shared by the decoder and the tokenizer; constant once loaded, so any thread may read it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_watch.h"
#include "base/gguf_header.h"
#include "base/memory_ledger.h"
#include "llama/buffer_sizes.h"
#include "llama/rpc.h"

struct llama_model;
struct llama_vocab;

namespace llmlocal {

// How several devices share a model.
enum class SplitMode {
  kLayer,  // Whole layers, one device after the other.
  kRow,    // The rows of each matrix, where a backend can; else as kLayer.
};

// Tensors whose names match a pattern go to this device, or with "CPU" to the main memory.
struct TensorPlacement {
  std::string pattern;  // A regular expression that is searched for in the name.
  std::string device;
};

struct ModelOptions {
  std::vector<std::string> devices;  // Names from list_devices(); empty = the CPU alone.
  std::int32_t gpu_layers = 0;       // Layers to keep on those devices; < 0 = all.
  SplitMode split_mode = SplitMode::kLayer;
  std::vector<float> tensor_split;          // Each device's share, >= 0; empty = by free memory.
  std::vector<TensorPlacement> placements;  // The first that matches counts.
  bool use_mmap = true;                     // Map the file instead of reading it.
  bool check_tensors = false;               // Look for broken values while loading; slower.
  bool vocab_only = false;                  // Load no weights.
  // Called with 0 to 1 while loading, on the loading thread; false stops the load.
  std::function<bool(float)> on_progress;
};

class Model {
 public:
  // Throws ModelLoadError with llama.cpp's reason, LoadCancelledError, OutOfMemoryError,
  // ParameterError for a pattern that is none, or DeviceError for a device that is absent or was
  // lost meanwhile.
  static std::shared_ptr<const Model> load(const std::string& path, const ModelOptions& options);

  const std::string& path() const { return path_; }
  // The scalar entries of the file's header, as text.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  std::string description() const;  // Such as "llama 1B Q4_0".
  std::uint64_t size_bytes() const;
  std::uint64_t parameters() const;
  std::int32_t training_context() const;
  std::int32_t layers() const;
  std::optional<std::string> chat_template(const std::string& name) const;  // "" = the default.

  std::int32_t sliding_window() const;  // Tokens; 0 = full attention.
  bool is_recurrent() const;
  bool is_hybrid() const;
  bool has_encoder() const;
  // llama.cpp's number of the way in which the file says that a text's vector is made; -1: none.
  std::int32_t pooling_type() const;
  std::int32_t classes() const;             // What a classifier or reranker tells apart.
  std::vector<std::string> labels() const;  // Their names; empty where the file has none.
  // Why it writes no text, and what to do with it instead; empty if it does.
  const std::string& why_no_text() const { return why_no_text_; }
  bool can_generate() const { return why_no_text_.empty(); }

  // Layers on the devices, the output layer included, and how many there are in all.
  std::int32_t offloaded_layers() const { return offloaded_layers_; }
  std::int32_t offloadable_layers() const { return layers() + 1; }
  // Where the weights are; bytes by the name of the buffer's type.
  const BufferSizes& buffer_sizes() const { return buffer_sizes_; }
  // What each of its devices calls its own buffers.
  const std::map<std::string, std::string>& device_buffers() const { return device_buffers_; }
  // What became of the servers of its remote devices; nullopt: they are there.
  std::optional<std::string> lost_device() const { return watch_.loss(); }
  // What became of the files whose weights are mapped; nullopt: they are as they were.
  std::optional<std::string> damaged_file() const {
    return files_ ? files_->damage() : std::nullopt;
  }

  llama_model* handle() const { return handle_.get(); }
  const llama_vocab* vocab() const;

 private:
  struct Free {
    void operator()(llama_model* model) const;
  };

  Model(std::string path, std::unique_ptr<llama_model, Free> handle, const GgufHeader& header);
  // The header's entry under the architecture's name; empty if there is none.
  std::string text(const std::string& key) const;
  std::int64_t number(const std::string& key, std::int64_t fallback) const;

  std::string path_;
  std::unique_ptr<llama_model, Free> handle_;
  std::map<std::string, std::string> metadata_;
  std::string why_no_text_;
  std::int32_t offloaded_layers_ = 0;
  BufferSizes buffer_sizes_;
  std::map<std::string, std::string> device_buffers_;
  RpcWatch watch_;
  std::unique_ptr<const FileWatch> files_;  // None where no weights are mapped.
  // The mapped weights: the system would give them up for others, but they are in use.
  std::unique_ptr<MemoryLedger::Share> mapped_;
};

}  // namespace llmlocal
