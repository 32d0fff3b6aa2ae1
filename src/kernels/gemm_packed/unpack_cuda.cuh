// Codes of packed weights as the tensor cores' operand A, in registers: a lane's 16 bytes of a
// chunk (gemv_layout.h) are its part of one to four products' fragments, in the order of columns of
// panel_column().
#pragma once

#include "kernels/cuda/device_cuda.cuh"
#include "kernels/gemm_packed/panels_cuda.h"

namespace plimsoll::kernels::gemm_packed {

using gemv::DeviceWeights;
using gemv::Format;

/// PRMT: four bytes out of eight. __byte_perm() does not have the mode in which a selector's upper
/// bit asks for the byte's sign.
__device__ inline std::uint32_t permute_bytes(std::uint32_t low, std::uint32_t high,
                                              std::uint32_t selectors) {
  std::uint32_t bytes;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(low), "r"(high), "r"(selectors));
  return bytes;
}

/// `address` is one of shared memory.
__device__ inline uint4 load_shared(std::uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address));
  return v;
}
__device__ inline std::uint32_t load_shared_word(std::uint32_t address) {
  std::uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address));
  return v;
}
__device__ inline std::uint32_t load_shared_half(std::uint32_t address) {
  std::uint16_t v;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(address));
  return v;
}

/// Fragments of one block of columns: four products. block() writes them and calls ready(step)
/// after each. Byte formats' chunks may lie kStride bytes from each other.
using Fragments = std::uint32_t[4][4];

__device__ inline std::uint32_t times(std::uint32_t pair, std::uint32_t scale) {
  const __half2 product =
      __hmul2(*reinterpret_cast<const __half2*>(&pair), *reinterpret_cast<const __half2*>(&scale));
  return *reinterpret_cast<const std::uint32_t*>(&product);
}

/// pair * scale + scale, rounded once.
__device__ inline std::uint32_t times_and_more(std::uint32_t pair, std::uint32_t scale) {
  const __half2 by = *reinterpret_cast<const __half2*>(&scale);
  const __half2 sum = __hfma2(*reinterpret_cast<const __half2*>(&pair), by, by);
  return *reinterpret_cast<const std::uint32_t*>(&sum);
}

__device__ inline std::uint32_t less(std::uint32_t pair, std::uint32_t by) {
  const __half2 difference =
      __hsub2(*reinterpret_cast<const __half2*>(&pair), *reinterpret_cast<const __half2*>(&by));
  return *reinterpret_cast<const std::uint32_t*>(&difference);
}

/// f16, bf16; int8 and fp8 in 8 bits: codes are the operand. (Byte formats in 16 bits and 4-bit
/// formats are specialised below.)
template <Format kFormat, Operand kOperand>
struct Unpack {
  static constexpr int kChunks = 4;  // of a block of columns
  __device__ Unpack(const DeviceWeights&, int, int, const float*) {}

  template <int kStride = gemv::kCodeBytes, class Ready>
  __device__ void block(std::uint32_t codes, std::uint32_t, int, int lane, Fragments& a,
                        Ready&& ready) const {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint4 w = load_shared(codes + step * kStride + lane * 16);
      a[step][0] = w.x;
      a[step][1] = w.z;
      a[step][2] = w.y;
      a[step][3] = w.w;
      ready(step);
    }
  }
};

