#include "llama/model.h"

#include <ggml-backend.h>
#include <llama.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <regex>
#include <system_error>
#include <utility>

#include "base/errors.h"
#include "llama/backend.h"
#include "llama/devices.h"
#include "llama/file_check.h"
#include "llama/guard.h"
#include "llama/log.h"

namespace llmlocal {
namespace {

template <typename Get>
std::string read_text(Get&& get) {
  std::string text(256, '\0');
  for (;;) {
    const std::int32_t length = get(text.data(), text.size());
    if (length < 0) return {};
    const auto size = static_cast<std::size_t>(length);
    const bool complete = size < text.size();
    text.resize(size + (complete ? 0 : 1));
    if (complete) return text;
  }
}

// By the keys of the header: llama.cpp's own walk over them takes a time that grows with the square
// of their number.
std::map<std::string, std::string> read_metadata(const llama_model* model,
                                                 const std::vector<std::string>& keys) {
  std::map<std::string, std::string> metadata;
  for (const std::string& key : keys) {
    char byte = 0;
    if (llama_model_meta_val_str(model, key.c_str(), &byte, 1) < 0) continue;  // An array.
    metadata[key] = read_text([&](char* buffer, std::size_t size) {
      return llama_model_meta_val_str(model, key.c_str(), buffer, size);
    });
  }
  return metadata;
}

// Throws ModelLoadError for what ggml would end the process over in the first step, on one of its
// own threads: the numbers that norms add before they divide must not be negative.
void require_norms(const std::string& path, const std::map<std::string, std::string>& metadata) {
  for (const auto& [key, text] : metadata) {
    if (!key.ends_with("_epsilon")) continue;
    const double value = std::strtod(text.c_str(), nullptr);
    // The text has six places: of what is less than nothing by less, its sign is left.
    if (value >= 0 && value <= 1 && !text.starts_with('-')) continue;
    std::string told = "can't load " + path + ": the setting ";
    told.append(key).append(" is ").append(text).append(", where a number from 0 to 1 is needed");
    throw ModelLoadError(told);
  }
}

// What the progress callback says and how it failed, kept out of llama.cpp's frames.
struct ProgressRelay {
  const std::function<bool(float)>& callback;
  bool cancelled = false;
  std::exception_ptr error;

