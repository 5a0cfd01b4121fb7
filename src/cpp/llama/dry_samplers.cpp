#include "llama/dry_samplers.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "llama/guard.h"

namespace llmlocal {
namespace {

auto dry_part(const SamplingParams& params) {
  return std::tie(params.dry_multiplier,
                  params.dry_base,
                  params.dry_allowed_length,
                  params.dry_last_n,
                  params.dry_breakers);
}

LlamaSampler checked(llama_sampler* sampler) {
  if (!sampler) throw EngineError("a sampler could not be made");
  return LlamaSampler(sampler);
}

}  // namespace

LlamaSampler DrySamplers::make(SamplingParams params) {
  // It takes memory for all the tokens that it may look back on.
  params.dry_last_n = std::min(params.dry_last_n, longest_);
  if (const auto like = find(params)) {
    return guarded("copying a sampler", [&] { return checked(llama_sampler_clone(like.get())); });
  }
  const std::shared_ptr<llama_sampler> made = make_anew(params);
  LlamaSampler copy =
      guarded("copying a sampler", [&] { return checked(llama_sampler_clone(made.get())); });
  const std::lock_guard lock(mutex_);
  kept_.push_front({std::move(params), made});
  if (kept_.size() > kMostKept) kept_.pop_back();
  return copy;
}

std::shared_ptr<const llama_sampler> DrySamplers::find(const SamplingParams& params) {
  const std::lock_guard lock(mutex_);
  const auto place = std::ranges::find_if(
      kept_, [&](const Kept& each) { return dry_part(each.params) == dry_part(params); });
  return place == kept_.end() ? nullptr : place->sampler;
}

LlamaSampler DrySamplers::make_anew(const SamplingParams& params) const {
  std::vector<const char*> breakers;
  breakers.reserve(params.dry_breakers.size());
  for (const std::string& breaker : params.dry_breakers) breakers.push_back(breaker.c_str());
  return guarded("making a sampler", [&] {
    return checked(llama_sampler_init_dry(vocab_,
                                          params.dry_multiplier,
                                          params.dry_base,
                                          params.dry_allowed_length,
                                          params.dry_last_n,
                                          breakers.data(),
                                          breakers.size()));
  });
}

}  // namespace llmlocal
