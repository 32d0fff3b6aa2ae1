// int8 weights and activations (quant/int8.h): exact integer sums on the tensor cores. LLM.int8()'s
// outliers are integers of 23 bits with a scale of their own, which go through the same products as
// three columns of bytes, x = 65536 high + 256 middle + low: of the eight columns that an operand
// has one row takes one, so that they cost no instruction, however many there are. No second
// reading of weights, no list of columns, and no word of it to the host.
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

// What the largest outlier becomes: with a rounding error its high byte is still within s8.
constexpr float kLargestOutlier = 127 << 16;

// Activations of a chunk: codes s8 [places][32]. With outliers, of one place also their bytes s8
// [high, middle, low][32], 0 for other columns: zeroed before, written where there is one. Of
// several places a byte [places], not 0 where the token has an outlier among these columns, and
// apart from them, where it has, the outliers' bytes s8 [places][high, middle, low][32].
// Prepared::scales of a token: absmax of the codes, unit of the outliers.
template <Kind kKind>
struct Int8Stage {
  static constexpr int kColumns = 32;
  static constexpr bool kNeedsAll = kKind != Kind::fixed;
  static constexpr bool kGathers = false;
  static constexpr bool kZeroed = kKind == Kind::outliers;

  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t activation_bytes(int places) {
    const auto count = static_cast<std::uint32_t>(places);
    if (kKind != Kind::outliers) return count * 32;
    return places == 1 ? 128 : count * 32 + round_up(count, 16);
  }
  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t outlier_bytes(int places) {
    return kKind == Kind::outliers && places > 1 ? static_cast<std::uint32_t>(places) * 96 : 0;
  }

  // What codes and outliers are multiplied with, and from which magnitude on they are outliers.
  struct Factors {
    float code, outlier, limit;
  };

  __device__ static void put(const Plan& plan, const Prepared& to, int token, const Row& row,
                             float* parts) {
    Factors factors{};
    if constexpr (kKind != Kind::fixed) {
      const float limit = kKind == Kind::outliers ? plan.w.outlier_threshold : INFINITY;
      float2 largest{0, 0};  // below the limit, of all
      row.visit_own([&](int, const float4& v, bool) {
        for (const float value : {v.x, v.y, v.z, v.w}) {
          const float magnitude = fabsf(value);
          largest.x = fmaxf(largest.x, magnitude < limit ? magnitude : 0.0f);
          if (kKind == Kind::outliers) largest.y = fmaxf(largest.y, magnitude);
        }
      });
      if constexpr (kKind == Kind::outliers) {
        largest = largest_of_block(largest, reinterpret_cast<float2*>(parts), row.warp, row.lane);
        factors.limit = largest.y >= limit ? limit : INFINITY;
        largest.y = rounded(plan, largest.y);
        if (largest.y >= limit && largest.y >= kLeastAbsmax)
          factors.outlier = kLargestOutlier / largest.y;
      } else {
        largest.x = across_block<true>(largest.x, parts, row.warp, row.lane);
      }
      if (largest.x < kLeastAbsmax) largest.x = 0;
      if (threadIdx.x == 0) {  // read after a barrier
        to.scales[2 * token] = largest.x;
        to.scales[2 * token + 1] = largest.y * (1 / kLargestOutlier);
      }
      factors.code = largest.x > 0 ? __fdiv_rn(127.0f, largest.x) : 0.0f;
    }
    row.visit([&](int c, const float4& v, bool inside) {
      put_four(plan, to, token, c, {v.x, v.y, v.z, v.w}, inside, factors, row.lane);
    });
  }

  struct Four {
    float v[4];
  };

  // An outlier in the 16 bits of what was quantised.
  __device__ static float rounded(const Plan& plan, float x) {
    if (plan.w.source_f32) return x;
    if (plan.w.source_bf16) return __bfloat162float(__float2bfloat16_rn(x));
    return __half2float(__float2half_rn(fminf(fmaxf(x, -65504.0f), 65504.0f)));
  }

  // In the lowest byte.
  __device__ static std::uint32_t code_of(const Plan& plan, float x, float factor) {
    if constexpr (kKind == Kind::fixed) {
      const float steps = fminf(fmaxf(__fdiv_rn(x, plan.w.input_scale), -1024.0f), 1024.0f);
      const int code = __float2int_rn(steps) + plan.w.input_zero;
      return static_cast<std::uint32_t>(min(max(code, -128), 127));
    }
    return integer_bits(__fmul_rn(x, factor));
  }

