#include "quant/matrix.h"

#include <cmath>
#include <tuple>

#include "quant/codec.h"
#include "quant/int4.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

Matrix encoded(WeightFormat format) {
  Tensor weights = Tensor::empty(DType::f32, {16, 128});
  for (std::int64_t i = 0; i < weights.size(); ++i) {
    weights.data<float>()[i] = static_cast<float>(i % 37) - 18;
  }
  return encode(format, weights, {}, "w");
}

TEST(Formats, NamesGoBothWays) {
  for (const WeightFormat format : all_formats()) {
    EXPECT_EQ(format_from_name(format_name(format), "--weights"), format);
  }
  EXPECT_EQ(all_formats().size(), 14u);
  EXPECT_EQ(test::message_of<InputError>([] { format_from_name("int5", "--weights"); }),
            "--weights: weight format: found int5, expected fp32, fp16, bf16, int8, int8-dynamic, "
            "int8-static, fp8, nf4, nf4-dq, fp4, fp4-dq, log4, int4, gptq");
}

TEST(Formats, DenseDTypes) {
  for (const WeightFormat format : all_formats()) {
    if (is_dense(format)) {
      EXPECT_EQ(dense_format(dense_dtype(format)), format);
    } else {
      EXPECT_THROW(dense_dtype(format), InternalError);
    }
  }
  EXPECT_THROW(dense_format(DType::i8), InternalError);
}

TEST(Matrix, BytesCountTheStatistics) {
  // 2048 codes of 4 bits, 32 scales of 4 bytes, 16 levels.
  EXPECT_EQ(matrix_bytes(encoded(WeightFormat::nf4)), 1024 + 128 + 64);
  // A byte a scale, one nested scale, two tables.
  EXPECT_EQ(matrix_bytes(encoded(WeightFormat::nf4_dq)), 1024 + 32 + 4 + 64 + 1024);
  EXPECT_EQ(matrix_bytes(encoded(WeightFormat::int8)), 2048 + 64);
  EXPECT_DOUBLE_EQ(bits_per_weight(encoded(WeightFormat::int8)), 8.25);
  EXPECT_DOUBLE_EQ(bits_per_weight(encoded(WeightFormat::bf16)), 16);
}

// Every field in turn made wrong, as a file might have it.
TEST(CheckMatrix, NamesTheFieldThatIsWrong) {
  struct Case {
    WeightFormat format;
    void (*damage)(Matrix&);
    const char* message;
  };
  const Case cases[] = {
      {WeightFormat::fp16,
       [](Matrix& m) {
         m.codes = Tensor::zeros(DType::bf16, {16, 128});
       },
       "codes: found BF16, expected F16"},
      {WeightFormat::bf16, [](Matrix& m) { m.rows = 17; },
       "codes: found [16, 128], expected [17, 128]"},
      {WeightFormat::int8, [](Matrix& m) { m.columns = 0; }, "shape: found [16, 0]"},
      {WeightFormat::int8, [](Matrix& m) { m.rows = std::int64_t{1} << 62; }, "fewer than 2^63"},
      {WeightFormat::int8, [](Matrix& m) { m.scales = Tensor(); }, "scales: found nothing"},
      {WeightFormat::int8, [](Matrix& m) { m.scales.span<float>()[3] = NAN; }, "scales: found nan"},
      {WeightFormat::int8, [](Matrix& m) { m.outlier_threshold = -1; }, "outlier threshold"},
      {WeightFormat::int8_static, [](Matrix&) {}, "input scale: found 0, expected more than 0"},
      {WeightFormat::int8_static,
       [](Matrix& m) {
         m.input_scale = 1;
         m.input_zero = 128;
       },
       "input zero point: found 128"},
      {WeightFormat::fp8, [](Matrix& m) { m.scales = Tensor::zeros(DType::f32, {15}); },
       "scales: found [15], expected [16]"},
      {WeightFormat::nf4, [](Matrix& m) { m.block = 0; }, "block: found 0"},
      {WeightFormat::nf4, [](Matrix& m) { m.block = 96; }, "block: found 96"},
      {WeightFormat::nf4, [](Matrix& m) { m.block = 128; }, "scales: found [32], expected [16]"},
      {WeightFormat::fp4, [](Matrix& m) { m.table = Tensor::zeros(DType::f32, {15}); },
       "table: found [15], expected [16]"},
      {WeightFormat::log4, [](Matrix& m) { m.codes = m.codes.rows(0, 1000); },
       "codes: found [1000, 1], expected [1024, 1]"},
      {WeightFormat::nf4_dq, [](Matrix& m) { m.nested_block = 16; }, "nested block: found 16"},
      {WeightFormat::nf4_dq, [](Matrix& m) { m.nested_table = Tensor::zeros(DType::f32, {16}); },
       "nested table: found [16], expected [256]"},
      {WeightFormat::fp4_dq, [](Matrix& m) { m.nested_offset = INFINITY; },
       "nested offset: found inf"},
      {WeightFormat::int4, [](Matrix& m) { m.group_index.span<std::int32_t>()[5] = 2; },
       "group index: found 2, expected 0 to 1"},
      {WeightFormat::int4, [](Matrix& m) { m.group_index.span<std::int32_t>()[5] = -1; },
       "group index: found -1, expected 0 to 1"},
      {WeightFormat::int4, [](Matrix& m) { m.block = -1; }, "group: found -1"},
      {WeightFormat::int4,
       [](Matrix& m) {
         m.zeros = Tensor::zeros(DType::i32, {2, 1});
       },
       "zeros: found [2, 1], expected [2, 2]"},
      {WeightFormat::int4,
       [](Matrix& m) { m.scales.span<plimsoll::fp16>()[0] = to_fp16(INFINITY); },
       "scales: found inf"},
  };
  for (const Case& wrong : cases) {
    Matrix matrix = encoded(wrong.format);
    if (wrong.format != WeightFormat::int8_static) {
      EXPECT_NO_THROW(check_matrix(matrix, "w"));
    }
    wrong.damage(matrix);
    const std::string message = test::message_of<InputError>([&] { check_matrix(matrix, "w"); });
    EXPECT_NE(message.find(wrong.message), std::string::npos)
        << format_name(wrong.format) << ": " << message << "\n  expected: " << wrong.message;
  }
}

