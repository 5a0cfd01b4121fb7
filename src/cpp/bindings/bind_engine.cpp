#include "bindings/bindings.h"
#include "bindings/interruptible.h"
#include "bindings/process_bound.h"
#include "engine/engine.h"
#include "engine/streams/prefix_file.h"
#include "engine/streams/prefix_files.h"
#include "llama/llama_decoder.h"
#include "llama/log.h"

namespace llmlocal::python {
namespace {

// A request that stops when its caller lets go of it: nobody could read its answer any more.
std::shared_ptr<Request> held_by_caller(std::shared_ptr<Request> request) {
  Request* const held = request.get();
  return {held, [request = std::move(request)](Request*) { request->cancel(); }};
}

// Where prefixes are kept on disk, and of which model.
struct PrefixFolder {
  std::string folder;
  std::string model;  // What tells it from all others.
  std::uint64_t most_bytes = 0;
  std::chrono::seconds most_age{0};
};

std::string identity_with(const std::string& state, const std::string& model) {
  return state + ", model " + model;
}

std::shared_ptr<PrefixFiles> open_files(const PrefixFolder& folder, const std::string& state) {
  const WithoutGil no_gil;
  try {
    return std::make_shared<PrefixFiles>(
        open_private_folder(folder.folder),
        PrefixFilesOptions{
            identity_with(state, folder.model),
            folder.most_bytes,
            folder.most_age,
            [](const std::string& line) { add_log_line(LogLevel::kWarning, line); }});
  } catch (const FileError& error) {
    throw ParameterError(std::string("prefix_cache_path: ") + error.what());
  }
}

// The engine with its destructor off the GIL: it joins a thread.
class PyEngine {
 public:
  PyEngine(std::unique_ptr<LlamaDecoder> decoder,
           std::string state_identity,
           const CacheOptions& cache_options)
      : context_sizes_(decoder->context_sizes()),
        state_identity_(std::move(state_identity)),
        engine_(std::make_unique<Engine>(std::move(decoder), cache_options)) {}
  ~PyEngine() {  // NOLINT(bugprone-exception-escape): get() throws away from home only
    const WithoutGil no_gil;
    if (engine_.is_home()) engine_.get().close();
  }
  PyEngine(const PyEngine&) = delete;
  PyEngine& operator=(const PyEngine&) = delete;

  std::vector<std::shared_ptr<Request>> submit(std::vector<RequestSpec> specs) {
    std::vector<std::shared_ptr<Request>> requests = engine_.get().submit(std::move(specs));
    for (std::shared_ptr<Request>& request : requests) request = held_by_caller(std::move(request));
    return requests;
  }
  // Empty: nothing of these tokens is held.
  std::vector<std::byte> save_state(const Tokens& tokens, const std::string& model) {
    std::optional<PrefixStore::Entry> held;
    engine_.get().perform([&](StreamPool& pool) { held = pool.take_out(tokens); });
    return held ? encode_entry(identity_with(state_identity_, model), *held)
                : std::vector<std::byte>();
  }
  // How many tokens it stands for; 0: it is damaged, or of another model or kind of state.
  std::size_t load_state(std::string_view bytes, const std::string& model) {
    std::optional<PrefixStore::Entry> entry =
        decode_entry(identity_with(state_identity_, model), std::as_bytes(std::span(bytes)));
    if (!entry) return 0;
    const std::size_t length = entry->key.size();
    engine_.get().perform([&](StreamPool& pool) { pool.put_in(std::move(*entry)); });
    return length;
  }
  EngineStats stats() const { return engine_.get().stats(); }
  BufferSizes context_sizes() const { return context_sizes_->get(); }
  void close() {
    if (engine_.is_home()) engine_.get().close();
  }

