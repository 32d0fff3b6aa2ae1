// Four-bit weights. nf4, fp4, log4 and their doubly quantised forms: a table in memory would cost a
// look-up a weight or two, and the GPU's rate of look-ups is below what its memory delivers. So
// codes become bytes by permutation (split_levels() in gemv_pack.h): two PRMT for four weights.
// int4 and gptq: codes are bytes after a mask. Products are then int8's; activations are 15-bit
// integers, a scale for each block of 64 columns, which go through the tensor cores as two columns
// of bytes: x = 256 high + low.
//
// Of the eight columns of an operand one row fills two. So four chunks' activations are its
// columns, each chunk's weights are multiplied with all of them, and lane 4g + t keeps what is
// chunk t's: what comes after the tensor cores, and the scales before it, are done once for four
// chunks.
#include "kernels/gemv/gemv_rows_cuda.cuh"

namespace plimsoll::kernels::gemv {

namespace {

using namespace cuda_device;

// The largest 15-bit activation whose two bytes are within s8.
constexpr float kLargest = 127 * 256 + 127;

__device__ inline std::uint32_t permute(std::uint32_t low, std::uint32_t high,
                                        std::uint32_t codes) {
  std::uint32_t bytes;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(low), "r"(high), "r"(codes));
  return bytes;
}

// Activations of a chunk: s8 [places][high, low][64], then scales f32 [places], and of uniform
// codes the sums of the integers f32 [places].
template <bool kUniform>
struct Table4Stage {
  static constexpr int kColumns = 64;
  static constexpr bool kNeedsAll = false;
  static constexpr bool kGathers = kUniform;

  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t scales_bytes(int places) {
    return round_up(static_cast<std::uint32_t>(places) * 4, 16);
  }
  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t activation_bytes(int places) {
    return static_cast<std::uint32_t>(places) * 128 + scales_bytes(places) * (kUniform ? 2 : 1);
  }
  __device__ static void put(const Plan& plan, const Prepared& to, int token, const Row& row,
                             float*) {
    row.visit([&](int c, const float4& v, bool inside) {
      put_four(plan, to, token, c, v, inside, row.lane);
    });
    __syncthreads();
  }

  __device__ static void put_four(const Plan& plan, const Prepared& to, int token, int c,
                                  const float4& v, bool inside, int lane) {
    float largest = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
    // Sixteen lanes hold a block.
    for (int i = 8; i > 0; i /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, i));
    const float scale = largest < 0x1p-100f ? 0.0f : kLargest / largest;
    const std::uint32_t q[4] = {
        integer_bits(__fmul_rn(v.x, scale)), integer_bits(__fmul_rn(v.y, scale)),
        integer_bits(__fmul_rn(v.z, scale)), integer_bits(__fmul_rn(v.w, scale))};
    int sum = 0;
    if constexpr (kUniform) {
      for (const std::uint32_t bits : q) sum += static_cast<int>(bits) - kMagicBits;
      for (int i = 8; i > 0; i /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, i);
    }
    if (!inside) return;
    const std::uint32_t low_bytes = bytes_of<0>(q);
    const std::uint32_t high_bytes = bytes_of<1>({q[0] + 128, q[1] + 128, q[2] + 128, q[3] + 128});
    const int places = plan.places;
    unsigned char* at = to.activations + c / kColumns * activation_bytes(places);
    *reinterpret_cast<std::uint32_t*>(at + token * 128 + c % kColumns) = high_bytes;
    *reinterpret_cast<std::uint32_t*>(at + token * 128 + 64 + c % kColumns) = low_bytes;
    if (lane % 16 != 0) return;
    auto* scales = reinterpret_cast<float*>(at + places * 128);
    scales[token] = largest / kLargest * plan.w.level_unit;
    if constexpr (kUniform) {
      reinterpret_cast<float*>(at + places * 128 + scales_bytes(places))[token] =
          static_cast<float>(sum);
    }
  }
};

// kPlaces: 1, or a multiple of four. Each is two columns of the product. Sums: two chunks' products
// are added, then to the sum so far, whatever kPlaces is.
template <Format kWeights, int kPlaces>
struct Table4 {
  static constexpr Format kFormat = kWeights;
  static constexpr bool kUniform = kWeights == Format::int4;
  static constexpr int kSlices = 8;
  static constexpr int kUnroll = kPlaces == 1 ? 4 : 2;
  static constexpr int kStages = kPlaces == 1 ? 3 : 4;
  static constexpr int kRows = kPlaces;
  static constexpr int kBlocks = (kPlaces + 3) / 4;
  using Stage = Table4Stage<kUniform>;
  using Sum = float;

  __device__ Table4(const Plan& plan, const Prepared& x, int first_chunk, const float* meta,
                    const float* nested, int lane)
      : activations(x.activations),
        meta(reinterpret_cast<const RowScales*>(meta)),
        nested(nested),
        first_chunk(first_chunk),
        columns_at((kPlaces == 1 ? lane / 4 % 2 : lane / 4) * 64 + lane % 4 * 16),
        scales_at(kPlaces * 128 + (kPlaces == 1 ? 0 : lane % 4) * 4),
        lane(lane),
        low{plan.w.low_levels[0], plan.w.low_levels[1]},
        high{plan.w.high_levels[0], plan.w.high_levels[1]} {}

