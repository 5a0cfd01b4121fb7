// All that the kernels need of ggml's CPU backend beyond its public headers.  The build compiles
// the kernels by themselves first: where a ggml has it otherwise, they are left out.
#pragma once

#define GGML_COMMON_DECL_C
#include <ggml-common.h>
// It is first: the others bring declarations of their own.
#include <ggml-backend-impl.h>
#include <ggml-cpu-impl.h>
#include <ggml-cpu.h>
#include <ggml-cpu/common.h>
#include <ggml-cpu/repack.h>
#include <ggml-cpu/tiled/tiled.h>
#include <ggml-cpu/traits.h>

#include <cstddef>
#include <type_traits>

// The slot of ggml's list of extra buffer types that is ours: called when the list is first used.
extern "C" ggml_backend_buffer_type_t ggml_backend_cpu_kleidiai_buffer_type(void);

namespace llmlocal::kernels {

static_assert(std::is_same_v<decltype(ggml_compute_params::wdata), void*>);
static_assert(std::is_same_v<decltype(ggml_compute_params::wsize), std::size_t>);
static_assert(std::is_same_v<decltype(ggml_compute_params::use_ref), bool>);
static_assert(std::is_same_v<decltype(&ggml_barrier), void (*)(ggml_threadpool*)>);
static_assert(std::is_same_v<decltype(&ggml_tiled_wdata_size), std::size_t (*)(int, ggml_tensor*)>);
static_assert(sizeof(block_q4_0) == 18 && sizeof(block_q4_1) == 20 && sizeof(block_q5_0) == 22 &&
              sizeof(block_q5_1) == 24 && sizeof(block_q8_0) == 34);
static_assert(sizeof(block_mxfp4) == 17 && sizeof(block_iq4_nl) == 18 &&
              sizeof(block_iq4_xs) == 136);
static_assert(sizeof(block_q4_0x8) == 8 * sizeof(block_q4_0) &&
              sizeof(block_mxfp4x8) == 8 * sizeof(block_mxfp4) &&
              sizeof(block_iq4_nlx8) == 8 * sizeof(block_iq4_nl) &&
              sizeof(block_q4_Kx8) == 8 * sizeof(block_q4_K));
static_assert(sizeof(block_q2_Kx8) == 8 * sizeof(block_q2_K));
static_assert(sizeof(block_iq3_xxs) == 98 && sizeof(block_iq3_s) == 110 &&
              sizeof(block_iq2_xxs) == 66 && sizeof(block_iq2_xs) == 74 &&
              sizeof(block_iq2_s) == 82);
static_assert(QK_K == 256 && sizeof(block_q2_K) == 84 && sizeof(block_q3_K) == 110 &&
              sizeof(block_q4_K) == 144 && sizeof(block_q5_K) == 176 && sizeof(block_q6_K) == 210);

}  // namespace llmlocal::kernels
