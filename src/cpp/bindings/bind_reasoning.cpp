#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/errors.h"
#include "bindings/bindings.h"
#include "llama/tokenizer.h"
#include "sampling/reasoning_format.h"
#include "sampling/reasoning_mask.h"

namespace llmlocal::python {
namespace {

// As a template would write it: control tokens are recognised.
Tag tag_of(const Tokenizer& tokenizer, const std::string& text, const std::string& written) {
  return {text, tokenizer.encode(written, /*add_special=*/false, /*parse_special=*/true)};
}

// The tokens of the text that stand for nothing but white space.
Tokens blanks_of(const Tokenizer& tokenizer, const std::string& text) {
  Tokens blanks = tokenizer.encode(text, /*add_special=*/false, /*parse_special=*/false);
  std::erase_if(blanks, [&](Token token) {
    const std::string_view spelt = tokenizer.text(token);
    return spelt.empty() || spelt.find_first_not_of(" \n\r\t") != std::string_view::npos;
  });
  return blanks;
}

std::shared_ptr<ReasoningFormat> make_format(std::shared_ptr<Tokenizer> tokenizer,
                                             const std::string& opening,
                                             const std::string& closing,
                                             const std::string& direct,
                                             const std::string& pad) {
  const WithoutGil no_gil;
  ReasoningFormat::Tags tags;
  tags.opening = tag_of(*tokenizer, opening, opening);
  tags.closing = tag_of(*tokenizer, closing, pad + closing + pad + pad);
  tags.direct = tag_of(*tokenizer, direct, direct);
  if (opening.empty() || tags.closing.tokens.empty() || closing.empty()) {
    throw ParameterError("the tags of reasoning must not be empty");
  }
  tags.blanks = blanks_of(*tokenizer, pad);
  const Tokens two = blanks_of(*tokenizer, pad + pad);
  tags.blanks.insert(tags.blanks.end(), two.begin(), two.end());
  return std::make_shared<ReasoningFormat>(std::move(tags), std::move(tokenizer));
}

}  // namespace

void bind_reasoning(py::module_& module) {
  py::class_<ReasoningFormat, std::shared_ptr<ReasoningFormat>>(
      module, "ReasoningFormat", "How a model sets its reasoning apart; shared by its requests.")
      .def(py::init(&make_format),
           py::arg("tokenizer"),
           py::kw_only(),
           py::arg("opening"),
           py::arg("closing"),
           py::arg("direct"),
           py::arg("pad"));

  py::class_<ReasoningMask, TokenMask, std::shared_ptr<ReasoningMask>>(
      module, "ReasoningMask", "Holds what follows the reasoning to `answer`; ends long reasoning.")
      .def(py::init([](std::shared_ptr<ReasoningFormat> format,
                       std::shared_ptr<TokenMask> answer,
                       bool is_open,
                       std::optional<std::size_t> budget) {
             return std::make_shared<ReasoningMask>(
                 std::move(format),
                 std::move(answer),
                 ReasoningMask::Options{.is_open = is_open, .budget = budget});
           }),
           py::arg("format"),
           py::arg("answer") = nullptr,
           py::kw_only(),
           py::arg("is_open"),
           py::arg("budget") = py::none());
}

}  // namespace llmlocal::python
