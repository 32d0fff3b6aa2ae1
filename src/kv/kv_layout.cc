#include "kv/kv_layout.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/half.h"
#include "core/threads.h"

namespace plimsoll::kv {

namespace {

/// Where token and element of one head lie, counted in elements from the head's begin.
struct KeyOrder {
  bool pairs;  // bf16
  std::int64_t operator()(std::int64_t slot, std::int64_t element, std::int64_t) const {
    return pairs ? (element / 2 * kBlockTokens + slot) * 2 + element % 2
                 : element * kBlockTokens + slot;
  }
};
struct ValueOrder {
  bool pairs;
  std::int64_t operator()(std::int64_t slot, std::int64_t element, std::int64_t padded) const {
    return pairs ? (slot / 2 * padded + element) * 2 + slot % 2 : slot * padded + element;
  }
};

template <class T>
T encode(float value, float) {
  return from_float<T>(value);
}
template <>
std::int8_t encode<std::int8_t>(float value, float inverse_scale) {
  return inverse_scale == 0 ? std::int8_t{0}
                            : static_cast<std::int8_t>(std::nearbyint(value * inverse_scale));
}

template <class T>
float decode(T value, float) {
  return to_float(value);
}
template <>
float decode<std::int8_t>(std::int8_t value, float scale) {
  return static_cast<float>(value) * scale;
}

/// One head's row of a token into its slot, the padding as zeros.
template <class T, class Order>
void write_row(const KvLayout& layout, std::byte* head, std::int64_t slot, const Order& order,
               const float* row, float inverse_scale) {
  auto* target = reinterpret_cast<T*>(head);
  const std::int64_t padded = layout.padded_dim();
  for (std::int64_t e = 0; e < layout.head_dim; ++e) {
    target[order(slot, e, padded)] = encode<T>(row[e], inverse_scale);
  }
  for (std::int64_t e = layout.head_dim; e < padded; ++e) target[order(slot, e, padded)] = T{};
}

template <class T, class Order>
void read_row(const KvLayout& layout, const std::byte* head, std::int64_t slot, const Order& order,
              float scale, float* row) {
  const auto* source = reinterpret_cast<const T*>(head);
  for (std::int64_t e = 0; e < layout.head_dim; ++e) {
    row[e] = decode<T>(source[order(slot, e, layout.padded_dim())], scale);
  }
}

/// Stores absmax / 127 and gives its inverse. What has no codes gets inverse 0: zeros (and what is
/// too small to divide by) have scale 0; with a NaN or an infinity all of the row reads as NaN.
float store_scale(const float* row, std::int64_t count, float* scale) {
  float largest = 0;
  bool finite = true;
  for (std::int64_t e = 0; e < count; ++e) {
    largest = std::max(largest, std::fabs(row[e]));
    finite = finite && std::isfinite(row[e]);
  }
  const float inverse = 127 / largest;
  const bool usable = finite && std::isfinite(inverse);
  *scale = usable ? largest / 127 : finite ? 0 : std::numeric_limits<float>::quiet_NaN();
  return usable ? inverse : 0;
}

template <class Order>
void write(const KvLayout& layout, std::byte* head, float* scales, std::int64_t slot,
           const Order& order, const float* row) {
  switch (layout.format) {
    case KvFormat::f32:
      return write_row<float>(layout, head, slot, order, row, 0);
    case KvFormat::bf16:
      return write_row<bf16>(layout, head, slot, order, row, 0);
    case KvFormat::fp16:
      return write_row<fp16>(layout, head, slot, order, row, 0);
    case KvFormat::int8:
      return write_row<std::int8_t>(layout, head, slot, order, row,
                                    store_scale(row, layout.head_dim, scales + slot));
  }
}

template <class Order>
void read(const KvLayout& layout, const std::byte* head, const float* scales, std::int64_t slot,
          const Order& order, float* row) {
  switch (layout.format) {
    case KvFormat::f32:
      return read_row<float>(layout, head, slot, order, 0, row);
    case KvFormat::bf16:
      return read_row<bf16>(layout, head, slot, order, 0, row);
    case KvFormat::fp16:
      return read_row<fp16>(layout, head, slot, order, 0, row);
    case KvFormat::int8:
      return read_row<std::int8_t>(layout, head, slot, order, scales[slot], row);
  }
}

/// Byte and scale offsets of a token's block and head.
struct Place {
  std::int64_t bytes, scales, slot;
};
Place place(const KvView& view, std::int64_t token, std::int64_t head) {
  PLIMSOLL_CHECK(token >= view.first && token < view.length);
  const KvLayout& layout = view.layout;
  const std::int64_t block = view.table[token / kBlockTokens];
  PLIMSOLL_CHECK(block >= 0);
  return {block * layout.block_bytes() + head * layout.head_bytes(),
          layout.format == KvFormat::int8 ? block * layout.block_scales() + head * kBlockTokens : 0,
          token % kBlockTokens};
}

}  // namespace

void write_tokens(const KvView& view, std::int64_t begin, std::int64_t count, const float* keys,
                  const float* values) {
  const KvLayout& layout = view.layout;
  const KeyOrder key_order{layout.format == KvFormat::bf16};
  const ValueOrder value_order{layout.format == KvFormat::bf16};
  // Threads split blocks: within one, pairs of tokens share words.
  const std::int64_t first_block = begin / kBlockTokens;
  const std::int64_t blocks = (begin + count + kBlockTokens - 1) / kBlockTokens - first_block;
  const auto write_block = [&](std::int64_t block) {
    const std::int64_t from = std::max(begin, block * kBlockTokens);
    const std::int64_t to = std::min(begin + count, (block + 1) * kBlockTokens);
    for (std::int64_t token = from; token < to; ++token) {
      for (std::int64_t head = 0; head < layout.kv_heads; ++head) {
        const Place at = place(view, token, head);
        const std::int64_t row = ((token - begin) * layout.kv_heads + head) * layout.head_dim;
        std::byte* value_head = view.values + at.bytes;
        write(layout, view.keys + at.bytes, view.key_scales + at.scales, at.slot, key_order,
              keys + row);
        write(layout, value_head, view.value_scales + at.scales, at.slot, value_order,
              values + row);
        // The pair's other value is multiplied by weight 0 until its token comes: no stale NaN.
        if (layout.format == KvFormat::bf16 && at.slot % 2 == 0) {
          auto* target = reinterpret_cast<bf16*>(value_head);
          for (std::int64_t e = 0; e < layout.padded_dim(); ++e) {
            target[value_order(at.slot + 1, e, layout.padded_dim())] = bf16{};
          }
        }
      }
    }
  };
  parallel_for(blocks, 4, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t block = from; block < to; ++block) write_block(first_block + block);
  });
}

void read_key(const KvView& view, std::int64_t token, std::int64_t head, float* target) {
  const Place at = place(view, token, head);
  read(view.layout, view.keys + at.bytes, view.key_scales + at.scales, at.slot,
       KeyOrder{view.layout.format == KvFormat::bf16}, target);
}

void read_value(const KvView& view, std::int64_t token, std::int64_t head, float* target) {
  const Place at = place(view, token, head);
  read(view.layout, view.values + at.bytes, view.value_scales + at.scales, at.slot,
       ValueOrder{view.layout.format == KvFormat::bf16}, target);
}

}  // namespace plimsoll::kv