 private:
  std::shared_ptr<const ContextSizes> context_sizes_;
  std::string state_identity_;
  ProcessBound<Engine> engine_;
};

std::unique_ptr<PyEngine> make_engine(std::shared_ptr<Model> model,
                                      std::shared_ptr<Tokenizer> tokenizer,
                                      Position context_length,
                                      std::int32_t batch,
                                      int threads,
                                      std::string kv_type,
                                      bool offload,
                                      std::optional<bool> flash_attention,
                                      StreamId max_streams,
                                      std::size_t kv_bytes,
                                      std::size_t store_bytes,
                                      const std::optional<PrefixFolder>& prefix_files) {
  DecoderOptions decoder_options;
  decoder_options.context_length = context_length;
  decoder_options.batch = batch;
  decoder_options.threads = threads;
  decoder_options.kv_type = std::move(kv_type);
  decoder_options.offload = offload;
  decoder_options.flash_attention = flash_attention;
  CacheOptions cache_options{max_streams, kv_bytes, store_bytes, !offload, nullptr};
  std::string state = LlamaDecoder::state_identity(decoder_options);
  if (prefix_files) {
    cache_options.files = open_files(*prefix_files, state);
    const PrefixFiles::Latest latest = cache_options.files->latest();
    decoder_options.likely_length = latest.length;
    decoder_options.likely_bytes = latest.bytes;
  }
  // A large context takes long to make: its memory is cleared.
  auto decoder =
      interruptible([model = std::move(model), tokenizer = std::move(tokenizer), decoder_options] {
        return std::make_unique<LlamaDecoder>(model, tokenizer, decoder_options);
      });
  const WithoutGil no_gil;
  return std::make_unique<PyEngine>(std::move(decoder), std::move(state), cache_options);
}

}  // namespace

void bind_engine(py::module_& module) {
  py::class_<EngineStats>(module, "EngineStats")
      .def_readonly("sequences", &EngineStats::streams)
      .def_readonly("sequences_active", &EngineStats::streams_active)
      .def_readonly("sequences_limit", &EngineStats::streams_limit)
      .def_readonly("sequence_tokens", &EngineStats::stream_tokens)
      .def_readonly("sequence_bytes", &EngineStats::stream_bytes)
      .def_readonly("waiting", &EngineStats::waiting)
      .def_readonly("store_bytes", &EngineStats::store_bytes)
      .def_readonly("store_budget", &EngineStats::store_budget)
      .def_readonly("store_entries", &EngineStats::store_entries)
      .def_readonly("disk_entries", &EngineStats::disk_entries)
      .def_readonly("threads", &EngineStats::threads)
      .def_readonly("requests", &EngineStats::requests)
      .def_readonly("steps", &EngineStats::steps)
      .def_readonly("prompt_tokens", &EngineStats::prompt_tokens)
      .def_readonly("cached_tokens", &EngineStats::cached_tokens)
      .def_readonly("completion_tokens", &EngineStats::completion_tokens)
      .def_readonly("prefix_hits", &EngineStats::prefix_hits)
      .def_readonly("disk_hits", &EngineStats::disk_hits)
      .def_readonly("disk_tokens", &EngineStats::disk_tokens)
      .def_readonly("disk_read_bytes", &EngineStats::disk_read_bytes)
      .def_readonly("disk_written_bytes", &EngineStats::disk_written_bytes);

  py::class_<PrefixFolder>(module, "PrefixFilesOptions")
      .def(py::init([](std::string folder,
                       std::string model,
                       std::uint64_t most_bytes,
                       std::int64_t most_age_s) {
             return PrefixFolder{
                 std::move(folder), std::move(model), most_bytes, std::chrono::seconds(most_age_s)};
           }),
           py::kw_only(),
           py::arg("folder"),
           py::arg("model"),
           py::arg("most_bytes"),
           py::arg("most_age_s"));

  py::class_<PyEngine>(module, "Engine")
      .def(py::init(&make_engine),
           py::arg("model"),
           py::arg("tokenizer"),
           py::kw_only(),
           py::arg("context_length"),
           py::arg("batch"),
           py::arg("threads"),
           py::arg("kv_type"),
           py::arg("offload"),
           py::arg("flash_attention"),
           py::arg("max_streams"),
           py::arg("kv_bytes"),
           py::arg("store_bytes"),
           py::arg("prefix_files"))
      .def("submit", &PyEngine::submit, py::arg("specs"), ReleaseGil())
      .def(
          "save_state",
          [](PyEngine& engine, const Tokens& tokens, const std::string& model) {
            std::vector<std::byte> bytes;
            {
              const WithoutGil no_gil;
              bytes = engine.save_state(tokens, model);
            }
            return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());  // NOLINT
          },
          py::arg("tokens"),
          py::kw_only(),
          py::arg("model"))
      .def(
          "load_state",
          [](PyEngine& engine, const py::bytes& state, const std::string& model) {
            const std::string_view bytes = state;
            const WithoutGil no_gil;
            return engine.load_state(bytes, model);
          },
          py::arg("state"),
          py::kw_only(),
          py::arg("model"))
      .def("stats", &PyEngine::stats, ReleaseGil())
      .def("context_sizes", &PyEngine::context_sizes)
      .def("close", &PyEngine::close, ReleaseGil());
}

}  // namespace llmlocal::python
