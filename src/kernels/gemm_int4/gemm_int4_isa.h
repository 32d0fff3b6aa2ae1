// What the ISA files of gemm_int4 implement. Raw pointers only, since they include this.
//
// Outputs are contiguous in memory (codes[columns/8][outputs]), so lanes are outputs and each x is
// broadcast. A panel of outputs is gone through word row by word row, its sums kept in L1: memory
// is read in one stream of long pieces.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// A panel of consecutive outputs. Pointers are to its first output; strides count elements.
struct Int4Panel {
  const std::int32_t* codes;        // [words, stride]
  const std::uint16_t* scales;      // binary16 [groups, stride]
  const std::int32_t* zeros;        // [groups, stride / 8]
  std::int64_t stride;              // outputs of the whole matrix, a multiple of 8
  std::int64_t outputs;             // of the panel, a multiple of 8
  std::int64_t words;               // columns / 8
  const std::int32_t* group_index;  // [8 words]
};

/// Buffers of a thread: rows of `stride` floats, a multiple of 16.
struct Int4Buffers {
  float* scales;
  float* zeros;  // zero point - 8
  float* sums;   // [kInt4Rows]
  std::int64_t stride;
};

/// Up to kInt4Rows activation rows.
struct Int4Activations {
  const float* x;          // [rows, 8 words]
  const float* word_sums;  // [rows, words]: the sum of the eight x of each word
  std::int64_t rows;
};

inline constexpr std::int64_t kInt4Rows = 8;

struct Int4Kernels {
  /// Row `row` of buffers.scales and buffers.zeros from group `group`.
  void (*prepare)(const Int4Panel& panel, std::int64_t group, std::int64_t row,
                  const Int4Buffers& buffers);
  /// sums[r] += the part of the words [begin, end), all of one group, which is in row 0.
  void (*add_words)(const Int4Panel& panel, const Int4Buffers& buffers, const Int4Activations& x,
                    std::int64_t begin, std::int64_t end);
  /// The same where every column may be of another group; group g is in row g.
  void (*add_mixed_words)(const Int4Panel& panel, const Int4Buffers& buffers,
                          const Int4Activations& x, std::int64_t begin, std::int64_t end);
};

extern const Int4Kernels kInt4Avx2;
extern const Int4Kernels kInt4Avx512;

}  // namespace plimsoll::kernels
