#include "llama/sampler_chain.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/errors.h"
#include "llama/guard.h"

namespace llmlocal {
namespace {

// Above this, sorting the candidates costs as much as the short cut saves.
constexpr std::int32_t kMostShortCutK = 1024;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// llama.cpp's seeds have 32 bits, and one of their values means "random".
std::uint32_t fold_seed(std::uint64_t seed) {
  const auto folded = static_cast<std::uint32_t>(seed ^ (seed >> 32U));
  return folded == LLAMA_DEFAULT_SEED ? 0 : folded;
}

}  // namespace

SamplerChain::SamplerChain(DrySamplers& dry,
                           const SamplingParams& params,
                           std::span<const Token> prompt,
                           bool short_cuts)
    : way_(choose_way(params, short_cuts)),
      top_k_(params.top_k),
      top_p_(params.top_p),
      min_p_(params.min_p),
      bias_(params.logit_bias),
      penalties_(params, prompt) {
  if (way_ != Way::kGreedy) build_chain(dry, params);
  if (dry_ == nullptr) return;
  dry_last_n_ = static_cast<std::size_t>(params.dry_last_n);
  for (const Token token : prompt.last(std::min(prompt.size(), dry_last_n_))) {
    SamplerChain::accept(token);
  }
}

SamplerChain::Way SamplerChain::choose_way(const SamplingParams& params, bool short_cuts) {
  const bool needs_all = params.has_dry() || params.top_n_sigma > 0 || params.mirostat != 0;
  if (params.is_greedy() && !params.has_dry()) return Way::kGreedy;
  if (needs_all || !short_cuts) return Way::kWhole;
  if (params.top_k > 0 && params.top_k <= kMostShortCutK) return Way::kTopK;
  if (params.top_k > 0 || params.typical_p < 1) return Way::kWhole;
  if (params.top_p < 1) return Way::kTopP;
  if (params.min_p > 0) return Way::kMinP;
  return Way::kWhole;
}

void SamplerChain::build_chain(DrySamplers& dry, const SamplingParams& params) {
  const std::uint32_t seed = fold_seed(params.seed);
  const float temperature = params.is_cold() ? 0.0F : params.temperature;
  chain_.reset(llama_sampler_chain_init({/*no_perf=*/true}));
  if (params.has_dry()) {
    dry_ = dry.make(params).release();
    add(dry_);
  }
  if (params.mirostat != 0) {
    add(llama_sampler_init_temp(temperature));
    add(params.mirostat == 1
            ? llama_sampler_init_mirostat(
                  dry.vocab_size(), seed, params.mirostat_tau, params.mirostat_eta, 100)
            : llama_sampler_init_mirostat_v2(seed, params.mirostat_tau, params.mirostat_eta));
    return;
  }
  if (params.top_n_sigma > 0) add(llama_sampler_init_top_n_sigma(params.top_n_sigma));
  if (way_ == Way::kWhole && params.top_k > 0) add(llama_sampler_init_top_k(params.top_k));
  if (params.typical_p < 1) add(llama_sampler_init_typical(params.typical_p, 1));
  if (way_ != Way::kTopP && params.top_p < 1) add(llama_sampler_init_top_p(params.top_p, 1));
  if (params.min_p > 0) add(llama_sampler_init_min_p(params.min_p, 1));
  if (params.xtc_probability > 0) {
    add(llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, 1, seed));
  }
  add(llama_sampler_init_temp(temperature));
  add(llama_sampler_init_dist(seed));
}

void SamplerChain::add(llama_sampler* sampler) {
  if (!sampler) throw EngineError("a sampler could not be made");
  llama_sampler_chain_add(chain_.get(), sampler);
}

Token SamplerChain::choose(std::span<float> logits, Constraint* constraint) {
  for (const auto& [token, bias] : bias_) logits[static_cast<std::size_t>(token)] += bias;
  penalties_.apply(logits);
  const Token token = constraint ? choose_legal(logits, *constraint) : choose_among(logits, {});
  if (token < 0) {
    throw EngineError(
        "the model's output gives no probabilities: its file may be damaged, or "
        "logit_bias bans every token that could come next");
  }
  return token;
}

