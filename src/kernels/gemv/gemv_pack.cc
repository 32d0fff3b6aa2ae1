#include "kernels/gemv/gemv_pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include "core/threads.h"
#include "quant/int4.h"

namespace plimsoll::kernels::gemv {

namespace {

using quant::Matrix;
using quant::WeightFormat;

bool is_table4(WeightFormat format) {
  return format == WeightFormat::nf4 || format == WeightFormat::fp4 || format == WeightFormat::log4;
}

bool is_table4_dq(WeightFormat format) {
  return format == WeightFormat::nf4_dq || format == WeightFormat::fp4_dq;
}

std::optional<Format> packed_format(WeightFormat format) {
  if (is_table4(format)) return Format::table4;
  if (is_table4_dq(format)) return Format::table4_dq;
  switch (format) {
    case WeightFormat::fp32:
      return Format::f32;
    case WeightFormat::fp16:
      return Format::f16;
    case WeightFormat::bf16:
      return Format::bf16;
    case WeightFormat::fp8:
      return Format::fp8;
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
      return Format::int8;
    case WeightFormat::int8_static:
      return Format::int8_static;
    case WeightFormat::int4:
    case WeightFormat::gptq:
      return Format::int4;
    default:
      return std::nullopt;
  }
}

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  return !a.defined() || (a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

/// One stored row, wherever its matrix is.
struct Row {
  const Matrix* matrix = nullptr;  // nullptr: padding
  std::int64_t row = 0;
};

Row find_row(std::span<const Matrix* const> parts, std::int64_t row) {
  for (const Matrix* part : parts) {
    if (row < part->rows) return {part, row};
    row -= part->rows;
  }
  return {};
}

/// Chunks of a 4-bit table's weights that share a scale.
std::int64_t chunks_of_block(const Matrix& w) {
  return w.block / chunk_columns(Format::table4);
}

/// The 8 bytes of a lane's row: see the drawing in gemv_layout.h. Beyond the last column they stay
/// 0.
void pack_codes(const Row& from, std::int64_t column, Format format, std::byte* to) {
  const std::int64_t element = from.row * from.matrix->columns + column;
  const std::byte* codes = from.matrix->codes.raw();
  const auto copy = [&](std::int64_t size) {
    const std::int64_t there = std::min(from.matrix->columns - column, 8 / size);
    if (there > 0) std::memcpy(to, codes + element * size, static_cast<std::size_t>(there * size));
  };
  if (format == Format::f32) {
    copy(4);
  } else if (format == Format::f16 || format == Format::bf16) {
    copy(2);
  } else if (format == Format::fp8 || format == Format::int8 || format == Format::int8_static) {
    copy(1);
  } else {
    // Stored: the high nibble first. PRMT takes its selectors from the lowest nibble on.
    for (int i = 0; i < 8; ++i) {
      const auto byte = static_cast<unsigned>(codes[element / 2 + i]);
      to[i] = static_cast<std::byte>((byte >> 4 | byte << 4) & 0xff);
    }
  }
}

/// The packed columns of a matrix whose scales belong to groups of columns: Packed::gather.
/// Undefined where every chunk is of one group as it is.
Tensor gather_groups(const Matrix& w) {
  constexpr std::int64_t kColumns = chunk_columns(Format::int4);
  const auto* group = w.group_index.data<std::int32_t>();
  bool as_stored = w.columns % kColumns == 0;
  for (std::int64_t c = 0; as_stored && c < w.columns; ++c) {
    as_stored = group[c] == group[c / kColumns * kColumns];
  }
  if (as_stored) return {};
  std::vector<std::vector<std::int32_t>> members(static_cast<std::size_t>(w.scales.dim(0)));
  for (std::int64_t c = 0; c < w.columns; ++c) {
    members[static_cast<std::size_t>(group[c])].push_back(static_cast<std::int32_t>(c));
  }
  std::vector<std::int32_t> packed;
  packed.reserve(static_cast<std::size_t>(w.columns) + members.size() * kColumns);
  for (const auto& columns : members) {
    packed.insert(packed.end(), columns.begin(), columns.end());
    packed.resize((packed.size() + kColumns - 1) / kColumns * kColumns, -1);
  }
  return Tensor::from<std::int32_t>(packed, {static_cast<std::int64_t>(packed.size())});
}

/// One row's codes and scales of a chunk of int4; see gemv_layout.h.
void pack_grouped(const Row& from, const std::int32_t* gather, std::int64_t chunk, int j,
                  std::byte* codes, std::byte* scales) {
  constexpr int kColumns = chunk_columns(Format::int4);
  const Matrix& w = *from.matrix;
  const auto column = [&](int i) {
    const std::int64_t packed = chunk * kColumns + i;
    return gather == nullptr ? packed : gather[packed];
  };
  for (int i = 0; i < kColumns; ++i) {
    const std::int64_t c = column(i);
    if (c < 0) continue;
    const int code = quant::grouped_code(w.codes.data<std::int32_t>(), w.rows, from.row, c);
    std::byte& to = codes[(j % 8 * 4 + i / 16) * 16 + (j < 8 ? 0 : 8) + i % 16 / 8 * 4 + i % 4];
    to |= static_cast<std::byte>(i % 8 < 4 ? code : code << 4);
  }
  const std::int64_t group = w.group_index.data<std::int32_t>()[column(0)];
  const int zero = quant::grouped_zero(w.zeros.data<std::int32_t>(), w.rows, group, from.row);
  std::memcpy(scales + (j % 8 * 2 + j / 8) * 2, w.scales.data<fp16>() + group * w.rows + from.row,
              2);
  scales[kTileRows * 2 + j % 8] |= static_cast<std::byte>(j < 8 ? zero : zero << 4);
}

RowScales row_scales(const Row& from) {
  const Matrix& w = *from.matrix;
  const std::int64_t chunks = w.columns / chunk_columns(Format::table4_dq);
  const std::int64_t chunks_each =
      w.nested_block * chunks_of_block(w);  // that share a nested scale
  const std::int64_t begin = from.row * chunks;
  const std::int64_t first = begin / chunks_each;
  const auto* nested = w.nested_scales.data<float>();
  const std::int64_t border = (first + 1) * chunks_each - begin;
  return {nested[first], border < chunks ? nested[first + 1] : 0.0f, w.nested_offset,
          static_cast<std::int32_t>(std::min(border, chunks))};
}

void pack_tile(std::span<const Matrix* const> parts, std::int64_t tile, Packed& packed) {
  const Format format = packed.format;
  // Here and not at once, since what memory's pages cost is shared among the threads so.
  std::memset(packed.codes.raw() + tile * packed.chunks * kCodeBytes, 0,
              static_cast<std::size_t>(packed.chunks * kCodeBytes));
  const int columns = chunk_columns(format);
  const int block_bytes = scale_bytes(format);
  for (int j = 0; j < kTileRows; ++j) {
    const Row from = find_row(parts, packed.order.row(tile, j));
    if (from.matrix == nullptr) continue;  // stays 0
    const int g = j % 8;
    for (std::int64_t chunk = 0; chunk < packed.chunks; ++chunk) {
      std::byte* codes = packed.codes.raw() + (tile * packed.chunks + chunk) * kCodeBytes;
      if (format == Format::int4) {
        pack_grouped(from, packed.gather.defined() ? packed.gather.data<std::int32_t>() : nullptr,
                     chunk, j, codes,
                     packed.scales.raw() + (tile * packed.chunks + chunk) * block_bytes);
        continue;
      }
      for (int t = 0; t < 4; ++t) {
        pack_codes(from, chunk * columns + t * columns / 4, format,
                   codes + (g * 4 + t) * 16 + (j < 8 ? 0 : 8));
      }
      if (block_bytes == 0) continue;
      const int size = block_bytes / kTileRows;
      const std::int64_t block = (from.row * packed.chunks + chunk) / chunks_of_block(*from.matrix);
      std::memcpy(packed.scales.raw() + (tile * packed.chunks + chunk) * block_bytes +
                      (g * 2 + (j < 8 ? 0 : 1)) * size,
                  from.matrix->scales.raw() + block * size, static_cast<std::size_t>(size));
    }
    const int floats = row_meta_floats(format);
    if (floats == 0) continue;
    float* meta = packed.row_meta.data<float>() + (tile * kTileRows + j) * floats;
    if (format == Format::table4_dq) {
      const RowScales scales = row_scales(from);
      std::memcpy(meta, &scales, sizeof scales);
    } else {
      *meta = from.matrix->scales.data<float>()[from.row];
      if (format == Format::int8_static) {
        const auto* row = from.matrix->codes.data<std::int8_t>() + from.row * packed.columns;
        const std::int32_t sum = std::accumulate(row, row + packed.columns, std::int32_t{0});
        std::memcpy(meta + 1, &sum, sizeof sum);
      }
    }
  }
}

Support can_pack_one(const Matrix& part, Format format) {
  if (part.layout != quant::Layout::stored) return Support::no("the weights are packed already");
  if (format == Format::int4) return Support::yes();
  if (format == Format::table4 || format == Format::table4_dq) {
    constexpr int kChunk = chunk_columns(Format::table4);
    if (part.columns % kChunk != 0) {
      return Support::no(fmt::format("{} columns are no multiple of {}", part.columns, kChunk));
    }
    if (part.block % kChunk != 0) {
      return Support::no(
          fmt::format("blocks of {} weights, no multiple of {}", part.block, kChunk));
    }
    const std::int64_t nested = std::int64_t{part.block} * part.nested_block;
    if (format == Format::table4_dq && part.columns > nested) {
      return Support::no(
          fmt::format("a row of {} columns has more than two nested scales", part.columns));
    }
  }
  if (format == Format::int8 && part.outliers_by_batch && part.outlier_threshold > 0) {
    return Support::no("outliers by batch");
  }
  return Support::yes();
}

std::int64_t all_rows(std::span<const Matrix* const> parts) {
  std::int64_t rows = 0;
  for (const Matrix* part : parts) rows += part->rows;
  return rows;
}

}  // namespace

SplitLevels split_levels(std::span<const float> levels) {
  PLIMSOLL_CHECK(levels.size() == 16, "{} levels", levels.size());
  float largest = 0;
  for (const float level : levels) largest = std::max(largest, std::fabs(level));
  SplitLevels split{};
  split.unit = largest > 0 ? largest / 126 : 1;
  for (std::size_t i = 0; i < 8; ++i) {
    const auto below = static_cast<int>(std::nearbyint(levels[i] / split.unit));
    const auto above = static_cast<int>(std::nearbyint(levels[i + 8] / split.unit));
    // A byte below 0 adds -1 to the other's level: raise that one by 1. Raising may turn its sign,
    // so the first of these that holds is taken.
    for (const int low_negative : {0, 1}) {
      for (const int high_negative : {0, 1}) {
        const int low = below + high_negative;
        const int high = above + low_negative;
        if ((low < 0) == (low_negative == 1) && (high < 0) == (high_negative == 1)) {
          split.low[i] = static_cast<std::int8_t>(low);
          split.high[i] = static_cast<std::int8_t>(high);
        }
      }
    }
  }
  return split;
}

Support can_pack(std::span<const Matrix* const> parts, const Order& order) {
  PLIMSOLL_CHECK(!parts.empty());
  const Matrix& first = *parts[0];
  const std::optional<Format> format = packed_format(first.format);
  if (!format) {
    return Support::no(fmt::format("{} weights", quant::format_name(first.format)));
  }
  for (const Matrix* part : parts) {
    if (part->format != first.format || part->columns != first.columns ||
        part->outlier_threshold != first.outlier_threshold ||
        part->source_dtype != first.source_dtype || !same_values(part->table, first.table) ||
        !same_values(part->nested_table, first.nested_table) || part->block != first.block ||
        part->input_scale != first.input_scale || part->input_zero != first.input_zero) {
      return Support::no("the matrices differ in format");
    }
    if (*format == Format::int4 && !same_values(part->group_index, first.group_index)) {
      return Support::no("the matrices have their columns in different groups");
    }
    if (Support one = can_pack_one(*part, *format); !one) return one;
  }
  const std::int64_t rows = all_rows(parts);
  if (rows != order.rows) return Support::no("the order is of another number of rows");
  if (order.pairing == Pairing::halves && rows % 16 != 0) {
    return Support::no(fmt::format("{} rows are no multiple of 16", rows));
  }
  if (order.pairing == Pairing::heads &&
      (order.head_dim < 16 || (order.head_dim & (order.head_dim - 1)) != 0 ||
       rows % order.head_dim != 0)) {
    return Support::no(fmt::format("{} rows in heads of {}", rows, order.head_dim));
  }
  return Support::yes();
}

Packed pack(std::span<const Matrix* const> parts, const Order& order) {
  const Support support = can_pack(parts, order);
  PLIMSOLL_CHECK(support, "{}", support.reason);
  const Matrix& first = *parts[0];
  Packed packed;
  packed.format = *packed_format(first.format);
  packed.order = order;
  packed.columns = first.columns;
  packed.tiles = (order.rows + kTileRows - 1) / kTileRows;
  packed.chunks = (first.columns + chunk_columns(packed.format) - 1) / chunk_columns(packed.format);
  if (packed.format == Format::int4) {
    packed.gather = gather_groups(first);
    packed.level_unit = 1;
    if (packed.gather.defined()) packed.chunks = packed.gather.dim(0) / chunk_columns(Format::int4);
  }
  packed.codes = Tensor::empty(DType::u8, {packed.tiles, packed.chunks, kCodeBytes});
  if (const int bytes = scale_bytes(packed.format); bytes > 0) {
    packed.scales = Tensor::zeros(DType::u8, {packed.tiles, packed.chunks, bytes});
  }
  if (const int floats = row_meta_floats(packed.format); floats > 0) {
    packed.row_meta = Tensor::zeros(DType::f32, {packed.tiles, kTileRows, floats});
  }
  if (packed.format == Format::table4 || packed.format == Format::table4_dq) {
    const SplitLevels split = split_levels(first.table.span<float>());
    std::memcpy(packed.low_levels, split.low, sizeof split.low);
    std::memcpy(packed.high_levels, split.high, sizeof split.high);
    packed.level_unit = split.unit;
    packed.levels = first.table;
    packed.nested_table = first.nested_table;
  }
  packed.outlier_threshold = first.format == WeightFormat::int8 ? first.outlier_threshold : 0.0f;
  packed.input_scale = first.input_scale;
  packed.input_zero = first.input_zero;
  packed.source_dtype = first.source_dtype;
  parallel_for(packed.tiles, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) pack_tile(parts, tile, packed);
  });
  return packed;
}

}  // namespace plimsoll::kernels::gemv
