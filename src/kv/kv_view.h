// One sequence's keys and values of one layer, as kernels see them. Plain data: whoever schedules
// owns the blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace plimsoll::kv {

/// Tokens in a block.
inline constexpr std::int64_t kBlockTokens = 16;

/// How keys and values are stored. int8: codes in [-127, 127] with one f32 scale for each head and
/// token, absmax / 127, for keys and values apart.
enum class KvFormat : std::uint8_t { f32, bf16, fp16, int8 };

/// A block of one layer holds 16 tokens of every KV head: all heads' keys, and right behind them
/// all heads' values, so that whoever walks a sequence reads long runs wherever its blocks lie.
/// Keys lie with the tokens innermost, so that a register holds one element of 16 keys; values lie
/// with the elements innermost: both are the right-hand operand of a product as the vector units
/// take it, and nothing is repacked at use.
///
///   f32, fp16, int8   keys    [kv head][element][token 0..15]
///                     values  [kv head][token][element]
///   bf16              keys    [kv head][element / 2][token 0..15][element % 2]
///                     values  [kv head][token / 2][element][token % 2]
///                     pairs that are summed lie side by side, as the dot product vdpbf16ps wants
///   int8              besides, key and value scales  [kv head][token 0..15] f32
///
///   e.g. one head of a bf16 block, k[token][element]:
///       k[0][0] k[0][1]  k[1][0] k[1][1]  ...  k[15][0] k[15][1]      64 bytes: one register
///       k[0][2] k[0][3]  k[1][2] k[1][3]  ...  k[15][2] k[15][3]
///       ...
///
/// Elements are padded with zeros to a multiple of 16.
struct KvLayout {
  KvFormat format = KvFormat::f32;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;

  std::int64_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  std::int64_t element_bytes() const {
    return format == KvFormat::f32 ? 4 : format == KvFormat::int8 ? 1 : 2;
  }
  /// One head's keys (or values) of a block.
  std::int64_t head_bytes() const { return kBlockTokens * padded_dim() * element_bytes(); }
  /// All heads' keys (or values) of a block.
  std::int64_t part_bytes() const { return kv_heads * head_bytes(); }
  /// From one block to the next: its keys and its values.
  std::int64_t block_bytes() const { return 2 * part_bytes(); }
  /// Scales of a block's keys (or values): 0 but for int8.
  std::int64_t block_scales() const {
    return format == KvFormat::int8 ? kv_heads * kBlockTokens : 0;
  }
};

/// Paged: token t lives in block table[t / 16] at slot t % 16. The table is indexed by absolute
/// position also where a window has dropped the first blocks: their entries are -1.
struct KvView {
  KvLayout layout;
  std::byte* keys = nullptr;    // the layer's pool: block b's begin at b * layout.block_bytes()
  std::byte* values = nullptr;  // likewise: keys + layout.part_bytes()
  float* key_scales = nullptr;  // int8: block b's begin at b * layout.block_scales()
  float* value_scales = nullptr;
  const std::int32_t* table = nullptr;  // block ids, one for every 16 tokens
  std::int64_t first = 0;               // tokens before it are no longer held
  std::int64_t length = 0;              // tokens, the newest included, the dropped ones too
};

}  // namespace plimsoll::kv
