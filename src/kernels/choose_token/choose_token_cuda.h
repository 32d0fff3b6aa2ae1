// The next token of each row from its logits, on a GPU, and the step forward, so that a captured
// graph can be replayed without the host. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace plimsoll::kernels {

inline constexpr std::int64_t kMaxChooseRows = 4096;

/// All pointers are addresses on the device; `chosen` may be the host's memory mapped there.
struct DeviceChooseArgs {
  const float* logits = nullptr;  // row r's [vocabulary] at logits + r * stride
  std::int64_t stride = 0;
  std::int64_t rows = 0;  // up to kMaxChooseRows
  std::int64_t vocabulary = 0;
  /// [rows]: 0 (or nullptr for all) takes the largest logit, of equal ones the lower id. Above 0
  /// the softmax of logits / temperature is sampled from (Gumbel-max with Philox 4x32-10 numbers of
  /// seeds[r], the row's position and the id): the same seed and logits give the same token in
  /// every batch.
  const float* temperatures = nullptr;
  const std::uint64_t* seeds = nullptr;  // [rows]; needed with temperatures
  /// [rows]: the token; -1 where a logit is not finite.
  std::int32_t* ids = nullptr;
  std::int32_t* positions = nullptr;  // [rows]: one more afterwards; nullptr: none to advance
  /// The step's tokens for a host that reads them late: chosen[step % chosen_steps, row] = id, and
  /// then step becomes one more. nullptr: none.
  std::int32_t* chosen = nullptr;  // [chosen_steps, rows]
  std::int32_t chosen_steps = 0;
  std::uint32_t* step = nullptr;
  /// choose_token_scratch() bytes, zero before the first use; left ready for the next, of no more
  /// rows.
  std::byte* scratch = nullptr;
  bool dependent = true;
};

std::size_t choose_token_scratch(std::int64_t rows);

void choose_token(const DeviceChooseArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
