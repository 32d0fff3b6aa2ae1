#include "quant/stored_bytes.h"

namespace plimsoll::quant {

namespace {

std::int64_t pieces(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

std::int64_t block4_bytes(std::int64_t count, bool nested) {
  constexpr std::int64_t kBlock = 64, kNestedBlock = 256, kTable = 16 * 4, kNestedTable = 256 * 4;
  const std::int64_t blocks = pieces(count, kBlock);
  const std::int64_t scales =
      nested ? blocks + pieces(blocks, kNestedBlock) * 4 + kNestedTable : blocks * 4;
  return count / 2 + scales + kTable;
}

std::int64_t grouped_bytes(std::int64_t rows, std::int64_t columns, std::int64_t group) {
  const std::int64_t groups = pieces(columns, group);
  return columns / 8 * rows * 4 + groups * rows * 2 + groups * (rows / 8) * 4 + columns * 4;
}

}  // namespace

std::int64_t stored_bytes(WeightFormat format, std::int64_t rows, std::int64_t columns,
                          const EncodeOptions& options) {
  const std::int64_t count = rows * columns;
  switch (format) {
    case WeightFormat::fp32:
      return count * 4;
    case WeightFormat::fp16:
    case WeightFormat::bf16:
      return count * 2;
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
    case WeightFormat::fp8:
      return count + rows * 4;
    case WeightFormat::nf4:
    case WeightFormat::fp4:
    case WeightFormat::log4:
      return block4_bytes(count, false);
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4_dq:
      return block4_bytes(count, true);
    case WeightFormat::int4:
      return grouped_bytes(rows, columns, options.group);
    case WeightFormat::gptq:
      return grouped_bytes(rows, columns, 128);
  }
  PLIMSOLL_CHECK(false, "unknown format");
}

}  // namespace plimsoll::quant
