#include <pybind11/numpy.h>

#include "bindings/bindings.h"
#include "bindings/process_bound.h"
#include "engine/encoder/encoder_engine.h"
#include "llama/embedder.h"

namespace llmlocal::python {
namespace {

// A job that stops when its caller lets go of it: nobody could read its vectors any more.
std::shared_ptr<EmbeddingJob> held_by_caller(std::shared_ptr<EmbeddingJob> job) {
  EmbeddingJob* const held = job.get();
  return {held, [job = std::move(job)](EmbeddingJob*) { job->cancel(); }};
}

// The engine with its destructor off the GIL: it joins a thread.
class PyEncoderEngine {
 public:
  PyEncoderEngine(std::shared_ptr<Model> model, EmbedderOptions options)
      : PyEncoderEngine(std::make_unique<Embedder>(std::move(model), std::move(options))) {}
  ~PyEncoderEngine() {  // NOLINT(bugprone-exception-escape): get() throws away from home only
    const WithoutGil no_gil;
    if (engine_.is_home()) engine_.get().close();
  }
  PyEncoderEngine(const PyEncoderEngine&) = delete;
  PyEncoderEngine& operator=(const PyEncoderEngine&) = delete;

  std::shared_ptr<EmbeddingJob> submit(std::vector<Tokens> texts, std::optional<double> timeout) {
    EmbeddingSpec spec;
    spec.texts = std::move(texts);
    if (timeout) spec.timeout = std::chrono::duration<double>(*timeout);
    return held_by_caller(engine_.get().submit(std::move(spec)));
  }
  EncoderStats stats() const { return engine_.get().stats(); }
  BufferSizes context_sizes() const { return context_sizes_->get(); }
  const std::string& pooling() const { return pooling_; }
  std::size_t dimensions() const { return dimensions_; }
  void close() {
    if (engine_.is_home()) engine_.get().close();
  }

 private:
  explicit PyEncoderEngine(std::unique_ptr<Embedder> embedder)
      : context_sizes_(embedder->context_sizes()),
        pooling_(embedder->pooling()),
        dimensions_(embedder->dimensions()),
        engine_(std::make_unique<EncoderEngine>(std::move(embedder))) {}

  std::shared_ptr<const ContextSizes> context_sizes_;
  std::string pooling_;
  std::size_t dimensions_;
  ProcessBound<EncoderEngine> engine_;
};

std::unique_ptr<PyEncoderEngine> make_encoder_engine(std::shared_ptr<Model> model,
                                                     Position window,
                                                     std::int32_t batch,
                                                     int threads,
                                                     bool offload,
                                                     std::optional<bool> flash_attention,
                                                     std::optional<std::string> pooling) {
  const WithoutGil no_gil;
  EmbedderOptions options;
  options.window = window;
  options.batch = batch;
  options.threads = threads;
  options.offload = offload;
  options.flash_attention = flash_attention;
  options.pooling = std::move(pooling);
  return std::make_unique<PyEncoderEngine>(std::move(model), std::move(options));
}

std::shared_ptr<const Outcome> read(EmbeddingJob& job, std::int32_t timeout_ms) {
  return job.channel()
      .read(std::chrono::milliseconds(timeout_ms), TokenChannel::Until::kEnd)
      .outcome;
}

// One row for each text, without a copy; the array keeps the job.
py::array_t<float> vectors(const std::shared_ptr<EmbeddingJob>& job) {
  const auto rows = static_cast<py::ssize_t>(job->size());
  const auto columns = static_cast<py::ssize_t>(job->dimensions());
  return py::array_t<float>({rows, columns}, job->vectors().data(), py::cast(job));
}

}  // namespace

void bind_embedder(py::module_& module) {
  py::class_<EncoderStats>(module, "EncoderStats")
      .def_readonly("waiting", &EncoderStats::waiting)
      .def_readonly("threads", &EncoderStats::threads)
      .def_readonly("batches", &EncoderStats::batches)
      .def_readonly("texts", &EncoderStats::texts)
      .def_readonly("tokens", &EncoderStats::tokens);

  py::class_<EmbeddingJob, std::shared_ptr<EmbeddingJob>>(module, "EmbeddingJob")
      .def("cancel", &EmbeddingJob::cancel)
      .def_property_readonly("done", &EmbeddingJob::done)
      .def("read",
           &read,
           py::arg("timeout_ms"),
           ReleaseGil(),
           "The outcome once there is one; None after the timeout.")
      .def("vectors", &vectors, "Once it has ended well: one row for each text.")
      .def(
          "announce_on",
          [](EmbeddingJob& job, std::shared_ptr<ReadyQueue> queue, RequestId id, bool until_end) {
            job.channel().announce_on(
                std::move(queue),
                id,
                until_end ? TokenChannel::Until::kEnd : TokenChannel::Until::kNews);
          },
          py::arg("queue"),
          py::arg("id"),
          py::kw_only(),
          py::arg("until_end"));

  py::class_<PyEncoderEngine>(module, "EncoderEngine")
      .def(py::init(&make_encoder_engine),
           py::arg("model"),
           py::kw_only(),
           py::arg("window"),
           py::arg("batch"),
           py::arg("threads"),
           py::arg("offload"),
           py::arg("flash_attention"),
           py::arg("pooling"))
      .def("submit",
           &PyEncoderEngine::submit,
           py::arg("texts"),
           py::kw_only(),
           py::arg("timeout"),
           ReleaseGil())
      .def("stats", &PyEncoderEngine::stats, ReleaseGil())
      .def("context_sizes", &PyEncoderEngine::context_sizes)
      .def_property_readonly("pooling", &PyEncoderEngine::pooling)
      .def_property_readonly("dimensions", &PyEncoderEngine::dimensions)
      .def("close", &PyEncoderEngine::close, ReleaseGil());
}

}  // namespace llmlocal::python
