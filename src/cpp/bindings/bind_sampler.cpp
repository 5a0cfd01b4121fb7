#include <pybind11/numpy.h>

#include <algorithm>

#include "base/errors.h"
#include "bindings/bindings.h"
#include "llama/model.h"
#include "llama/sampler_chain.h"

namespace llmlocal::python {
namespace {

using Logits = py::array_t<float, py::array::c_style>;

std::vector<Token> sample_many(SamplerChain& sampler, const Logits& logits, std::size_t count) {
  if (logits.ndim() != 1) throw ParameterError("logits must have one dimension");
  const std::span<const float> given(logits.data(), static_cast<std::size_t>(logits.size()));
  const WithoutGil no_gil;
  std::vector<float> scratch(given.size());
  std::vector<Token> tokens;
  tokens.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::ranges::copy(given, scratch.begin());
    tokens.push_back(sampler.sample(scratch));
  }
  return tokens;
}

}  // namespace

void bind_sampler(py::module_& module) {
  py::class_<SamplerChain>(
      module, "Sampler", "Chooses tokens from given logits: for tests and benchmarks.")
      .def(py::init([](const Model& model,
                       const SamplingParams& params,
                       const Tokens& prompt,
                       bool short_cuts) {
             return std::make_unique<SamplerChain>(model.vocab(), params, prompt, short_cuts);
           }),
           py::keep_alive<1, 2>(),
           py::arg("model"),
           py::arg("params"),
           py::kw_only(),
           py::arg("prompt"),
           py::arg("short_cuts"))
      .def("sample_many",
           &sample_many,
           py::arg("logits"),
           py::arg("count"),
           "Draw `count` tokens in a row, each from the same (n_vocab,) float32 logits.");
}

}  // namespace llmlocal::python