Token SamplerChain::choose_legal(std::span<float> logits, Constraint& constraint) {
  if (pick_legal(logits, constraint)) return choose_picked();
  const std::span<const Token> few = constraint.apply(logits);
  if (few.empty()) return choose_among(logits, {});
  few_logits_.clear();
  for (const Token token : few) few_logits_.push_back(logits[static_cast<std::size_t>(token)]);
  return choose_among(few_logits_, few);
}

bool SamplerChain::pick_legal(std::span<float> logits, Constraint& constraint) {
  switch (way_) {
    case Way::kGreedy:
      return legal_.pick_top_k(logits, 1, constraint, picked_);
    case Way::kTopK:
      return legal_.pick_top_k(logits, static_cast<std::size_t>(top_k_), constraint, picked_);
    case Way::kTopP:
      return legal_.pick_top_p(logits, top_p_, min_p_, constraint, picked_);
    case Way::kMinP:
      return legal_.pick_min_p(logits, min_p_, constraint, picked_);
    case Way::kWhole:
      return false;
  }
  return false;
}

// `tokens`: whose logits these are; empty for those of the whole vocabulary.
Token SamplerChain::choose_among(std::span<const float> logits, std::span<const Token> tokens) {
  const auto token_of = [tokens](Token place) {
    return tokens.empty() ? place : tokens[static_cast<std::size_t>(place)];
  };
  if (way_ == Way::kWhole) {
    collect(logits);
    for (llama_token_data& each : candidates_) each.id = token_of(each.id);
    return draw();
  }
  pick(logits);
  for (Candidate& each : picked_) each.token = token_of(each.token);
  return choose_picked();
}

void SamplerChain::pick(std::span<const float> logits) {
  if (way_ == Way::kTopK) pick_top_k(logits, static_cast<std::size_t>(top_k_), picked_);
  if (way_ == Way::kTopP) pick_top_p(logits, top_p_, min_p_, picked_);
  if (way_ == Way::kMinP) pick_min_p(logits, min_p_, picked_);
  if (way_ != Way::kGreedy) return;
  picked_.clear();
  const Token best = best_token(logits);
  if (best >= 0) picked_.push_back({best, logits[static_cast<std::size_t>(best)]});
}

Token SamplerChain::choose_picked() {
  if (picked_.empty() || picked_.front().logit == kInfinity) return -1;
  if (way_ == Way::kGreedy) return picked_.front().token;
  candidates_.clear();
  sorted_ = way_ != Way::kMinP;
  for (const Candidate& each : picked_) candidates_.push_back({each.token, each.logit, 0});
  return draw();
}

// The long way: all that have a chance.
void SamplerChain::collect(std::span<const float> logits) {
  sorted_ = false;
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    // Sorting something that is not a number is undefined, and a banned token can't be drawn.
    if (logits[i] > -kInfinity) candidates_.push_back({static_cast<Token>(i), logits[i], 0});
    if (logits[i] == kInfinity) {
      candidates_.clear();
      return;
    }
  }
}

Token SamplerChain::draw() {
  if (candidates_.empty()) return -1;
  llama_token_data_array array{candidates_.data(), candidates_.size(), -1, sorted_};
  guarded("sampling", [&] { llama_sampler_apply(chain_.get(), &array); });
  if (array.selected < 0) return -1;
  // Where logits overflow on the way, the probabilities are no numbers, and the choice is none.
  const llama_token_data& chosen = array.data[array.selected];
  return std::isnan(chosen.p) ? -1 : chosen.id;
}

void SamplerChain::accept(Token token) {
  penalties_.accept(token);
  if (dry_ == nullptr) return;
  seen_.push_back(token);
  llama_sampler_accept(dry_, token);
}

void SamplerChain::take_back(std::size_t count) {
  penalties_.take_back(count);
  if (dry_ == nullptr || count == 0) return;
  // It can't go back, only begin anew.
  seen_.resize(seen_.size() - count);
  llama_sampler_reset(dry_);
  const std::span<const Token> seen = seen_;
  for (const Token token : seen.last(std::min(seen.size(), dry_last_n_))) {
    llama_sampler_accept(dry_, token);
  }
}

}  // namespace llmlocal
