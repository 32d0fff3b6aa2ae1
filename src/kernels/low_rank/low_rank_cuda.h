// What adapters (LoRA, arXiv:2106.09685) add to a product, on a GPU: B (A x), in two kernels for
// all adapters of matrices that lie as one. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::low_rank {

/// Matrices that lie as one, at most.
inline constexpr int kMaxParts = 4;
/// Ranks together, at most: a row of A x lies in shared memory.
inline constexpr int kMaxRanks = 1024;
/// What ranks come in, of a part too: the rest is zero.
inline constexpr int kRankGrain = 4;

/// Outputs [begin, end) are of one matrix, whose adapters have the ranks [rank_begin, rank_end).
struct Part {
  int begin = 0;
  int end = 0;
  int rank_begin = 0;
  int rank_end = 0;
};

/// All pointers are the device's, fp32, 16-byte aligned.
struct Args {
  const float* x = nullptr;  // [rows, columns]
  int rows = 0;
  int columns = 0;  // a multiple of 4
  /// As of gemv::Args.
  const float* norm = nullptr;
  const float* norm_bias = nullptr;
  float epsilon = 0;
  const float* a = nullptr;  // [ranks, columns], of all parts
  const float* b = nullptr;  // [outputs, ranks], of which an output's part has its own ranks
  int ranks = 0;
  int outputs = 0;
  Part parts[kMaxParts];  // in the order of outputs
  int part_count = 0;
  float* inner = nullptr;       // [rows, ranks], for the two kernels between them
  const float* sums = nullptr;  // [rows, outputs]: what is added to, bias and residual included
  /// store: y = sums + B (A x). Others but add: the activation of that; swiglu's gates are the
  /// first half of the outputs.
  gemv::Epilogue epilogue = gemv::Epilogue::store;
  float* y = nullptr;  // [rows, outputs], with swiglu half as wide; may be `sums` without swiglu
  bool dependent = true;
};

/// A row's result depends on no other row.
void run(const Args& args, cudaStream_t stream);

}  // namespace plimsoll::kernels::low_rank
