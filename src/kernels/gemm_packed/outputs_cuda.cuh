// What becomes of a block's sums: scales, bias, activation, residual.
#pragma once

#include "kernels/cuda/rows_cuda.cuh"
#include "kernels/gemm_packed/gemm_packed_plan_cuda.h"
#include "kernels/gemv/gemv_epilogue_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

using gemv::Epilogue;
using gemv::Format;

/// A thread's rows of weights: four of a tile and the four that lie eight below them. Two threads
/// for each of the block's kTiles have a token, whose outputs they write side by side.
template <int kTiles>
class Outputs {
 public:
  __device__ Outputs(const Plan& plan, int first_tile, int first_token)
      : plan_(plan), first_token_(first_token) {
    const int unit = static_cast<int>(threadIdx.x) % (kTiles * 2);
    tile_ = first_tile + unit / 2;
    row_ = unit / 2 * gemv::kTileRows + unit % 2 * 4;
    for (int half = 0; half < 2; ++half) {
      const int first = row_ % gemv::kTileRows + half * 8;
      at_[half] = plan.w.order.row(tile_, first);
      for (int i = 0; i < 4; ++i) {
        const bool inside = tile_ < plan.w.tiles && at_[half] + i < plan.w.order.rows;
        scales_[half][i] = inside ? row_scale(tile_ * gemv::kTileRows + first + i) : 0.0f;
        bias_[half][i] = inside && plan.args.bias != nullptr ? plan.args.bias[at_[half] + i] : 0.0f;
      }
    }
    width_ = plan.args.epilogue == Epilogue::swiglu ? plan.w.order.rows / 2 : plan.w.order.rows;
  }

  /// Of tokens [first, last) of the block's; sums(token, row) is a float4 of rows row to row + 3 of
  /// the block's, token_scales[token] what PanelArgs::scales is. The loads of kTogether tokens go
  /// out before the first is used.
  template <int kTogether, class Sums>
  __device__ void write(int first, int last, const float* token_scales, Sums&& sums) const {
    if (tile_ >= plan_.w.tiles) return;
    constexpr int kAtOnce = 16;  // tokens of the warps that write, one a tile
#pragma unroll 1
    for (int token = first + static_cast<int>(threadIdx.x) / (kTiles * 2); token < last;
         token += kAtOnce * kTogether) {
      float4 values[kTogether][2];
      float scales[kTogether];
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const int one = min(token + k * kAtOnce, last - 1);
        values[k][0] = sums(one, row_);
        values[k][1] = sums(one, row_ + 8);
        scales[k] = token_scales[one];
      }
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const int one = token + k * kAtOnce;
        if (one < last) finish(first_token_ + one, scales[k], values[k]);
      }
    }
  }

 private:
  __device__ float row_scale(int row) const {
    const float* meta = plan_.w.row_meta;
    switch (plan_.w.format) {
      case Format::int8:
        return meta[row] * plan_.weight_scale;
      case Format::int8_static:
        return meta[2 * row] * plan_.weight_scale;
      case Format::fp8:
        return meta[row] * (plan_.args.operand == Operand::f16 ? 256 : 1);
      default:
        return 1;
    }
  }

  __device__ bool whole(std::int64_t at) const {
    return width_ % 4 == 0 && at + 4 <= width_;
  }

  __device__ void finish(int token, float of_token, const float4 (&sums)[2]) const {
    float values[2][4] = {{sums[0].x, sums[0].y, sums[0].z, sums[0].w},
                          {sums[1].x, sums[1].y, sums[1].z, sums[1].w}};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        values[half][i] = values[half][i] * (of_token * scales_[half][i]) + bias_[half][i];
    }
    if (plan_.args.epilogue == Epilogue::swiglu) {
      float products[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) products[i] = gemv::silu(values[0][i]) * values[1][i];
      put(products, token, at_[0]);
      return;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        values[half][i] = gemv::activated(plan_.args.epilogue, values[half][i]);
      put(values[half], token, at_[half]);
    }
  }

  // To columns `at` to at + 3 of the token's outputs.
  __device__ void put(const float (&values)[4], int token, std::int64_t at) const {
    const Args& args = plan_.args;
    const std::int64_t to = token * width_ + at;
    auto* halves = static_cast<std::uint16_t*>(args.y16);
    if (whole(at)) {
      if (halves != nullptr) {
        *reinterpret_cast<uint2*>(halves + to) = {
            cuda_device::pair_bits(args.bf16, values[0], values[1]),
            cuda_device::pair_bits(args.bf16, values[2], values[3])};
      } else if (args.epilogue == Epilogue::add) {  // where y lies, so that none waits for it
        asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(args.y + to),
                     "f"(values[0]), "f"(values[1]), "f"(values[2]), "f"(values[3])
                     : "memory");
      } else {
        *reinterpret_cast<float4*>(args.y + to) = {values[0], values[1], values[2], values[3]};
      }
      return;
    }
    for (int i = 0; i < 4 && at + i < width_; ++i) {
      if (halves != nullptr) {
        halves[to + i] =
            static_cast<std::uint16_t>(cuda_device::pair_bits(args.bf16, values[i], 0));
      } else {
        args.y[to + i] = values[i] + (args.epilogue == Epilogue::add ? args.y[to + i] : 0.0f);
      }
    }
  }

  const Plan& plan_;
  int first_token_;
  int tile_;
  int row_;             // of the block's: the first of the first four
  std::int64_t at_[2];  // stored rows
  std::int64_t width_;  // of y
  float scales_[2][4];
  float bias_[2][4];
};

}  // namespace plimsoll::kernels::gemm_packed