  __device__ static void put_four(const Plan& plan, const Prepared& to, int token, int c,
                                  const Four& x, bool inside, const Factors& factors, int lane) {
    const int chunk = c / kColumns;
    const int column = c % kColumns;
    unsigned char* at = to.activations + chunk * activation_bytes(plan.places);
    std::uint32_t codes[4];
    unsigned outliers = 0;  // a bit each
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool out = kKind == Kind::outliers && fabsf(x.v[i]) >= factors.limit;
      codes[i] = code_of(plan, out ? 0 : x.v[i], factors.code);
      if (out) outliers |= 1u << i;
    }
    if (inside) *reinterpret_cast<std::uint32_t*>(at + token * 32 + column) = bytes_of<0>(codes);
    if constexpr (kKind == Kind::outliers) {
      unsigned char* bytes = at + 32 + column;
      if (plan.places > 1) {
        // Eight lanes have a chunk.
        const unsigned lanes = __ballot_sync(0xffffffffu, outliers != 0) >> (lane & 24) & 0xff;
        if (!inside) return;
        if (lane % 8 == 0) at[plan.places * 32 + token] = lanes != 0 ? 1 : 0;
        if (lanes == 0) return;
        bytes = to.outliers + (chunk * plan.places + token) * 96 + column;
#pragma unroll
        for (int i = 0; i < 3; ++i) *reinterpret_cast<std::uint32_t*>(bytes + i * 32) = 0;
      }
      put_outliers(plan, x, outliers, factors.outlier, bytes);
    }
  }

 private:
  // Bytes high, middle and low of those of four values whose bits are set. A loop, since there are
  // few, and code that is run once comes from memory.
  __device__ static void put_outliers(const Plan& plan, const Four& x, unsigned which, float factor,
                                      unsigned char* to) {
#pragma unroll 1
    for (; which != 0; which &= which - 1) {
      const int i = __ffs(static_cast<int>(which)) - 1;
      const float value = i < 2 ? (i == 0 ? x.v[0] : x.v[1]) : (i == 2 ? x.v[2] : x.v[3]);
      const int whole = __float2int_rn(rounded(plan, value) * factor);
      to[i] = static_cast<unsigned char>((whole + 0x8080) >> 16);
      to[i + 32] = static_cast<unsigned char>((whole + 0x80) >> 8);
      to[i + 64] = static_cast<unsigned char>(whole);
    }
  }

  // As across_block().
  __device__ static float2 largest_of_block(float2 value, float2* parts, int warp, int lane) {
    value = {warp_max(value.x), warp_max(value.y)};
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    value = parts[lane % kWarps];
    for (int i = kWarps / 2; i > 0; i /= 2) {
      value.x = fmaxf(value.x, __shfl_xor_sync(0xffffffffu, value.x, i));
      value.y = fmaxf(value.y, __shfl_xor_sync(0xffffffffu, value.y, i));
    }
    return value;
  }
};

struct Both {
  std::int32_t whole;
  float outliers;  // in their unit
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
  static constexpr bool kApart = kOutliers && kPlaces > 1;  // their products are not the codes'
  using Stage = Int8Stage<kKind>;
  using Sum = std::conditional_t<kOutliers, Both, std::int32_t>;

  __device__ Int8(const Plan& plan, const Prepared& x, int first_chunk, const float* meta,
                  const float*, int lane)
      : x(x), plan(plan), meta(meta), first_chunk(first_chunk), rows(plan.args.rows), lane(lane) {}

  __device__ void begin_tile(int) {
    for (int block = 0; block < kBlocks; ++block) {
      for (int i = 0; i < 4; ++i) {
        sums[block][i] = 0;
        if constexpr (kApart) {
          for (auto& part : outlier_sums) part[block][i] = 0;
        }
      }
    }
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char*, int chunk, int count) {
    for_chunks<kUnroll>(count, [&](int i) { multiply_one(codes + i * kCodeBytes, chunk + i); });
  }

