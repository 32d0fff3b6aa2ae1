// What becomes of the sums of a product: bias, residual, activation.
#pragma once

#include "kernels/gemv/gemv_plan_cuda.h"

namespace plimsoll::kernels::gemv {

__device__ inline float silu(float x) {
  return x / (1 + __expf(-x));
}

/// By tanh: tanh(u) = 1 - 2 / (1 + exp(2 u)).
__device__ inline float gelu_tanh(float x) {
  const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
  return x / (1 + __expf(-2 * u));
}

__device__ inline float gelu_erf(float x) {
  return 0.5f * x * (1 + erff(x * 0.7071067812f));
}

/// The activation of an epilogue of one operand.
__device__ inline float activated(Epilogue epilogue, float value) {
  if (epilogue == Epilogue::gelu_tanh) return gelu_tanh(value);
  if (epilogue == Epilogue::gelu_erf) return gelu_erf(value);
  return value;
}

/// Rows g and g + 8 of a tile, for one token: where they go. `bias` is read_bias()'s, `before`
/// read_pair()'s.
__device__ inline void write_pair(const Plan& plan, int row0, int row1, int token, float first,
                                  float second, const float2& bias, const float2& before) {
  const Args& args = plan.args;
  const int all = static_cast<int>(plan.w.order.rows);
  first = __fadd_rn(first, bias.x);  // never as one with a product before
  second = __fadd_rn(second, bias.y);
  if (args.epilogue == Epilogue::swiglu) {
    if (row1 < all) args.y[token * (all / 2) + row0] = silu(first) * second;
    return;
  }
  if (row0 < all) args.y[token * all + row0] = before.x + activated(args.epilogue, first);
  if (row1 < all) args.y[token * all + row1] = before.y + activated(args.epilogue, second);
}

/// The rows' bias: comes from memory, and is known before the activations.
__device__ inline float2 read_bias(const Plan& plan, int row0, int row1) {
  const float* bias = plan.args.bias;
  if (bias == nullptr) return {0, 0};
  const int all = static_cast<int>(plan.w.order.rows);
  return {row0 < all ? bias[row0] : 0, row1 < all ? bias[row1] : 0};
}

/// What y holds there before: the residual stream. 0 for the other epilogues.
__device__ inline float2 read_pair(const Plan& plan, int row0, int row1, int token) {
  if (plan.args.epilogue != Epilogue::add) return {0, 0};
  const int all = static_cast<int>(plan.w.order.rows);
  const float* y = plan.args.y + token * all;
  return {row0 < all ? y[row0] : 0, row1 < all ? y[row1] : 0};
}

}  // namespace plimsoll::kernels::gemv
