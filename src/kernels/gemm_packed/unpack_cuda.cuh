// Codes of packed weights as the tensor cores' operand A, in registers: a lane's 16 bytes of a
// chunk (gemv_layout.h) are its part of one to four products' fragments, in the order of columns of
// panel_column().
#pragma once

#include "kernels/cuda/device_cuda.cuh"
#include "kernels/gemm_packed/panels_cuda.h"

namespace plimsoll::kernels::gemm_packed {

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

__device__ inline std::uint32_t less(std::uint32_t pair, std::uint32_t by) {
  const __half2 difference =
      __hsub2(*reinterpret_cast<const __half2*>(&pair), *reinterpret_cast<const __half2*>(&by));
  return *reinterpret_cast<const std::uint32_t*>(&difference);
}

/// f16, bf16; int8 and fp8 in 8 bits: codes are the operand. (Byte formats in 16 bits and int4 are
/// specialised below; 4-bit tables have a kernel of their own.)
template <Format kFormat, Operand kOperand>
struct Unpack {
  static constexpr int kChunks = 4;  // of a block of columns

  template <int kStride = gemv::kCodeBytes, class Ready>
  __device__ static void block(std::uint32_t codes, std::uint32_t, int lane, Fragments& a,
                               Ready&& ready) {
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
  __device__ static void block(std::uint32_t codes, std::uint32_t, int lane, Fragments& a,
                               Ready&& ready) {
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

/// int4, gptq: (code - zero point) * scale, the difference exact.
template <>
struct Unpack<Format::int4, Operand::f16> {
  static constexpr int kChunks = 1;

  template <class Ready>
  __device__ static void block(std::uint32_t codes, std::uint32_t scales, int lane, Fragments& a,
                               Ready&& ready) {
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