/// int8 and fp8 as f16; a row's scale comes after the product. e4m3: f16 / 256, by two shifts.
template <Format kFormat>
requires(kFormat == Format::int8 || kFormat == Format::int8_static ||
         kFormat == Format::fp8) struct Unpack<kFormat, Operand::f16> {
  static constexpr int kChunks = 2;
  __device__ Unpack(const DeviceWeights&, int, int, const float*) {}

  // Two codes, bytes kFirst and kFirst + 1.
  template <int kFirst>
  __device__ static std::uint32_t pair(std::uint32_t codes) {
    if constexpr (kFormat == Format::fp8) {
      const std::uint32_t high = permute_bytes(codes, 0, kFirst == 0 ? 0x1404 : 0x3424);
      return (high & 0x80008000u) | ((high & 0x7f007f00u) >> 1);
    } else {  // `codes` are 128 more: 1024 + 128 + code as f16
      return less(permute_bytes(codes, 0x64646464u, kFirst == 0 ? 0x4140 : 0x4342), 0x64806480u);
    }
  }

  template <int kStride = gemv::kCodeBytes, class Ready>
  __device__ void block(std::uint32_t codes, std::uint32_t, int, int lane, Fragments& a,
                        Ready&& ready) const {
    constexpr std::uint32_t kTurn = kFormat == Format::fp8 ? 0 : 0x80808080u;
#pragma unroll
    for (int chunk = 0; chunk < 2; ++chunk) {
      const uint4 w = load_shared(codes + chunk * kStride + lane * 16);
      const std::uint32_t words[4] = {w.x ^ kTurn, w.z ^ kTurn, w.y ^ kTurn, w.w ^ kTurn};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        auto& of = a[chunk * 2 + i / 2];
        of[i % 2] = pair<0>(words[i]);
        of[2 + i % 2] = pair<2>(words[i]);
        if (i % 2 != 0) ready(chunk * 2 + i / 2);
      }
    }
  }
};

/// 4-bit tables as f16 by byte permutations. A permutation takes four bytes out of eight by four
/// 4-bit selectors, whose upper bit asks for the byte's sign instead: 0 for bytes below 128. So
/// with codes as selectors and tables below 128, the first eight levels come out of one and the
/// others, by turned selectors, out of another, and the two are put together by OR. Twice that:
/// seven bits after the sign, and seven of the lower eight. The sign is the same for all, since the
/// table holds level - largest level, which is between -2 and 0 times the largest; what was taken
/// off comes back as the addend when the scale is multiplied. So levels are rounded to 2^-10 of the
/// largest, 0 not at all.
template <Format kFormat>
requires(kFormat == Format::table4 ||
         kFormat == Format::table4_dq) struct Unpack<kFormat, Operand::f16> {
  static constexpr int kChunks = 1;

  __device__ Unpack(const DeviceWeights& w, int tile, int lane, const float* nested)
      : nested(nested) {
    for (int i = 0; i < 16; ++i) largest = fmaxf(largest, fabsf(w.levels[i]));
    const float inverse = largest > 0 ? 1 / largest : 0.0f;
    for (int half = 0; half < 2; ++half) {
      for (int word = 0; word < 2; ++word) {
        high[half][word] = low[half][word] = 0;
        for (int i = 0; i < 4; ++i) {
          const float level = w.levels[half * 8 + word * 4 + i] * inverse;
          const std::uint32_t bits = (__half_as_ushort(__float2half_rn(1 - level)) + 1u) & ~1u;
          high[half][word] |= bits >> 8 << (8 * i);
          low[half][word] |= (bits & 0xff) >> 1 << (8 * i);
        }
      }
    }
    if constexpr (kFormat == Format::table4_dq) {
      const auto* rows =
          reinterpret_cast<const gemv::RowScales*>(w.row_meta) + tile * gemv::kTileRows + lane / 4;
      if (tile < w.tiles) {
        row0 = rows[0];
        row1 = rows[8];
      }
    }
  }

  template <class Ready>
  __device__ void block(std::uint32_t codes, std::uint32_t scales, int chunk, int lane,
                        Fragments& a, Ready&& ready) const {
    const uint4 w = load_shared(codes + lane * 16);
    float scale0 = 0;
    float scale1 = 0;
    if constexpr (kFormat == Format::table4_dq) {
      const std::uint32_t both = load_shared_half(scales + lane / 4 * 2);
      scale0 =
          fmaf(nested[both & 0xff], chunk < row0.border ? row0.first : row0.second, row0.offset);
      scale1 = fmaf(nested[both >> 8], chunk < row1.border ? row1.first : row1.second, row1.offset);
    } else {
      scale0 = __uint_as_float(load_shared_word(scales + lane / 4 * 8));
      scale1 = __uint_as_float(load_shared_word(scales + lane / 4 * 8 + 4));
    }
    const std::uint32_t s0 = cuda_device::half2_bits(scale0 * largest, scale0 * largest);
    const std::uint32_t s1 = cuda_device::half2_bits(scale1 * largest, scale1 * largest);
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      four(a[step][0], a[step][2], step < 2 ? w.x : w.y, step % 2, s0);
      four(a[step][1], a[step][3], step < 2 ? w.z : w.w, step % 2, s1);
      ready(step);
    }
  }

  // Codes 0, 4 and 1, 5 of a word, or (`second`) 2, 6 and 3, 7.
  __device__ void four(std::uint32_t& a, std::uint32_t& b, std::uint32_t w, int second,
                       std::uint32_t scale) const {
    const std::uint32_t codes = permute_bytes(w, 0, second != 0 ? 0x4431 : 0x4420);
    const std::uint32_t h = levels(high, codes) | 0x80808080u;
    const std::uint32_t l = levels(low, codes) << 1;
    a = times_and_more(permute_bytes(l, h, 0x6240), scale);
    b = times_and_more(permute_bytes(l, h, 0x7351), scale);
  }

  __device__ static std::uint32_t levels(const std::uint32_t (&table)[2][2], std::uint32_t codes) {
    return permute_bytes(table[0][0], table[0][1], codes) |
           permute_bytes(table[1][0], table[1][1], codes ^ 0x8888u);
  }

  std::uint32_t high[2][2], low[2][2];  // of codes below 8, from 8 on
  float largest = 0;                    // level
  const float* nested;
  gemv::RowScales row0{}, row1{};
};

