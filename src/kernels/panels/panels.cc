#include "kernels/panels/panels.h"

#include <algorithm>
#include <cstring>

#include "core/huge_pages.h"
#include "core/threads.h"
#include "quant/int8.h"

namespace plimsoll::kernels {

namespace {

using quant::WeightFormat;

constexpr std::int64_t kTable4Block = 64;

Shape panel_shape(const quant::Matrix& matrix) {
  Shape shape{panel_count(matrix.rows), panel_steps(matrix), kPanelOutputs};
  const std::int64_t columns = columns_a_step(matrix.format);
  if (columns > 1) shape.push_back(std::min<std::int64_t>(columns, 4));  // 4-bit: two a byte
  return shape;
}

// Word `step` of a row of `bytes` bytes, zero beyond its end.
std::uint32_t word_at(const std::byte* row, std::size_t bytes, std::size_t step) {
  std::uint32_t word = 0;
  const std::size_t at = 4 * step;
  std::memcpy(&word, row + at, at + 4 <= bytes ? 4 : bytes - at);
  return word;
}

// Eight 4-bit codes, stored with the even columns in the high nibbles, as panels have them: first
// the nibbles of each byte change places, then those of columns 0 to 3 go to the low ones.
std::uint32_t table4_word(std::uint32_t word) {
  word = (word >> 4 & 0x0f0f0f0fu) | (word & 0x0f0f0f0fu) << 4;
  const std::uint32_t low = word & 0xffffu;  // columns 0 to 3
  const std::uint32_t high = word >> 16;     // 4 to 7
  const auto spread = [](std::uint32_t v) {  // four nibbles, one a byte
    v = (v | v << 8) & 0x00ff00ffu;
    return (v | v << 4) & 0x0f0f0f0fu;
  };
  return spread(low) | spread(high) << 4;
}

// Words of all rows, in panels, each as `change` returns it.
template <class Change>
void transpose_words(const quant::Matrix& stored, std::size_t row_bytes, const Change& change,
                     Tensor& codes) {
  const auto steps = static_cast<std::size_t>(panel_steps(stored));
  auto* words = reinterpret_cast<std::uint32_t*>(codes.raw());
  parallel_for(panel_count(stored.rows), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      std::uint32_t* out = words + static_cast<std::size_t>(panel * kPanelOutputs) * steps;
      const std::int64_t first = panel * kPanelOutputs;
      const std::int64_t outputs = std::min(kPanelOutputs, stored.rows - first);
      if (outputs < kPanelOutputs) std::memset(out, 0, 4 * kPanelOutputs * steps);
      // A few cache lines of each row at a time: every line is read once, and few are written.
      constexpr std::size_t kBlock = 64;
      for (std::size_t step = 0; step < steps; step += kBlock) {
        const std::size_t stop = std::min(steps, step + kBlock);
        for (std::int64_t n = 0; n < outputs; ++n) {
          const std::byte* row =
              stored.codes.raw() + static_cast<std::size_t>(first + n) * row_bytes;
          for (std::size_t s = step; s < stop; ++s) {
            out[s * kPanelOutputs + static_cast<std::size_t>(n)] =
                change(word_at(row, row_bytes, s));
          }
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
  const std::int64_t blocks = stored.columns / kTable4Block;
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

void pack_table4_scales(const quant::Matrix& stored, quant::Matrix& packed) {
  const std::int64_t blocks = stored.columns / kTable4Block;
  const std::int64_t panels = panel_count(stored.rows);
  if (stored.scales.dtype() == DType::u8) {
    packed.scales = empty_on_huge_pages(DType::u8, {panels, (blocks + 1) / 2, 2 * kPanelOutputs});
    panel_scales(stored, stored.scales.data<std::uint8_t>(), packed.scales.data<std::uint8_t>());
  } else {
    packed.scales = empty_on_huge_pages(DType::f32, {panels, blocks, kPanelOutputs});
    panel_scales(stored, stored.scales.data<float>(), packed.scales.data<float>());
  }
}

}  // namespace

std::int64_t columns_a_step(WeightFormat format) {
  switch (format) {
    case WeightFormat::fp32:
      return 1;
    case WeightFormat::fp16:
    case WeightFormat::bf16:
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
      return 8;
    default:
      return 0;
  }
}

std::int64_t panel_steps(const quant::Matrix& matrix) {
  const std::int64_t columns = columns_a_step(matrix.format);
  return (matrix.columns + columns - 1) / columns;
}

Support can_pack(const quant::Matrix& matrix) {
  if (current_isa() < Isa::avx2) return Support::no("needs avx2");
  if (columns_a_step(matrix.format) == 0) {
    return Support::no(fmt::format("{} has no panels", quant::format_name(matrix.format)));
  }
  constexpr std::int64_t kMostInt8Columns = 1 << 16;
  if (columns_a_step(matrix.format) == 4 && matrix.columns > kMostInt8Columns) {
    return Support::no(fmt::format("{} columns: more than {}", matrix.columns, kMostInt8Columns));
  }
  if (columns_a_step(matrix.format) == 8) {
    if (matrix.columns % kTable4Block != 0) {
      return Support::no(fmt::format("{} columns: % 64 != 0", matrix.columns));
    }
    if (matrix.block != kTable4Block) {
      return Support::no(fmt::format("block {}: not 64", matrix.block));
    }
  }
  return Support::yes();
}

quant::Matrix to_panels(const quant::Matrix& stored) {
  PLIMSOLL_CHECK(stored.layout == quant::Layout::stored && can_pack(stored));
  const std::int64_t columns = columns_a_step(stored.format);
  quant::Matrix packed = stored;
  packed.layout = quant::Layout::panels;
  packed.codes =
      empty_on_huge_pages(columns >= 4 ? DType::u8 : stored.codes.dtype(), panel_shape(stored));
  const auto row_bytes = static_cast<std::size_t>(stored.columns * 4 / columns);
  if (columns == 8) {
    transpose_words(stored, row_bytes, table4_word, packed.codes);
    pack_table4_scales(stored, packed);
  } else {
    // int8: flipping the sign bits adds 128.
    const std::uint32_t flip = columns == 4 ? 0x80808080u : 0u;
    transpose_words(
        stored, row_bytes, [=](std::uint32_t word) { return word ^ flip; }, packed.codes);
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
