// What a warp of attention_decode computes with a block of 16 tokens and eight queries. Scores and
// weights lie as operand D of mma.m16n8: value j of lane 4 g + t is that of token g + 8 (j / 2) and
// query 2 t + j % 2.
#pragma once

#include "kernels/attention/attention_tile_cuda.cuh"

namespace plimsoll::kernels {

/// Queries that a block takes together.
inline constexpr int kQueries = 8;

/// 16-bit products on the tensor cores: S^T = K Q^T and O^T = V^T P^T, so that tokens and elements
/// fill the 16 rows of an operand and the queries of a KV head its 8 columns.
template <KvFormat kFormat, int kTiles>
struct Operands {
  /// Elements from one query to the next in shared memory: no two lanes meet in a bank.
  static constexpr int kQueryPad = 8;
  static constexpr int kQueryBytes = 2;
  static constexpr int kScratch = 0;

  std::uint32_t q[kTiles][2];
  int tiles;
  int lane;

  __device__ Operands(const CacheSizes& sizes, unsigned char*, int lane_of)
      : tiles(sizes.tiles), lane(lane_of) {}

  __device__ static void store_query(unsigned char* to, int element, float value) {
    if constexpr (kFormat == KvFormat::bf16) {
      reinterpret_cast<__nv_bfloat16*>(to)[element] = __float2bfloat16_rn(value);
    } else {
      reinterpret_cast<__half*>(to)[element] = __float2half_rn(value);
    }
  }

  __device__ void load_queries(const unsigned char* queries, int stride) {
    const auto* words = reinterpret_cast<const std::uint32_t*>(queries) + lane / 4 * stride / 2;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      if (!kExactTiles<kTiles> && tile >= tiles) break;
      q[tile][0] = words[tile * 8 + lane % 4];
      q[tile][1] = words[tile * 8 + lane % 4 + 4];
    }
  }

  __device__ void score(const unsigned char* keys, float (&s)[4]) const {
    float odd[4] = {};  // two chains of products, each waiting for itself alone
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      if (!kExactTiles<kTiles> && tile >= tiles) break;
      mma16<kFormat>(tile % 2 == 0 ? s : odd, key_operand<kFormat>(keys, tiles, tile, lane),
                     q[tile][0], q[tile][1]);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) s[j] += odd[j];
  }

  /// o += values of the tokens [seen, held), weighed.
  __device__ void mix(const unsigned char* values, const float (&weights)[4], int seen, int held,
                      float (&o)[kTiles][4]) const {
    const std::uint32_t b0 = transpose8(pack16<kFormat>(weights[0], weights[1]));
    const std::uint32_t b1 = transpose8(pack16<kFormat>(weights[2], weights[3]));
    const ValueMask mask(seen, held, lane);
    // Two loops: one with a choice in it is not scheduled as well.
    if (mask.all) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        if (!kExactTiles<kTiles> && tile >= tiles) break;
        mma16<kFormat>(o[tile], value_operand<kFormat>(values, tiles, tile, lane), b0, b1);
      }
    } else {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        if (!kExactTiles<kTiles> && tile >= tiles) break;
        mma16<kFormat>(o[tile], mask.keep(value_operand<kFormat>(values, tiles, tile, lane)), b0,
                       b1);
      }
    }
  }
};

/// f32 throughout, without tensor cores: exact rather than fast.
template <int kTiles>
struct Operands<KvFormat::f32, kTiles> {
  static constexpr int kQueryPad = 4;
  static constexpr int kQueryBytes = 4;
  static constexpr int kScratch = kBlockTokens * kQueries * 4;  // a warp's weights

  const float* queries[2];
  float* weights_at;
  int tiles;
  int lane;

  __device__ Operands(const CacheSizes& sizes, unsigned char* scratch, int lane_of)
      : weights_at(reinterpret_cast<float*>(scratch)), tiles(sizes.tiles), lane(lane_of) {}

  __device__ static void store_query(unsigned char* to, int element, float value) {
    reinterpret_cast<float*>(to)[element] = value;
  }

  __device__ void load_queries(const unsigned char* all, int stride) {
    queries[0] = reinterpret_cast<const float*>(all) + lane % 4 * 2 * stride;
    queries[1] = queries[0] + stride;
  }

  __device__ static float dot(const float4& a, const float4& b, float sum) {
    return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
  }

  __device__ void score(const unsigned char* keys, float (&s)[4]) const {
    const auto* k = reinterpret_cast<const float4*>(keys) + lane / 4;
    for (int i = 0; i < tiles * 4; ++i) {
      const float4 q0 = reinterpret_cast<const float4*>(queries[0])[i];
      const float4 q1 = reinterpret_cast<const float4*>(queries[1])[i];
      const float4 k0 = k[i * kBlockTokens];
      const float4 k1 = k[i * kBlockTokens + 8];
      s[0] = dot(k0, q0, s[0]);
      s[1] = dot(k0, q1, s[1]);
      s[2] = dot(k1, q0, s[2]);
      s[3] = dot(k1, q1, s[3]);
    }
  }

  /// o += values of the tokens [seen, held), weighed.
  __device__ void mix(const unsigned char* values, const float (&weights)[4], int seen, int held,
                      float (&o)[kTiles][4]) const {
    auto* all = reinterpret_cast<float2*>(weights_at);  // [token][query / 2]
    __syncwarp();
    all[lane] = {weights[0], weights[1]};
    all[lane + 32] = {weights[2], weights[3]};
    __syncwarp();
    for (int token = seen; token < held; ++token) {
      const float2 weight = all[token * 4 + lane % 4];
      const auto* v = reinterpret_cast<const float*>(values) + token * tiles * 16 + lane / 4;
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        if (!kExactTiles<kTiles> && tile >= tiles) break;
        const float v0 = v[tile * 16];
        const float v1 = v[tile * 16 + 8];
        o[tile][0] = fmaf(v0, weight.x, o[tile][0]);
        o[tile][1] = fmaf(v0, weight.y, o[tile][1]);
        o[tile][2] = fmaf(v1, weight.x, o[tile][2]);
        o[tile][3] = fmaf(v1, weight.y, o[tile][3]);
      }
    }
  }
};

}  // namespace plimsoll::kernels
