#include "kernels/panels/panels.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/huge_pages.h"
#include "core/threads.h"
#include "quant/int4.h"
#include "quant/int8.h"

namespace plimsoll::kernels {

namespace {

using quant::WeightFormat;

bool is_table4(WeightFormat format) {
  switch (format) {
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
      return true;
    default:
      return false;
  }
}

Shape panel_shape(const quant::Matrix& matrix) {
  Shape shape{panel_count(matrix.rows), panel_steps(matrix), kPanelOutputs};
  const std::int64_t columns = columns_a_step(matrix.format);
  if (columns > 1) shape.push_back(std::min<std::int64_t>(columns, 4));  // 4-bit: two a byte
  return shape;
}

// Four nibbles, one a byte.
std::uint32_t spread(std::uint32_t nibbles) {
  nibbles = (nibbles | nibbles << 8) & 0x00ff00ffu;
  return (nibbles | nibbles << 4) & 0x0f0f0f0fu;
}

// Eight 4-bit codes, the first in the lowest nibble, as panels have them.
std::uint32_t grouped_word(std::uint32_t word) {
  return spread(word & 0xffffu) | spread(word >> 16) << 4;
}

// The same of codes with the even columns in the high nibbles.
std::uint32_t table4_word(std::uint32_t word) {
  return grouped_word((word >> 4 & 0x0f0f0f0fu) | (word & 0x0f0f0f0fu) << 4);
}

// Units of all rows, in panels, each as `change` returns it. By way of a block of 1 KiB of every
// output: its rows are read and changed as they lie, in pieces long enough for the hardware to read
// ahead, and it turns within the cache.
template <class Unit, class Change>
void transpose_units(const quant::Matrix& stored, const Change& change, Tensor& codes) {
  constexpr std::size_t kBlock = 1024 / sizeof(Unit);
  constexpr auto kOutputs = static_cast<std::size_t>(kPanelOutputs);
  const auto steps = static_cast<std::size_t>(panel_steps(stored));
  const auto row_bytes = static_cast<std::size_t>(
      stored.columns * static_cast<std::int64_t>(sizeof(Unit)) / columns_a_step(stored.format));
  parallel_for(panel_count(stored.rows), 1, [&](std::int64_t begin, std::int64_t end) {
    std::array<std::array<Unit, kBlock>, kOutputs> block{};
    for (std::int64_t panel = begin; panel < end; ++panel) {
      Unit* out =
          reinterpret_cast<Unit*>(codes.raw()) + static_cast<std::size_t>(panel) * kOutputs * steps;
      const std::size_t first = static_cast<std::size_t>(panel) * kOutputs;
      const std::size_t outputs = std::min(kOutputs, static_cast<std::size_t>(stored.rows) - first);
      for (std::size_t step = 0; step < steps; step += kBlock) {
        const std::size_t count = std::min(kBlock, steps - step);
        const std::size_t at = step * sizeof(Unit);
        const std::size_t bytes = std::min(count * sizeof(Unit), row_bytes - at);
        for (std::size_t n = 0; n < kOutputs; ++n) {
          if (n >= outputs || bytes < count * sizeof(Unit)) block[n].fill(0);
          if (n >= outputs) continue;
          std::memcpy(block[n].data(), stored.codes.raw() + (first + n) * row_bytes + at, bytes);
          for (Unit& unit : block[n]) unit = change(unit);
        }
        for (std::size_t s = 0; s < count; ++s) {
          for (std::size_t n = 0; n < kOutputs; ++n) *out++ = block[n][s];
        }
      }
    }
  });
}

// int8-static: what the input's zero point adds to each output's sum.
Tensor zero_sums(const quant::Matrix& stored) {
  Tensor sums = Tensor::empty(DType::i32, {stored.rows});
  parallel_for(stored.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::int8_t* codes = stored.codes.data<std::int8_t>() + n * stored.columns;
      std::int32_t sum = 0;
      for (std::int64_t k = 0; k < stored.columns; ++k) sum += codes[k];
      sums.data<std::int32_t>()[n] = sum * stored.input_zero;
    }
  });
  return sums;
}