TEST(Int4, PackingIsThatOfGptqCheckpoints) {
  Matrix matrix = make_grouped(WeightFormat::gptq, 8, 16, 8);
  std::vector<std::uint8_t> codes(16);
  for (std::size_t c = 0; c < 16; ++c) codes[c] = static_cast<std::uint8_t>(15 - c);
  const GroupGrid grids[2] = {{0.5f, 8}, {0.25f, 1}};
  store_grouped_row(matrix, 3, codes, grids);
  const auto word = [](const Tensor& tensor, std::int64_t i) {
    return static_cast<std::uint32_t>(tensor.data<std::int32_t>()[i]);
  };
  // The lowest nibble first, along the columns; words of one row are `rows` apart.
  EXPECT_EQ(word(matrix.codes, 3), 0x89abcdefu);
  EXPECT_EQ(word(matrix.codes, 8 + 3), 0x01234567u);
  // Zero points minus one, along the rows.
  EXPECT_EQ(word(matrix.zeros, 0), 0x7000u);
  EXPECT_EQ(word(matrix.zeros, 1), 0x0000u);
  EXPECT_EQ(grouped_zero(matrix.zeros.data<std::int32_t>(), 8, 0, 3), 8);
  EXPECT_EQ(grouped_zero(matrix.zeros.data<std::int32_t>(), 8, 1, 3), 1);
  EXPECT_EQ(to_float(matrix.scales.data<fp16>()[8 + 3]), 0.25f);
  EXPECT_EQ(grouped_code(matrix.codes.data<std::int32_t>(), 8, 3, 9), 6);
  std::vector<float> row(16);
  decode_rows(matrix, 3, 4, row.data());
  EXPECT_EQ(row[0], 0.5f * (15 - 8));
  EXPECT_EQ(row[15], 0.25f * (0 - 1));
}

TEST(Int4, ZeroPointsStayBetweenOneAndFifteen) {
  for (const auto& [low, high, zero] :
       {std::tuple{0.0f, 7.0f, 1}, std::tuple{-7.0f, 0.0f, 15}, std::tuple{-7.5f, 7.5f, 8},
        std::tuple{0.5f, 7.0f, 1}, std::tuple{-0.01f, 7.0f, 1}, std::tuple{0.0f, 0.0f, 8}}) {
    const GroupGrid grid = group_grid(low, high, false, "w");
    EXPECT_EQ(grid.zero, zero) << low << " " << high;
    EXPECT_EQ(grid.scale, to_float(to_fp16(grid.scale)));
    EXPECT_NEAR(grid.value(grid.code(low)), low, grid.scale * 0.51f);
    EXPECT_NEAR(grid.value(grid.code(high)), high, grid.scale * 0.51f);
  }
  EXPECT_EQ(group_grid(-1.0f, 3.0f, true, "w").zero, 8);
}

}  // namespace
}  // namespace plimsoll::quant
