#include "sampling/sampling_params.h"

#include <cmath>
#include <sstream>

#include "base/errors.h"

namespace llmlocal {
namespace {

template <typename Value>
void require(bool holds, const char* name, Value value, const char* range) {
  if (holds) return;
  std::ostringstream message;
  message << name << " must be " << range << ", got " << value;
  throw ParameterError(message.str());
}

}  // namespace

void SamplingParams::validate(std::int32_t vocab_size) const {
  // Comparisons are written so that NaN fails them.
  const auto finite = [](float value) { return std::isfinite(value); };
  require(temperature >= 0 && finite(temperature), "temp", temperature, "a finite number >= 0");
  require(top_k >= 0, "top_k", top_k, ">= 0 (0 = off)");
  require(top_p > 0 && top_p <= 1, "top_p", top_p, "in (0, 1] (1 = off)");
  require(min_p >= 0 && min_p <= 1, "min_p", min_p, "in [0, 1] (0 = off)");
  require(typical_p > 0 && typical_p <= 1, "typical_p", typical_p, "in (0, 1] (1 = off)");
  require(finite(top_n_sigma), "top_n_sigma", top_n_sigma, "a finite number (<= 0 = off)");
  require(repeat_last_n >= 0, "repeat_last_n", repeat_last_n, ">= 0 (0 = off)");
  require(repeat_penalty > 0 && finite(repeat_penalty),
          "repeat_penalty",
          repeat_penalty,
          "a finite number > 0 (1 = off)");
  require(finite(frequency_penalty), "frequency_penalty", frequency_penalty, "a finite number");
  require(finite(presence_penalty), "presence_penalty", presence_penalty, "a finite number");
  require(dry_multiplier >= 0 && finite(dry_multiplier),
          "dry_multiplier",
          dry_multiplier,
          "a finite number >= 0 (0 = off)");
  require(dry_base >= 1 && finite(dry_base), "dry_base", dry_base, "a finite number >= 1");
  require(dry_allowed_length >= 0, "dry_allowed_length", dry_allowed_length, ">= 0");
  require(dry_last_n >= 0, "dry_last_n", dry_last_n, ">= 0 (0 = off)");
  require(xtc_probability >= 0 && xtc_probability <= 1,
          "xtc_probability",
          xtc_probability,
          "in [0, 1] (0 = off)");
  require(xtc_threshold >= 0 && xtc_threshold <= 1, "xtc_threshold", xtc_threshold, "in [0, 1]");
  require(mirostat >= 0 && mirostat <= 2, "mirostat", mirostat, "0 (off), 1 or 2");
  require(mirostat_tau > 0 && finite(mirostat_tau),
          "mirostat_tau",
          mirostat_tau,
          "a finite number > 0");
  require(mirostat_eta > 0 && finite(mirostat_eta),
          "mirostat_eta",
          mirostat_eta,
          "a finite number > 0");
  for (const auto& [token, bias] : logit_bias) {
    require(token >= 0 && token < vocab_size,
            "logit_bias: a token id",
            token,
            "in the model's vocabulary");
    require(!std::isnan(bias) && bias != INFINITY,
            "logit_bias: a bias",
            bias,
            "a finite number or -inf");
  }
}

}  // namespace llmlocal