// The scales of a 4-bit table format, panel by panel.
template <class T>
void panel_scales(const quant::Matrix& stored, const T* scales, T* out) {
  const std::int64_t blocks = stored.columns / kPanelBlock;
  const bool in_pairs = sizeof(T) == 1;
  const std::int64_t padded = in_pairs ? (blocks + 1) / 2 * 2 : blocks;
  parallel_for(panel_count(stored.rows), 1, [&](std::int64_t begin, std::int64_t end) {
    std::fill(out + begin * padded * kPanelOutputs, out + end * padded * kPanelOutputs, T{});
    for (std::int64_t n = begin * kPanelOutputs; n < std::min(end * kPanelOutputs, stored.rows);
         ++n) {
      T* panel = out + n / kPanelOutputs * padded * kPanelOutputs;
      for (std::int64_t b = 0; b < blocks; ++b) {
        std::int64_t at = b * kPanelOutputs + n % kPanelOutputs;
        if (in_pairs) {
          const std::int64_t q = at % 64;
          at += (q / 4 % 4 * 16 + q / 16 * 4 + q % 4) - q;
        }
        panel[at] = scales[n * blocks + b];
      }
    }
  });
}

// int4, gptq: codes, scales and zeros lie with the outputs side by side already; a thread's panels
// take their parts of each line in turn.
void pack_grouped(const quant::Matrix& stored, quant::Matrix& packed) {
  const std::int64_t rows = stored.rows;
  const std::int64_t panels = panel_count(rows);
  const std::int64_t steps = panel_steps(stored);
  const std::int64_t groups = stored.scales.dim(0);
  packed.scales = Tensor::zeros(DType::f16, {panels, groups, kPanelOutputs});
  packed.zeros = Tensor::zeros(DType::u8, {panels, groups, kPanelOutputs});
  packed.group_index = Tensor();
  packed.table = Tensor::empty(DType::f32, {16});
  std::iota(packed.table.data<float>(), packed.table.data<float>() + 16, 0.0f);
  const auto* words = stored.codes.data<std::int32_t>();
  const auto* scales = stored.scales.data<fp16>();
  const auto* zeros = stored.zeros.data<std::int32_t>();
  auto* out = reinterpret_cast<std::uint32_t*>(packed.codes.raw());
  parallel_for(panels, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t last = std::min(end * kPanelOutputs, rows);
    std::memset(out + (end - 1) * steps * kPanelOutputs, 0,
                static_cast<std::size_t>(4 * steps * kPanelOutputs));
    // The place of output n in line `line` of panels with `lines` lines.
    const auto place = [](std::int64_t n, std::int64_t line, std::int64_t lines) {
      return (n / kPanelOutputs * lines + line) * kPanelOutputs + n % kPanelOutputs;
    };
    for (std::int64_t step = 0; step < steps; ++step) {
      for (std::int64_t n = begin * kPanelOutputs; n < last; ++n) {
        out[place(n, step, steps)] =
            grouped_word(static_cast<std::uint32_t>(words[step * rows + n]));
      }
    }
    for (std::int64_t group = 0; group < groups; ++group) {
      for (std::int64_t n = begin * kPanelOutputs; n < last; ++n) {
        const std::int64_t at = place(n, group, groups);
        packed.scales.data<fp16>()[at] = scales[group * rows + n];
        packed.zeros.data<std::uint8_t>()[at] =
            static_cast<std::uint8_t>(quant::grouped_zero(zeros, rows, group, n));
      }
    }
  });
}

// fp8: the scales, NaN for rows that hold one.
Tensor fp8_scales(const quant::Matrix& stored) {
  Tensor scales = stored.scales.clone();
  const auto* codes = reinterpret_cast<const std::uint8_t*>(stored.codes.raw());
  parallel_for(stored.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::uint8_t* row = codes + n * stored.columns;
      bool nan = false;
      for (std::int64_t k = 0; k < stored.columns; ++k) nan |= (row[k] & 0x7fu) == 0x7fu;
      if (nan) scales.data<float>()[n] = std::numeric_limits<float>::quiet_NaN();
    }
  });
  return scales;
}

void pack_table4_scales(const quant::Matrix& stored, quant::Matrix& packed) {
  const std::int64_t blocks = stored.columns / kPanelBlock;
  const std::int64_t panels = panel_count(stored.rows);
  if (stored.scales.dtype() == DType::u8) {
    packed.scales =
        empty_on_shared_huge_pages(DType::u8, {panels, (blocks + 1) / 2, 2 * kPanelOutputs});
    panel_scales(stored, stored.scales.data<std::uint8_t>(), packed.scales.data<std::uint8_t>());
  } else {
    packed.scales = empty_on_shared_huge_pages(DType::f32, {panels, blocks, kPanelOutputs});
    panel_scales(stored, stored.scales.data<float>(), packed.scales.data<float>());
  }
}

}  // namespace

std::int64_t columns_a_step(WeightFormat format) {
  switch (format) {
    case WeightFormat::fp32:
    case WeightFormat::fp16:
      return 1;
    case WeightFormat::bf16:
    case WeightFormat::fp8:
      return 2;
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      return 4;
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
    case WeightFormat::int4:
    case WeightFormat::gptq:
      return 8;
  }
  PLIMSOLL_CHECK(false, "unknown format");
}