/// int4, gptq: (code - zero point) * scale, the difference exact.
template <>
struct Unpack<Format::int4, Operand::f16> {
  static constexpr int kChunks = 1;
  __device__ Unpack(const DeviceWeights&, int, int, const float*) {}

  template <class Ready>
  __device__ void block(std::uint32_t codes, std::uint32_t scales, int, int lane, Fragments& a,
                        Ready&& ready) const {
    const uint4 w = load_shared(codes + lane * 16);
    const std::uint32_t both = load_shared_word(scales + lane / 4 * 4);
    const std::uint32_t pair = load_shared_half(scales + gemv::kTileRows * 2 + lane / 8 * 2);
    const std::uint32_t zeros = pair >> lane / 4 % 2 * 8 & 0xff;
    const std::uint32_t s0 = permute_bytes(both, 0, 0x1010);
    const std::uint32_t s1 = permute_bytes(both, 0, 0x3232);
    const std::uint32_t z0 = (zeros & 0xf) * 0x10001u | 0x64006400u;
    const std::uint32_t z1 = (zeros >> 4) * 0x10001u | 0x64006400u;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const int shift = step % 2 * 4;
      const std::uint32_t first = (step < 2 ? w.x : w.y) >> shift;
      const std::uint32_t second = (step < 2 ? w.z : w.w) >> shift;
      a[step][0] = pair_of(first, z0, s0);
      a[step][1] = pair_of(second, z1, s1);
      a[step][2] = pair_of(first >> 8, z0, s0);
      a[step][3] = pair_of(second >> 8, z1, s1);
      ready(step);
    }
  }

  // Codes in bits 0 to 3 and 16 to 19.
  __device__ static std::uint32_t pair_of(std::uint32_t codes, std::uint32_t zero,
                                          std::uint32_t scale) {
    return times(less((codes & 0x000f000fu) | 0x64006400u, zero), scale);
  }
};

}  // namespace plimsoll::kernels::gemm_packed
