#include <pybind11/numpy.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "bindings/bindings.h"
#include "llama/model.h"
#include "llama/sampler_chain.h"
#include "sampling/constraint.h"
#include "sampling/token_mask.h"

namespace llmlocal::python {
namespace {

using Logits = py::array_t<float, py::array::c_style>;

// Allows the same tokens at each step.
class FixedMask : public TokenMask {
 public:
  // `is_dear`: to fill it takes as long as one of a pattern in a large vocabulary.
  FixedMask(const Tokens& tokens, bool is_dear) : is_dear_(is_dear) {
    for (const Token token : tokens) {
      const auto index = static_cast<std::size_t>(token);
      if (index / 32 >= bits_.size()) bits_.resize(index / 32 + 1);
      bits_[index / 32] |= std::uint32_t{1} << index % 32;
    }
  }

  bool fill(TokenBits bits) noexcept override {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point end = Clock::now() + std::chrono::milliseconds(is_dear_ ? 1 : 0);
    std::ranges::fill(bits, 0);
    std::copy_n(bits_.begin(), std::min(bits.size(), bits_.size()), bits.begin());
    while (Clock::now() < end) {
    }
    return true;
  }
  bool allows(Token token) noexcept override {
    const auto index = static_cast<std::size_t>(token);
    return index / 32 < bits_.size() && (bits_[index / 32] >> index % 32 & 1U) != 0;
  }
  bool is_open() const noexcept override { return false; }
  bool accept(Token /*token*/) noexcept override { return true; }
  bool take_back(std::size_t /*count*/) noexcept override { return true; }
  bool may_stop() const noexcept override { return false; }
  bool must_stop() const noexcept override { return false; }
  std::string error() const override { return ""; }

 private:
  bool is_dear_;
  std::vector<std::uint32_t> bits_;
};

std::vector<Token> sample_many(SamplerChain& sampler,
                               const Logits& logits,
                               std::size_t count,
                               std::shared_ptr<TokenMask> mask) {
  if (logits.ndim() != 1) throw ParameterError("logits must have one dimension");
  const std::span<const float> given(logits.data(), static_cast<std::size_t>(logits.size()));
  const WithoutGil no_gil;
  std::vector<float> scratch(given.size());
  std::optional<Constraint> constraint;
  if (mask) constraint.emplace(std::move(mask), std::span<const Token>());
  std::vector<Token> tokens;
  tokens.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::ranges::copy(given, scratch.begin());
    tokens.push_back(sampler.choose(scratch, constraint ? &*constraint : nullptr));
    sampler.accept(tokens.back());
  }
  return tokens;
}

}  // namespace

void bind_sampler(py::module_& module) {
  const py::class_<TokenMask, std::shared_ptr<TokenMask>> mask(
      module, "TokenMask", "What one answer is held to; each follows one answer only.");

  py::class_<FixedMask, TokenMask, std::shared_ptr<FixedMask>>(
      module, "FixedMask", "Allows the same tokens at each step: for tests.")
      .def(py::init<const Tokens&, bool>(),
           py::arg("tokens"),
           py::kw_only(),
           py::arg("is_dear") = false);

  py::class_<SamplerChain>(
      module, "Sampler", "Chooses tokens from given logits: for tests and benchmarks.")
      .def(py::init([](const Model& model,
                       const SamplingParams& params,
                       const Tokens& prompt,
                       bool short_cuts) {
             DrySamplers dry(model.vocab(), params.dry_last_n);
             return std::make_unique<SamplerChain>(dry, params, prompt, short_cuts);
           }),
           py::arg("model"),
           py::arg("params"),
           py::kw_only(),
           py::arg("prompt"),
           py::arg("short_cuts"))
      .def("take_back", &SamplerChain::take_back, py::arg("count"))
      .def("sample_many",
           &sample_many,
           py::arg("logits"),
           py::arg("count"),
           py::kw_only(),
           py::arg("mask") = nullptr,
           "Draw `count` tokens in a row, each from the same (n_vocab,) float32 logits.");
}

}  // namespace llmlocal::python
