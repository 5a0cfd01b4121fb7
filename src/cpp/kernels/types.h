// The types of weights that products know.  A type is a struct in weights.h, looked_up.h or
// grids.h, or in packed.h as ggml repacks it, and has its place in a list here.
#pragma once

#include "kernels/grids.h"
#include "kernels/looked_up.h"
#include "kernels/packed.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

template <class... Weights>
struct Types {};

using PlainTypes = Types<Q4_0,
                         Q4_1,
                         Q5_0,
                         Q5_1,
                         Q8_0,
                         Q2_K,
                         Q3_K,
                         Q4_K,
                         Q5_K,
                         Q6_K,
                         MXFP4,
                         IQ4_NL,
                         IQ4_XS,
                         IQ3_XXS,
                         IQ3_S,
                         IQ2_XXS,
                         IQ2_XS,
                         IQ2_S>;
using PackedTypes = Types<PackedQ4_0, PackedQ2_K, PackedQ4_K, PackedMXFP4, PackedIQ4_NL>;

}  // namespace llmlocal::kernels