std::int64_t step_bytes(WeightFormat format) {
  const bool half = format == WeightFormat::fp16 || format == WeightFormat::fp8;
  return kPanelOutputs * (half ? 2 : 4);
}

std::int64_t panel_steps(const quant::Matrix& matrix) {
  const std::int64_t columns = columns_a_step(matrix.format);
  return (matrix.columns + columns - 1) / columns;
}

std::int64_t panel_bytes(const quant::Matrix& matrix) {
  return panel_steps(matrix) * step_bytes(matrix.format);
}

Support can_pack(const quant::Matrix& matrix) {
  if (current_isa() < Isa::avx2) return Support::no("needs avx2");
  constexpr std::int64_t kMostInt8Columns = 1 << 16;
  if (columns_a_step(matrix.format) == 4 && matrix.columns > kMostInt8Columns) {
    return Support::no(fmt::format("{} columns: more than {}", matrix.columns, kMostInt8Columns));
  }
  if (columns_a_step(matrix.format) < 8) return Support::yes();
  if (matrix.columns % kPanelBlock != 0) {
    return Support::no(fmt::format("{} columns: % 64 != 0", matrix.columns));
  }
  if (is_table4(matrix.format)) {
    if (matrix.block == kPanelBlock) return Support::yes();
    return Support::no(fmt::format("block {}: not 64", matrix.block));
  }
  if (matrix.block % kPanelBlock != 0) {
    return Support::no(fmt::format("group {}: % 64 != 0", matrix.block));
  }
  const auto groups = matrix.group_index.span<std::int32_t>();
  for (std::size_t c = 0; c < groups.size(); ++c) {
    if (groups[c] != static_cast<std::int32_t>(c) / matrix.block) {
      return Support::no("columns of a group that are not neighbours");
    }
  }
  return Support::yes();
}

quant::Matrix to_panels(const quant::Matrix& stored) {
  PLIMSOLL_CHECK(stored.layout == quant::Layout::stored && can_pack(stored));
  quant::Matrix packed = stored;
  packed.layout = quant::Layout::panels;
  const bool values = quant::is_dense(stored.format);
  packed.codes =
      empty_on_shared_huge_pages(values ? stored.codes.dtype() : DType::u8, panel_shape(stored));
  const auto unchanged = [](auto unit) { return unit; };
  switch (stored.format) {
    case WeightFormat::fp32:
    case WeightFormat::bf16:
      transpose_units<std::uint32_t>(stored, unchanged, packed.codes);
      break;
    case WeightFormat::fp16:
      transpose_units<std::uint16_t>(stored, unchanged, packed.codes);
      break;
    case WeightFormat::fp8:
      transpose_units<std::uint16_t>(stored, unchanged, packed.codes);
      packed.scales = fp8_scales(stored);
      break;
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      // Flipping the sign bits adds 128.
      transpose_units<std::uint32_t>(
          stored, [](std::uint32_t word) { return word ^ 0x80808080u; }, packed.codes);
      break;
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
      transpose_units<std::uint32_t>(
          stored, [](std::uint32_t word) { return table4_word(word); }, packed.codes);
      pack_table4_scales(stored, packed);
      break;
    case WeightFormat::int4:
    case WeightFormat::gptq:
      pack_grouped(stored, packed);
      break;
  }
  if (stored.format == WeightFormat::int8_static) {
    packed.zeros = zero_sums(stored);
    packed.scales = stored.scales.clone();
    for (float& scale : packed.scales.span<float>()) scale *= quant::kInt8WeightScale;
  }
  return packed;
}

void read_panel_row(const quant::Matrix& matrix, std::int64_t row, float* out) {
  PLIMSOLL_CHECK(matrix.layout == quant::Layout::panels && row < matrix.rows);
  const std::int64_t columns = columns_a_step(matrix.format);
  const std::int64_t first =
      row / kPanelOutputs * kPanelOutputs * panel_steps(matrix) + row % kPanelOutputs;
  const auto read = [&](const auto* values) {
    for (std::int64_t c = 0; c < matrix.columns; ++c) {
      out[c] = to_float(values[(first + c / columns * kPanelOutputs) * columns + c % columns]);
    }
  };
  switch (matrix.format) {
    case WeightFormat::fp32:
      return read(matrix.codes.data<float>());
    case WeightFormat::fp16:
      return read(matrix.codes.data<fp16>());
    case WeightFormat::bf16:
      return read(matrix.codes.data<bf16>());
    default:
      PLIMSOLL_CHECK(false, "{} is not dense", quant::format_name(matrix.format));
  }
}

}  // namespace plimsoll::kernels
