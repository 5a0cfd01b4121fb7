#include "base/errors.h"
#include "bindings/bindings.h"
#include "bindings/process_bound.h"
#include "bindings/text.h"
#include "guidance/grammar.h"
#include "guidance/vocabulary.h"
#include "llama/tokenizer.h"

namespace llmlocal::python {
namespace {

// A thread of this process makes it: a forked child would wait for it in vain.
using BoundVocabulary = ProcessBound<std::shared_ptr<const Vocabulary>>;

std::unique_ptr<BoundVocabulary> make_vocabulary(std::shared_ptr<GuidanceLibrary> library,
                                                 const Tokenizer& tokenizer) {
  const WithoutGil no_gil;
  const std::int32_t size = tokenizer.vocab_size();
  std::vector<std::string> names;  // Of the tokens that are no text.
  std::vector<TokenText> texts;
  std::vector<Token> ends;
  names.reserve(static_cast<std::size_t>(size));  // So that none moves.
  texts.reserve(static_cast<std::size_t>(size));
  for (Token token = 0; token < size; ++token) {
    const bool is_end = tokenizer.is_end(token);
    const bool is_text = !is_end && !tokenizer.piece(token).empty();
    if (!is_text) names.push_back(tokenizer.token_text(token));
    texts.push_back({is_text ? tokenizer.piece(token) : names.back(), is_text});
    if (is_end) ends.push_back(token);
  }
  return std::make_unique<BoundVocabulary>(std::make_unique<std::shared_ptr<const Vocabulary>>(
      std::make_shared<const Vocabulary>(std::move(library), texts, ends)));
}

std::vector<std::uint32_t> fill(GrammarMask& mask, std::size_t vocabulary_size) {
  std::vector<std::uint32_t> bits((vocabulary_size + 31) / 32);
  if (!mask.fill(bits)) throw ConstraintError(mask.error());
  return bits;
}

}  // namespace

void bind_guidance(py::module_& module) {
  py::class_<GuidanceLibrary, std::shared_ptr<GuidanceLibrary>>(module, "GuidanceLibrary")
      .def(py::init([](const std::string& path) {
             const WithoutGil no_gil;
             return std::make_shared<GuidanceLibrary>(std::filesystem::u8path(path));
           }),
           py::arg("path"))
      .def_property_readonly("version", &GuidanceLibrary::version);

  py::class_<BoundVocabulary>(module, "Vocabulary")
      .def(py::init(&make_vocabulary),
           py::arg("library"),
           py::arg("tokenizer"),
           "Begins to prepare it, on a thread of its own; whoever needs it waits.");

  py::class_<GrammarMask, TokenMask, std::shared_ptr<GrammarMask>>(
      module, "GrammarMask", "What one answer is held to; the methods are for tests.")
      .def("fill",
           &fill,
           py::arg("vocabulary_size"),
           "Whether each token may come next, 32 bits to a word.")
      .def("allows", &GrammarMask::allows, py::arg("token"))
      .def("accept", &GrammarMask::accept, py::arg("token"))
      .def("take_back", &GrammarMask::take_back, py::arg("count"))
      .def("may_stop", &GrammarMask::may_stop)
      .def("must_stop", &GrammarMask::must_stop)
      .def("error", [](const GrammarMask& mask) { return text_of(mask.error()); });

  py::class_<Grammar, std::shared_ptr<Grammar>>(module, "Grammar")
      .def(py::init([](const BoundVocabulary& vocabulary,
                       const std::string& kind,
                       const std::string& text) {
             const WithoutGil no_gil;
             return std::make_shared<Grammar>(vocabulary.get(), kind, text);
           }),
           py::arg("vocabulary"),
           py::arg("kind"),
           py::arg("text"),
           R"(Compile a constraint: kind is "json" (a schema), "regex" or "lark".)")
      .def("mask", &Grammar::mask, ReleaseGil(), "For one answer, from its beginning.");
}

}  // namespace llmlocal::python
