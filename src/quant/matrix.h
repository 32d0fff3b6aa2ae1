// A weight matrix in one of the formats that `--weights` names. One struct for all: the public
// stored form (what checkpoints hold and other tools read), from which kernels may repack when
// loading.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/tensor.h"

namespace plimsoll::quant {

enum class WeightFormat : std::uint8_t {
  fp32,
  fp16,
  bf16,  // dense
  int8,
  int8_dynamic,
  int8_static,  // int8.h
  fp8,          // fp8.h
  nf4,
  nf4_dq,
  fp4,
  fp4_dq,
  log4,  // block4.h: 4-bit tables with one scale a block
  int4,
  gptq,  // int4.h: 4-bit uniform with scale and zero a group
};

/// How a Matrix lies in memory. stored: as below, what checkpoints hold and this room reads and
/// writes. panels: rearranged for the kernels, see kernels/panels/panels.h; nothing else reads it.
enum class Layout : std::uint8_t { stored, panels };

/// Linear weights, y = x W^T. Which fields are set depends on the format:
///
///   format            codes                       scales                other
///   fp32 fp16 bf16    the values [rows, columns]  -                     -
///   int8 int8_dynamic i8 [rows, columns]          f32 [rows] absmax     outlier_threshold (int8)
///   int8_static       i8 [rows, columns]          f32 [rows] absmax     input_scale, input_zero
///   fp8               f8_e4m3 [rows, columns]     f32 [rows]            -
///   nf4 fp4 log4      u8 [n/2, 1]                 f32 [n/block]         table
///   nf4_dq fp4_dq     u8 [n/2, 1]                 u8 [n/block]          table, nested_*
///   int4 gptq         i32 [columns/8, rows]       f16 [groups, rows]    zeros, group_index, block
///
/// n = rows * columns, blocks run through the matrix in row-major order without regard to rows
/// (bitsandbytes); two codes a byte, the first in the high nibble. int4 and gptq are the GPTQ v1
/// checkpoint layout: eight codes an i32 along the columns, the lowest nibble first.
struct Matrix {
  WeightFormat format = WeightFormat::fp32;
  Layout layout = Layout::stored;
  std::int64_t rows = 0;     // out features
  std::int64_t columns = 0;  // in features

  Tensor codes;
  Tensor scales;
  Tensor table;             // f32 [16]: the levels, in units of the block's scale
  Tensor nested_scales;     // f32 [ceil(blocks / nested_block)]: absmax of each block of scales
  Tensor nested_table;      // f32 [256]: the 8-bit dynamic map
  float nested_offset = 0;  // mean of the scales, taken off before they are encoded
  Tensor zeros;             // i32 [groups, rows/8]: zero points minus one, packed like the codes
  Tensor group_index;       // i32 [columns]: each column's group
  int block = 0;            // elements a scale: 64 (4-bit tables), the group size (int4, gptq)
  int nested_block = 0;     // scales a nested scale: 256

  float input_scale = 0;  // int8_static: x ~ input_scale * (q - input_zero)
  std::int32_t input_zero = 0;
  float outlier_threshold = 0;  // int8: columns with |x| >= this go the 16-bit way; 0: none do
  bool outliers_by_batch =
      false;  // int8: a column is an outlier for all rows as soon as it is for one
  DType source_dtype = DType::f16;  // what the weights were rounded to before encoding
};

/// "fp32", "nf4-dq", ... as the user types them.
std::string_view format_name(WeightFormat format);
/// InputError listing the known names otherwise. `where` is what to blame ("--weights").
WeightFormat format_from_name(std::string_view name, std::string_view where);
std::span<const WeightFormat> all_formats();
bool is_dense(WeightFormat format);
/// fp32 -> f32 and so on; InternalError for a quantised format.
DType dense_dtype(WeightFormat format);
WeightFormat dense_format(DType dtype);

/// Bytes of all that must be in memory to multiply: codes, scales and statistics.
std::int64_t matrix_bytes(const Matrix& matrix);
/// The same as bits a weight, statistics included.
double bits_per_weight(const Matrix& matrix);

/// Checks all that decoding and the kernels rely on: each tensor's dtype and shape, block sizes,
/// group indices in range, finite statistics. InputError naming `name` and the field: call it on
/// every matrix that comes from a file.
void check_matrix(const Matrix& matrix, std::string_view name);

}  // namespace plimsoll::quant
