#include "base/errors.h"
#include "bindings/bindings.h"
#include "bindings/interruptible.h"
#include "bindings/text.h"
#include "llama/tokenizer.h"

namespace llmlocal::python {
namespace {

using Segments = std::vector<std::pair<std::string, bool>>;

Tokens encode(const Tokenizer& tokenizer, const Segments& segments, bool add_special) {
  std::vector<TextSegment> views;
  views.reserve(segments.size());
  for (const auto& [text, trusted] : segments) views.push_back({text, trusted});
  return tokenizer.encode(views, add_special);
}

// Long texts take long enough to want to stop them.
bool is_long(const Segments& segments) {
  constexpr std::size_t kLong = std::size_t{32} * 1024;
  std::size_t bytes = 0;
  for (const auto& [text, trusted] : segments) bytes += text.size();
  return bytes > kLong;
}

}  // namespace

void bind_tokenizer(py::module_& module) {
  py::class_<Tokenizer, std::shared_ptr<Tokenizer>>(module, "Tokenizer")
      .def(py::init([](std::shared_ptr<Model> model) {
             // Not for the whole of the constructor: pybind11 books the new object with the lock
             // held.
             const WithoutGil no_gil;
             return std::make_shared<Tokenizer>(std::move(model));
           }),
           py::arg("model"))
      .def(
          "encode",
          [](std::shared_ptr<Tokenizer> self,
             Segments segments,
             bool add_special,
             std::optional<double> timeout) {
            if (is_long(segments)) {
              return interruptible(
                  [self = std::move(self), segments = std::move(segments), add_special] {
                    return encode(*self, segments, add_special);
                  },
                  {timeout, "the time limit passed before the text was tokenized"});
            }
            const WithoutGil no_gil;
            return encode(*self, segments, add_special);
          },
          py::arg("segments"),
          py::kw_only(),
          py::arg("add_special"),
          py::arg("timeout") = py::none(),
          "Tokens of the joined text of (text, trusted) pairs; a long one may take so many "
          "seconds.")
      .def(
          "encode_as_llama_cpp",
          [](const Tokenizer& self, const std::string& text, bool add_special, bool parse_special) {
            return self.encode(text, add_special, parse_special);
          },
          py::arg("text"),
          py::kw_only(),
          py::arg("add_special"),
          py::arg("parse_special"),
          ReleaseGil(),
          "Tokens as llama.cpp's own tokenizer gives them, for comparison.")
      .def(
          "decode",
          [](const Tokenizer& self, const Tokens& tokens, bool special) {
            std::string bytes;
            {
              const WithoutGil no_gil;
              bytes = self.decode(tokens, special);
            }
            return py::bytes(bytes);
          },
          py::arg("tokens"),
          py::kw_only(),
          py::arg("special"))
      .def(
          "token_text",
          [](const Tokenizer& self, Token token) { return text_of(self.token_text(token)); },
          py::arg("token"))
      .def(
          "token_bytes",
          [](const Tokenizer& self, Token token) {
            if (token < 0 || token >= self.vocab_size()) {
              throw ParameterError("there is no token " + std::to_string(token));
            }
            return py::bytes(std::string(self.text(token)));
          },
          py::arg("token"),
          "What one token is spelled like, in running text.")
      .def(
          "fill_in_tokens",
          [](const Tokenizer& self) {
            const auto [before, after, middle] = self.fill_in_tokens();
            return py::make_tuple(before, after, middle);
          },
          "What stands before the text, before what follows it, and before what goes between; -1 "
          "where the model has none.")
      .def("is_end", &Tokenizer::is_end, py::arg("token"))
      .def_property_readonly("vocab_size", &Tokenizer::vocab_size)
      .def_property_readonly("bos", &Tokenizer::bos)
      .def_property_readonly("eos", &Tokenizer::eos)
      .def_property_readonly("adds_bos", &Tokenizer::adds_bos)
      .def_property_readonly("adds_eos", &Tokenizer::adds_eos)
      .def_property_readonly("adds_sep", &Tokenizer::adds_sep);
}

}  // namespace llmlocal::python