  __device__ void begin_tile(int local) {
    for (auto& block : sums) block[0] = block[1] = 0;
    if constexpr (kFormat == Format::table4_dq) {
      scales0 = meta[local * kTileRows + lane / 4];
      scales1 = meta[local * kTileRows + lane / 4 + 8];
    }
  }

  __device__ float scale_of(std::uint32_t code, int chunk, const RowScales& row) const {
    return fmaf(nested[code], chunk < row.border ? row.first : row.second, row.offset);
  }

  // Scales of rows g and g + 8, and what is taken off their codes.
  struct OfRows {
    float scale0, scale1, zero0, zero1;
  };

  __device__ OfRows of_rows(const unsigned char* scales, int chunk) const {
    if constexpr (kFormat == Format::table4_dq) {
      const std::uint32_t both = reinterpret_cast<const std::uint16_t*>(scales)[lane / 4];
      return {scale_of(both & 0xff, chunk, scales0), scale_of(both >> 8, chunk, scales1), 0, 0};
    } else if constexpr (kFormat == Format::table4) {
      const float2 both = reinterpret_cast<const float2*>(scales)[lane / 4];
      return {both.x, both.y, 0, 0};
    } else {
      const float2 both = __half22float2(reinterpret_cast<const __half2*>(scales)[lane / 4]);
      const std::uint32_t zeros = scales[kTileRows * 2 + lane / 4];
      return {both.x, both.y, static_cast<float>(zeros & 0xf), static_cast<float>(zeros >> 4)};
    }
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char* scales, int chunk,
                           int count) {
    if constexpr (kPlaces == 1) {
      multiply_four(codes, scales, chunk, count);
    } else {
      Products first;
      multiply_one(first, codes, scales, chunk);
      if (count == 2) {
        Products second;
        multiply_one(second, codes + kCodeBytes, scales + scale_bytes(kWeights), chunk + 1);
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) {
          first.of[block].x = __fadd_rn(first.of[block].x, second.of[block].x);
          first.of[block].y = __fadd_rn(first.of[block].y, second.of[block].y);
        }
      }
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) add(block, first.of[block]);
    }
  }

  __device__ void add(int block, const float2& products) {
    sums[block][0] = __fadd_rn(sums[block][0], products.x);
    sums[block][1] = __fadd_rn(sums[block][1], products.y);
  }

  // Of a chunk and rows g and g + 8, for a token each block.
  struct Products {
    float2 of[kBlocks];
  };

  // What integers mean: `x` is the chunk's activations, `p` high and low of both rows.
  __device__ float2 scaled(const std::int32_t (&p)[4], const OfRows& of, const unsigned char* x,
                           int block) const {
    const float of_x = *reinterpret_cast<const float*>(x + scales_at + block * 16);
    float row0 = fmaf(256, __int_as_float(p[0]) - kMagic, __int_as_float(p[1]) - kMagic);
    float row1 = fmaf(256, __int_as_float(p[2]) - kMagic, __int_as_float(p[3]) - kMagic);
    if constexpr (kUniform) {
      const float all = *reinterpret_cast<const float*>(
          x + scales_at + block * 16 + static_cast<int>(Stage::scales_bytes(kPlaces)));
      row0 = fmaf(-of.zero0, all, row0);
      row1 = fmaf(-of.zero1, all, row1);
    }
    return {__fmul_rn(row0, of.scale0 * of_x), __fmul_rn(row1, of.scale1 * of_x)};
  }

  __device__ void multiply_one(Products& products, const unsigned char* codes,
                               const unsigned char* scales, int chunk) const {
    constexpr auto kStride = static_cast<int>(Stage::activation_bytes(kPlaces));
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
    const OfRows of = of_rows(scales, chunk);
    const unsigned char* x = activations + (chunk - first_chunk) * kStride;
    std::int32_t integers[kBlocks][4];
    uint4 values[kBlocks];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
      values[block] = *reinterpret_cast<const uint4*>(x + columns_at + block * 512);
    multiply_bytes<0>(integers, w.x, w.z, values);
    multiply_bytes<1>(integers, w.y, w.w, values);
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
      products.of[block] = scaled(integers[block], of, x, block);
  }

  // Four chunks of one row; at the end of a tile `count`, and weights that are not used.
  __device__ void multiply_four(const unsigned char* codes, const unsigned char* scales, int chunk,
                                int count) {
    static_assert(kUnroll == 4);
    constexpr auto kStride = static_cast<int>(Stage::activation_bytes(kPlaces));
    const unsigned char* x = activations + (chunk - first_chunk) * kStride;
    const uint4 values[1] = {
        *reinterpret_cast<const uint4*>(x + min(lane / 8, count - 1) * kStride + columns_at)};
    std::int32_t integers[kUnroll][1][4];
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      const uint4 w = reinterpret_cast<const uint4*>(codes + i * kCodeBytes)[lane];
      multiply_bytes<0>(integers[i], w.x, w.z, values);
      multiply_bytes<1>(integers[i], w.y, w.w, values);
    }
    const int t = lane % 4;
    const int own = min(t, count - 1);
    std::int32_t p[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::int32_t below = t % 2 == 0 ? integers[0][0][i] : integers[1][0][i];
      const std::int32_t above = t % 2 == 0 ? integers[2][0][i] : integers[3][0][i];
      p[i] = t < 2 ? below : above;
    }
    float2 products =
        scaled(p, of_rows(scales + own * scale_bytes(kWeights), chunk + own), x + own * kStride, 0);
    if (t >= count) products = {0, 0};
    products.x = __fadd_rn(products.x, __shfl_xor_sync(0xffffffffu, products.x, 1));
    products.y = __fadd_rn(products.y, __shfl_xor_sync(0xffffffffu, products.y, 1));
    add(0, products);  // lane 4g's is the sum
    add(0,
        {__shfl_xor_sync(0xffffffffu, products.x, 2), __shfl_xor_sync(0xffffffffu, products.y, 2)});
  }

  // Eight codes a lane of rows g and g + 8.
  template <int kStep>
  __device__ void multiply_bytes(std::int32_t (&products)[kBlocks][4], std::uint32_t row0,
                                 std::uint32_t row1, const uint4 (&values)[kBlocks]) const {
    if constexpr (kUniform) {
      constexpr std::uint32_t kNibbles = 0x0f0f0f0fu;
      const std::uint32_t bytes[4] = {row0 & kNibbles, row1 & kNibbles, row0 >> 4 & kNibbles,
                                      row1 >> 4 & kNibbles};
      add_products<kStep, kStep == 0>(products, bytes, values);
    } else {
      const std::uint32_t turned0 = row0 ^ 0x88888888u;
      const std::uint32_t turned1 = row1 ^ 0x88888888u;
      const std::uint32_t below[4] = {permute(low[0], low[1], row0), permute(low[0], low[1], row1),
                                      permute(low[0], low[1], row0 >> 16),
                                      permute(low[0], low[1], row1 >> 16)};
      const std::uint32_t above[4] = {
          permute(high[0], high[1], turned0), permute(high[0], high[1], turned1),
          permute(high[0], high[1], turned0 >> 16), permute(high[0], high[1], turned1 >> 16)};
      add_products<kStep, kStep == 0>(products, below, values);
      add_products<kStep, false>(products, above, values);
    }
  }

  template <int kStep, bool kFirst>
  __device__ static void add_products(std::int32_t (&products)[kBlocks][4],
                                      const std::uint32_t (&bytes)[4],
                                      const uint4 (&values)[kBlocks]) {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const uint4& v = values[block];
      const std::uint32_t b0 = kStep == 0 ? v.x : v.z;
      const std::uint32_t b1 = kStep == 0 ? v.y : v.w;
      if constexpr (kFirst) {
        mma_s8(products[block], bytes, b0, b1, kMagicBits);
      } else {
        mma_s8(products[block], bytes, b0, b1);
      }
    }
  }

  template <class Put>
  __device__ void each_sum(Put&& put) const {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = block * 4 + lane % 4;
      if (token >= kPlaces) continue;
      put(lane / 4 * kPlaces + token, sums[block][0]);
      put((lane / 4 + 8) * kPlaces + token, sums[block][1]);
    }
  }

  __device__ static float plus(float a, float b) {
    return a + b;
  }
  __device__ static float finish(float sum, int, int, int) {
    return sum;
  }

  const unsigned char* activations;
  const RowScales* meta;
  const float* nested;
  int first_chunk, columns_at, scales_at, lane;  // _at: the lane's, in a chunk's activations
  std::uint32_t low[2], high[2];
  RowScales scales0, scales1;  // of the tile, table4_dq
  float sums[kBlocks][2];
};

template <Format kFormat>
void run_table4(const Plan& plan, cudaStream_t stream) {
  if (one_at_a_time(plan)) return launch_one<Table4<kFormat, 1>>(plan, stream);
  if (plan.args.rows <= 4) return launch_rows<Table4<kFormat, 4>>(plan, stream);
  if (plan.args.rows <= 8) return launch_rows<Table4<kFormat, 8>>(plan, stream);
  return launch_rows<Table4<kFormat, 16>>(plan, stream);
}

template <Format kFormat>
constexpr Family kTable4{run_table4<kFormat>,
                         scratch_bytes_of<Table4Stage<kFormat == Format::int4>>,
                         least_shared_bytes<Table4<kFormat, 1>>};

}  // namespace

Family table4_family(Format format) {
  switch (format) {
    case Format::table4:
      return kTable4<Format::table4>;
    case Format::table4_dq:
      return kTable4<Format::table4_dq>;
    default:
      return kTable4<Format::int4>;
  }
}

}  // namespace plimsoll::kernels::gemv
