// What the ISA files of gemm_int8 implement: integer products of packed activations and weight
// rows. Raw pointers only, since they include this.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// sums[n * sums_stride + r] = sum over k of x[r][k] w[n][k], modulo 2^32.
struct Int8ProductArgs {
  const void* x;          // [rows, x_stride], padded with zeros to a multiple of 64 columns
  std::int64_t x_stride;  // elements
  std::int64_t rows;
  const std::int8_t* w;  // [outputs, columns]; -128 may occur
  std::int64_t columns;
  std::int64_t outputs;
  std::int32_t* sums;        // [outputs, sums_stride]
  std::int64_t sums_stride;  // at least rows, rounded up to a multiple of 4 (written beyond rows)
};

/// x is i16. vpmaddwd multiplies 16-bit values: unlike vpmaddubsw it cannot saturate.
void int8_product_avx2(const Int8ProductArgs& args);
/// x is u8 (vpdpbusd multiplies unsigned by signed bytes).
void int8_product_avx512(const Int8ProductArgs& args);

}  // namespace plimsoll::kernels