  __device__ void multiply_one(const unsigned char* codes, int chunk) {
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
    const std::uint32_t a[4] = {w.x, w.z, w.y, w.w};
    constexpr auto kStride = static_cast<int>(Stage::activation_bytes(kPlaces));
    constexpr int kColumns = kOutliers && !kApart ? 4 : kPlaces;
    const unsigned char* at = x.activations + (chunk - first_chunk) * kStride;
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int column = min(block * 8 + lane / 4, kColumns - 1);
      const uint2 v = *reinterpret_cast<const uint2*>(at + column * 32 + lane % 4 * 8);
      mma_s8(sums[block], a, v.x, v.y);
    }
    if constexpr (kApart) {
      const std::uint32_t which =
          __ballot_sync(0xffffffffu, lane < rows && at[kPlaces * 32 + lane] != 0);
      if (which != 0) multiply_outliers(a, chunk, which);
    }
  }

  // Of the tokens whose bits are set in `which`: the places of others are not written.
  __device__ void multiply_outliers(const std::uint32_t (&a)[4], int chunk, std::uint32_t which) {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = block * 8 + lane / 4;
      const unsigned char* of = x.outliers + (chunk * kPlaces + token) * 96 + lane % 4 * 8;
#pragma unroll
      for (int i = 0; i < 3; ++i) {
        uint2 v{0, 0};
        if (which >> token & 1) v = *reinterpret_cast<const uint2*>(of + i * 32);
        mma_s8(outlier_sums[i][block], a, v.x, v.y);
      }
    }
  }

  // 65536 high + 256 middle + low, each exact.
  __device__ static float lower_of(std::int32_t middle, std::int32_t low) {
    return fmaf(256, static_cast<float>(middle), static_cast<float>(low));
  }
  __device__ static float outliers_of(std::int32_t high, float lower) {
    return fmaf(65536, static_cast<float>(high), lower);
  }

  template <class Put>
  __device__ void each_sum(Put&& put) const {
    if constexpr (kOutliers && !kApart) {
      // Lane 4g has the codes' sums and the high bytes', the next one the others.
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        const float lower = __shfl_down_sync(0xffffffffu, lower_of(sums[0][i], sums[0][i + 1]), 1);
        if (lane % 4 == 0) put(lane / 4 + i * 4, {sums[0][i], outliers_of(sums[0][i + 1], lower)});
      }
    } else {
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = block * 8 + lane % 4 * 2 + i % 2;
          if (token >= kPlaces) continue;
          const int place = (lane / 4 + i / 2 * 8) * kPlaces + token;
          if constexpr (kApart) {
            const float lower = lower_of(outlier_sums[1][block][i], outlier_sums[2][block][i]);
            put(place, {sums[block][i], outliers_of(outlier_sums[0][block][i], lower)});
          } else {
            put(place, sums[block][i]);
          }
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
      const float outliers = sum.outliers * x.scales[2 * token + 1] * meta[at] * plan.weight_scale;
      return __fadd_rn(scaled(sum.whole, at, token), outliers);
    } else {
      return scaled(sum, at, token);
    }
  }

  __device__ float scaled(std::int32_t sum, int at, int token) const {
    return static_cast<float>(sum) * x.scales[2 * token] * meta[at] * plan.product_scale;
  }

  const Prepared x;
  const Plan& plan;
  const float* meta;
  int first_chunk, rows, lane;
  std::int32_t sums[kBlocks][4];
  std::int32_t outlier_sums[3][kApart ? kBlocks : 1][4];
};

template <Kind kKind>
void run_int8(const Plan& plan, cudaStream_t stream) {
  if (one_at_a_time(plan)) return launch_one<Int8<kKind, 1>>(plan, stream);
  return plan.args.rows <= 8 ? launch_rows<Int8<kKind, 8>>(plan, stream)
                             : launch_rows<Int8<kKind, 16>>(plan, stream);
}

template <Kind kKind>
constexpr Family kInt8{run_int8<kKind>, scratch_bytes_of<Int8Stage<kKind>>,
                       least_shared_bytes<Int8<kKind, 1>>};

}  // namespace

Family int8_family(Format format, bool outliers) {
  if (format == Format::int8_static) return kInt8<Kind::fixed>;
  return outliers ? kInt8<Kind::outliers> : kInt8<Kind::plain>;
}

}  // namespace plimsoll::kernels::gemv
