// int8 weights and activations (quant/int8.h): exact integer sums on the tensor cores. LLM.int8()'s
// outlier columns are multiplied in 16 bits as their weights pass by: no second reading, no list of
// columns, and no word of it to the host.
#include "kernels/gemv/gemv_rows_cuda.cuh"

namespace plimsoll::kernels::gemv {

namespace {

using namespace cuda_device;

// Magnitudes below it are taken for zeros, as quant/int8.cc does.
constexpr float kLeastAbsmax = 0x1p-120f;

enum class Kind : std::uint8_t {
  plain,     // one absmax a token
  outliers,  // the same of what is below the threshold, and outliers in 16 bits
  fixed,     // int8_static: one scale and zero point for all
};

// Activations of a chunk: codes s8 [places][32]; with outliers also a byte [places], not 0 where
// the token has one among these columns, and apart from them, where it has, the outliers' values
// [places][32] in 16 bits, 0 for other columns.
template <Kind kKind>
struct Int8Stage {
  static constexpr int kColumns = 32;
  static constexpr bool kNeedsAll = kKind != Kind::fixed;
  static constexpr bool kGathers = false;

  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t activation_bytes(int places) {
    const auto count = static_cast<std::uint32_t>(places);
    return count * 32 + (kKind == Kind::outliers ? round_up(count, 16) : 0);
  }
  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t outlier_bytes(int places) {
    return kKind == Kind::outliers ? static_cast<std::uint32_t>(places) * 64 : 0;
  }

  __device__ static void put(const Plan& plan, const Prepared& to, int token, const Row& row,
                             float* parts) {
    float factor = 0;
    if constexpr (kKind != Kind::fixed) {
      const float limit = kKind == Kind::outliers ? plan.w.outlier_threshold : INFINITY;
      float largest = 0;
      row.visit_own([&](int, const float4& v, bool) {
        for (const float value : {v.x, v.y, v.z, v.w}) {
          const float magnitude = fabsf(value);
          largest = fmaxf(largest, magnitude < limit ? magnitude : 0.0f);
        }
      });
      largest = across_block<true>(largest, parts, row.warp, row.lane);
      if (largest < kLeastAbsmax) largest = 0;
      if (threadIdx.x == 0) to.absmax[token] = largest;  // read after a barrier
      factor = largest > 0 ? __fdiv_rn(127.0f, largest) : 0.0f;
    }
    row.visit([&](int c, const float4& v, bool inside) {
      put_four(plan, to, token, c, {v.x, v.y, v.z, v.w}, inside, factor, row.lane);
    });
  }

  struct Four {
    float v[4];
  };

  __device__ static std::uint32_t code_of(const Plan& plan, float x, float factor) {
    if constexpr (kKind == Kind::fixed) {
      const float steps = fminf(fmaxf(__fdiv_rn(x, plan.w.input_scale), -1024.0f), 1024.0f);
      const int code = __float2int_rn(steps) + plan.w.input_zero;
      return static_cast<std::uint32_t>(min(max(code, -128), 127)) & 0xff;
    }
    return static_cast<std::uint32_t>(__float2int_rn(x * factor)) & 0xff;
  }

  __device__ static void put_four(const Plan& plan, const Prepared& to, int token, int c,
                                  const Four& x, bool inside, float factor, int lane) {
    const int chunk = c / kColumns;
    unsigned char* at = to.activations + chunk * activation_bytes(plan.places);
    std::uint32_t codes = 0;
    float out[4] = {};
    bool any = false;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float kept = x.v[i];
      if (kKind == Kind::outliers && fabsf(kept) >= plan.w.outlier_threshold) {
        out[i] = kept;
        kept = 0;
        any = true;
      }
      codes |= code_of(plan, kept, factor) << (8 * i);
    }
    if (inside) *reinterpret_cast<std::uint32_t*>(at + token * 32 + c % kColumns) = codes;
    if constexpr (kKind == Kind::outliers) {
      // Eight lanes have a chunk.
      const bool chunk_has = (__ballot_sync(0xffffffffu, any) >> (lane & 24) & 0xff) != 0;
      if (!inside) return;
      if (lane % 8 == 0) at[plan.places * 32 + token] = chunk_has ? 1 : 0;
      if (!chunk_has) return;
      unsigned char* values = to.outliers + (chunk * plan.places + token) * 64 + c % kColumns * 2;
      *reinterpret_cast<uint2*>(values) =
          plan.w.source_bf16 ? uint2{bf162_bits(out[0], out[1]), bf162_bits(out[2], out[3])}
                             : uint2{half2_bits(out[0], out[1]), half2_bits(out[2], out[3])};
    }
  }
};

struct Both {
  std::int32_t whole;
  float outliers;
};

// kPlaces: 1, or a multiple of eight.
template <Kind kKind, int kPlaces>
struct Int8 {
  static constexpr Format kFormat = kKind == Kind::fixed ? Format::int8_static : Format::int8;
  static constexpr int kSlices = 16;
  static constexpr int kUnroll = kPlaces == 1 ? 4 : 2;
  static constexpr int kStages = kPlaces == 1 ? 3 : 4;
  static constexpr int kRows = kPlaces;
  static constexpr int kBlocks = (kPlaces + 7) / 8;
  static constexpr bool kOutliers = kKind == Kind::outliers;
  using Stage = Int8Stage<kKind>;
  using Sum = std::conditional_t<kOutliers, Both, std::int32_t>;

  __device__ Int8(const Plan& plan, const Prepared& x, int first_chunk, const float* meta,
                  const float*, int lane)
      : x(x), plan(plan), meta(meta), first_chunk(first_chunk), rows(plan.args.rows), lane(lane) {}