  static bool call(float progress, void* self) {
    auto& relay = *static_cast<ProgressRelay*>(self);
    try {
      relay.cancelled = !relay.callback(progress);
    } catch (...) {
      relay.cancelled = true;
      relay.error = std::current_exception();
    }
    return !relay.cancelled;
  }
};

constexpr std::size_t kMostDevices = 16;  // llama.cpp always reads so many shares.

std::vector<float> padded_split(const ModelOptions& options) {
  std::vector<float> split = options.tensor_split;
  split.resize(std::max(kMostDevices, llama_max_devices()), 0.0F);
  return split;
}

// The placements as llama.cpp takes them; refers to the options.
std::vector<llama_model_tensor_buft_override> overrides_of(const ModelOptions& options) {
  std::vector<llama_model_tensor_buft_override> overrides;
  constexpr std::size_t kLongestPattern = 1'000;  // std::regex recurses over a pattern.
  for (const TensorPlacement& each : options.placements) {
    if (each.pattern.size() > kLongestPattern) {
      throw ParameterError("a pattern of tensor names has " + std::to_string(each.pattern.size()) +
                           " characters; at most " + std::to_string(kLongestPattern) + " can be");
    }
    try {
      static_cast<void>(std::regex(each.pattern));
    } catch (const std::regex_error& error) {
      throw ParameterError("'" + each.pattern + "' is not a pattern: " + error.what());
    }
    ggml_backend_dev_t device = find_devices({each.device}).front();
    overrides.push_back({each.pattern.c_str(), ggml_backend_dev_buffer_type(device)});
  }
  overrides.push_back({nullptr, nullptr});
  return overrides;
}

}  // namespace

void Model::Free::operator()(llama_model* model) const {
  llama_model_free(model);
}

std::shared_ptr<const Model> Model::load(const std::string& path, const ModelOptions& options) {
  const GgufHeader header = checked_header(path, {options.vocab_only, options.devices.empty()});
  auto files = std::make_unique<const FileWatch>(files_of(path, header));
  const RegistryUse use;
  std::vector<ggml_backend_dev_t> devices = find_devices(options.devices);
  devices.push_back(nullptr);  // The list's end; an empty list means the CPU alone.
  const RpcWatch watch(options.devices);
  const std::vector<float> split = padded_split(options);
  const auto overrides = overrides_of(options);

  llama_model_params params = llama_model_default_params();
  params.devices = devices.data();
  params.n_gpu_layers = options.devices.empty() ? 0 : options.gpu_layers;
  params.split_mode =
      options.split_mode == SplitMode::kRow ? LLAMA_SPLIT_MODE_ROW : LLAMA_SPLIT_MODE_LAYER;
  params.tensor_split = split.data();
  if (!options.placements.empty()) params.tensor_buft_overrides = overrides.data();
  params.load_mode = options.use_mmap ? LLAMA_LOAD_MODE_AUTO : LLAMA_LOAD_MODE_NONE;
  params.check_tensors = options.check_tensors;
  params.vocab_only = options.vocab_only;
  ProgressRelay relay{options.on_progress, false, nullptr};
  if (options.on_progress) {
    params.progress_callback = ProgressRelay::call;
    params.progress_callback_user_data = &relay;
  }

  const ErrorLines log(LogLevel::kInfo, ErrorLines::Then::kPassOn);
  const ErrorLines errors;
  std::unique_ptr<llama_model, Free> handle;
  std::string reason;
  try {
    handle.reset(
        guarded("loading", [&] { return llama_model_load_from_file(path.c_str(), params); }));
    reason = errors.text();
  } catch (const OutOfMemoryError&) {
    throw OutOfMemoryError("not enough memory to load " + path);
  } catch (const Error& error) {
    reason = error.what();
  }
  if (const auto loss = watch.loss()) throw DeviceError("can't load " + path + ": " + *loss);
  if (relay.error) std::rethrow_exception(relay.error);
  if (relay.cancelled) throw LoadCancelledError("the loading of " + path + " was cancelled");
  if (!handle) {
    if (reason.empty()) reason = "llama.cpp gave no reason";
    if (speaks_of_memory(reason)) throw OutOfMemoryError("can't load " + path + ": " + reason);
    throw ModelLoadError("can't load " + path + ": " + reason);
  }
  std::shared_ptr<Model> model(new Model(path, std::move(handle), header));
  require_norms(path, model->metadata());
  if (!options.devices.empty()) {
    const std::int32_t most = model->offloadable_layers();
    model->offloaded_layers_ = options.gpu_layers < 0 ? most : std::min(options.gpu_layers, most);
  }
  for (std::size_t i = 0; i < options.devices.size(); ++i) {
    model->device_buffers_[options.devices[i]] =
        ggml_backend_buft_name(ggml_backend_dev_buffer_type(devices[i]));
  }
  model->buffer_sizes_ = told_buffer_sizes(log.text());
  const std::size_t mapped = mapped_bytes(model->buffer_sizes_);
  model->mapped_ = MemoryLedger::promise(MemoryLedger::of_process(), mapped);
  if (mapped > 0) model->files_ = std::move(files);
  model->watch_ = watch;
  return model;
}

Model::Model(std::string path, std::unique_ptr<llama_model, Free> handle, const GgufHeader& header)
    : path_(std::move(path)),
      handle_(std::move(handle)),
      metadata_(read_metadata(handle_.get(), header.keys)),
      why_no_text_(llmlocal::why_no_text(header)) {
  if (!why_no_text_.empty()) return;
  if (llama_model_is_diffusion(handle_.get())) {
    why_no_text_ = "it is a diffusion model, which does not write a text from left to right";
  } else if (!llama_model_has_decoder(handle_.get()) || llama_model_has_encoder(handle_.get())) {
    why_no_text_ = "it is an encoder, or has one, and can't write text by itself";
  }
}

std::string Model::description() const {
  return read_text(
      [this](char* buffer, std::size_t size) { return llama_model_desc(handle(), buffer, size); });
}

std::uint64_t Model::size_bytes() const {
  return llama_model_size(handle());
}
std::uint64_t Model::parameters() const {
  return llama_model_n_params(handle());
}
std::int32_t Model::training_context() const {
  return llama_model_n_ctx_train(handle());
}
std::int32_t Model::layers() const {
  return llama_model_n_layer(handle());
}
std::int32_t Model::sliding_window() const {
  return llama_model_n_swa(handle());
}
bool Model::is_recurrent() const {
  return llama_model_is_recurrent(handle());
}
bool Model::is_hybrid() const {
  return llama_model_is_hybrid(handle());
}
bool Model::has_encoder() const {
  return llama_model_has_encoder(handle());
}
std::int32_t Model::pooling_type() const {
  return static_cast<std::int32_t>(number("pooling_type", -1));
}
std::int32_t Model::classes() const {
  return static_cast<std::int32_t>(llama_model_n_cls_out(handle()));
}
std::vector<std::string> Model::labels() const {
  std::vector<std::string> labels;
  for (std::int32_t i = 0; i < classes(); ++i) {
    const char* label = llama_model_cls_label(handle(), static_cast<std::uint32_t>(i));
    if (!label) return {};
    labels.emplace_back(label);
  }
  return labels;
}
const llama_vocab* Model::vocab() const {
  return llama_model_get_vocab(handle());
}

std::optional<std::string> Model::chat_template(const std::string& name) const {
  const char* text = llama_model_chat_template(handle(), name.empty() ? nullptr : name.c_str());
  if (!text) return std::nullopt;
  return std::string(text);
}

std::string Model::text(const std::string& key) const {
  const auto arch = metadata_.find("general.architecture");
  if (arch == metadata_.end()) return {};
  const auto entry = metadata_.find(arch->second + "." + key);
  return entry == metadata_.end() ? std::string() : entry->second;
}

std::int64_t Model::number(const std::string& key, std::int64_t fallback) const {
  const std::string written = text(key);
  std::int64_t value = 0;
  const char* const last = written.data() + written.size();
  const auto [end, failed] = std::from_chars(written.data(), last, value);
  return failed == std::errc() && end == last ? value : fallback;
}

}  // namespace llmlocal
