#include "llama/embedder.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "llama/log.h"

namespace llmlocal {
namespace {

struct Pooling {
  std::string_view name;
  enum llama_pooling_type type;
};
constexpr std::array<Pooling, 4> kPoolings = {{{"mean", LLAMA_POOLING_TYPE_MEAN},
                                               {"cls", LLAMA_POOLING_TYPE_CLS},
                                               {"last", LLAMA_POOLING_TYPE_LAST},
                                               {"rank", LLAMA_POOLING_TYPE_RANK}}};

// A text has two tokens mostly, so that a batch of 128 tokens never holds more.
constexpr std::size_t kMostTexts = 64;

enum llama_pooling_type pooling_of(const Model& model, const std::optional<std::string>& wanted) {
  if (!wanted) {
    const auto type = static_cast<enum llama_pooling_type>(model.pooling_type());
    if (std::ranges::find(kPoolings, type, &Pooling::type) != kPoolings.end()) return type;
    throw ModelLoadError(model.path() +
                         " holds a model whose file names no pooling, so it is not "
                         "one for embeddings (" +
                         model.description() +
                         R"(); give pooling="mean" or "last" to use it as one)");
  }
  std::string known;
  for (const Pooling& each : kPoolings) {
    if (each.name == *wanted) return each.type;
    known += (known.empty() ? "" : ", ") + std::string(each.name);
  }
  throw ParameterError("pooling must be one of " + known + ", got '" + *wanted + "'");
}

}  // namespace

Embedder::Embedder(std::shared_ptr<const Model> model, EmbedderOptions options)
    : model_(std::move(model)),
      options_(std::move(options)),
      pooling_(pooling_of(*model_, options_.pooling)),
      dimensions_(static_cast<std::size_t>(pooling_ == LLAMA_POOLING_TYPE_RANK
                                               ? llama_model_n_cls_out(model_->handle())
                                               : llama_model_n_embd_out(model_->handle()))),
      threads_(options_.threads),
      contexts_(model_, options_.threads, options_.offload) {
  if (model_->is_recurrent() || model_->is_hybrid() || model_->has_encoder()) {
    throw ModelLoadError("models such as " + model_->path() + " give no embeddings (" +
                         model_->description() + ")");
  }
  make_room(std::min(batch_tokens(), static_cast<std::size_t>(options_.window)));
}

std::string Embedder::pooling() const {
  return std::string(std::ranges::find(kPoolings, pooling_, &Pooling::type)->name);
}

std::int32_t Embedder::vocab_size() const {
  return llama_vocab_n_tokens(model_->vocab());
}

std::size_t Embedder::batch_texts() const {
  return std::min<std::size_t>(kMostTexts, batch_tokens());
}

// Doubles, so that texts of growing length cost few new contexts.
void Embedder::make_room(std::size_t tokens) {
  if (context_ && tokens <= room_) return;
  const auto most = std::max(static_cast<std::size_t>(options_.window), batch_tokens());
  const std::size_t wanted = std::min(std::max(tokens, 2 * room_), most);
  // llama.cpp tries its graphs out with as many tokens for each text, and whole ones.
  const std::size_t room = (wanted + batch_texts() - 1) / batch_texts() * batch_texts();
  context_.reset();  // Frees its memory first; if there is none for the new one, the next text is
  room_ = 0;         // given one of its own size.
  context_ = make_context(room);
  room_ = room;
}

Context Embedder::make_context(std::size_t tokens) {
  llama_context_params params = llama_context_default_params();
  // Models with a KV cache get one that is just large enough for a batch, and shared by its texts:
  // so they are evaluated in one go.
  params.n_ctx = static_cast<std::uint32_t>(tokens);
  params.n_batch = params.n_ctx;
  params.n_ubatch = params.n_ctx;
  params.n_seq_max = static_cast<std::uint32_t>(batch_texts());
  params.kv_unified = true;
  params.swa_full = true;
  params.embeddings = true;
  params.pooling_type = pooling_;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO;
  if (options_.flash_attention) {
    params.flash_attn_type =
        *options_.flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  }
  return contexts_.make(params, "work space for texts of " + std::to_string(tokens) + " tokens", 0);
}

DecodeStatus Embedder::encode(const TextBatch& batch, const std::function<bool()>& should_stop) {
  make_room(batch.tokens.size());
  llama_set_n_threads(context_.get(), threads_, threads_);

  std::vector<llama_pos> positions;
  std::vector<llama_seq_id> sequences;
  positions.reserve(batch.tokens.size());
  sequences.reserve(batch.tokens.size());
  for (std::size_t text = 0; text < batch.lengths.size(); ++text) {
    for (std::size_t i = 0; i < batch.lengths[text]; ++i) {
      positions.push_back(static_cast<llama_pos>(i));
      sequences.push_back(static_cast<llama_seq_id>(text));
    }
  }
  // llama.cpp takes the batch by pointers that it does not write to.
  std::vector<std::int32_t> one_text_each(sequences.size(), 1);
  std::vector<llama_seq_id*> text_of(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) text_of[i] = &sequences[i];
  std::vector<std::int8_t> all(sequences.size(), 1);
  llama_batch rows{};
  rows.n_tokens = static_cast<std::int32_t>(batch.tokens.size());
  rows.token = const_cast<llama_token*>(batch.tokens.data());  // NOLINT(*-const-cast)
  rows.pos = positions.data();
  rows.n_seq_id = one_text_each.data();
  rows.seq_id = text_of.data();
  rows.logits = all.data();

  const ErrorLines errors(LogLevel::kWarning);
  contexts_.set_abort_check(should_stop);
  const struct Reset {
    ContextMaker& contexts;
    ~Reset() { contexts.set_abort_check({}); }
  } reset{contexts_};
  contexts_.require_files();
  const std::int32_t result = contexts_.guarded()("evaluating texts", [&] {
    if (llama_memory_t memory = llama_get_memory(context_.get())) llama_memory_clear(memory, false);
    return llama_decode(context_.get(), rows);
  });
  contexts_.require_devices();
  contexts_.require_files();  // The step may have read what is not the model's.
  if (result == 0) return DecodeStatus::kOk;
  if (result == 2) return DecodeStatus::kAborted;
  throw EngineError("evaluating texts failed (" + std::to_string(result) + ")" +
                    (errors.text().empty() ? "" : ": " + errors.text()));
}

std::span<const float> Embedder::vector(std::size_t text) {
  const float* numbers = contexts_.guarded()("reading a vector", [&] {
    return llama_get_embeddings_seq(context_.get(), static_cast<llama_seq_id>(text));
  });
  // Batches of remote devices end when their results are read.
  contexts_.require_devices();
  if (!numbers) throw EngineError("a batch gave no vector for text " + std::to_string(text));
  return {numbers, dimensions_};
}

}  // namespace llmlocal