  __device__ void begin_tile(int local) {
    tile = local;
    for (int block = 0; block < kBlocks; ++block) {
      for (int i = 0; i < 4; ++i) {
        sums[block][i] = 0;
        if constexpr (kOutliers) outlier_sums[block][i] = 0;
      }
    }
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char*, int chunk) {
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
    const std::uint32_t a[4] = {w.x, w.z, w.y, w.w};
    constexpr auto kStride = static_cast<int>(Stage::activation_bytes(kPlaces));
    const unsigned char* at = x.activations + (chunk - first_chunk) * kStride;
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = min(block * 8 + lane / 4, kPlaces - 1);
      const uint2 v = *reinterpret_cast<const uint2*>(at + token * 32 + lane % 4 * 8);
      mma_s8(sums[block], a, v.x, v.y);
    }
    if constexpr (kOutliers) {
      const std::uint32_t which =
          __ballot_sync(0xffffffffu, lane < rows && at[kPlaces * 32 + lane] != 0);
      if (which != 0) multiply_outliers(w, chunk, which);
    }
  }

  // Two codes, dequantised and rounded to 16 bits.
  __device__ std::uint32_t weights16(std::uint32_t word, int byte, float scale) const {
    const auto first = static_cast<float>(static_cast<std::int8_t>(word >> (8 * byte)));
    const auto second = static_cast<float>(static_cast<std::int8_t>(word >> (8 * byte + 8)));
    const float a = first * scale * plan.weight_scale;
    const float b = second * scale * plan.weight_scale;
    return plan.w.source_bf16 ? bf162_bits(a, b) : half2_bits(a, b);
  }

  // Of the tokens whose bits are set in `which`.
  __device__ void multiply_outliers(const uint4& w, int chunk, std::uint32_t which) {
    const float scale0 = meta[tile * kTileRows + lane / 4];
    const float scale1 = meta[tile * kTileRows + lane / 4 + 8];
    const std::uint32_t a[2][4] = {{weights16(w.x, 0, scale0), weights16(w.z, 0, scale1),
                                    weights16(w.x, 2, scale0), weights16(w.z, 2, scale1)},
                                   {weights16(w.y, 0, scale0), weights16(w.w, 0, scale1),
                                    weights16(w.y, 2, scale0), weights16(w.w, 2, scale1)}};
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = block * 8 + lane / 4;
      uint4 v{0, 0, 0, 0};
      if (which >> token & 1) {
        v = *reinterpret_cast<const uint4*>(x.outliers + (chunk * kPlaces + token) * 64 +
                                            lane % 4 * 16);
      }
      // (The places of tokens without are not written.)
      if (plan.w.source_bf16) {
        mma_bf16(outlier_sums[block], a[0], v.x, v.y);
        mma_bf16(outlier_sums[block], a[1], v.z, v.w);
      } else {
        mma_f16(outlier_sums[block], a[0], v.x, v.y);
        mma_f16(outlier_sums[block], a[1], v.z, v.w);
      }
    }
  }

  template <class Put>
  __device__ void each_sum(Put&& put) const {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = block * 8 + lane % 4 * 2 + i % 2;
        if (token >= kPlaces) continue;
        const int place = (lane / 4 + i / 2 * 8) * kPlaces + token;
        if constexpr (kOutliers) {
          put(place, {sums[block][i], outlier_sums[block][i]});
        } else {
          put(place, sums[block][i]);
        }
      }
    }
  }

  __device__ static Sum plus(const Sum& a, const Sum& b) {
    if constexpr (kOutliers) {
      return {a.whole + b.whole, a.outliers + b.outliers};
    } else {
      return a + b;
    }
  }

  __device__ float finish(const Sum& sum, int local, int row, int token) const {
    const int at = local * kTileRows + row;
    if constexpr (kKind == Kind::fixed) {
      const std::int32_t whole = sum - plan.w.input_zero * __float_as_int(meta[at * 2 + 1]);
      return static_cast<float>(whole) * plan.w.input_scale * (meta[at * 2] * plan.weight_scale);
    } else if constexpr (kOutliers) {
      return __fadd_rn(scaled(sum.whole, at, token), sum.outliers);
    } else {
      return scaled(sum, at, token);
    }
  }

  __device__ float scaled(std::int32_t sum, int at, int token) const {
    return static_cast<float>(sum) * x.absmax[token] * meta[at] * plan.product_scale;
  }

  const Prepared x;
  const Plan& plan;
  const float* meta;
  int first_chunk, rows, lane;
  int tile = 0;  // of the block
  std::int32_t sums[kBlocks][4];
  float outlier_sums[kOutliers ? kBlocks : 1][4];
};

template <Kind kKind>
void run_int8(const Plan& plan, cudaStream_t stream) {
  if (one_at_a_time(plan)) return launch_one<Int8<kKind, 1>>(plan, stream);
  return plan.args.rows <= 8 ? launch_rows<Int8<kKind, 8>>(plan, stream)
                             : launch_rows<Int8<kKind, 16>>(plan, stream);
}

template <Kind kKind>
constexpr Family kInt8{run_int8<kKind>, scratch_bytes_of<Int8Stage<kKind>>};

}  // namespace

Family int8_family(Format format, bool outliers) {
  if (format == Format::int8_static) return kInt8<Kind::fixed>;
  return outliers ? kInt8<Kind::outliers> : kInt8<Kind::plain>;
}

}  // namespace plimsoll::kernels::gemv
