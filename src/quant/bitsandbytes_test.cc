// Byte for byte against bitsandbytes on CUDA: tests/golden/bitsandbytes.safetensors (codes,
// statistics and products of three matrices) and the tiny checkpoints that transformers wrote with
// it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "quant/block4.h"
#include "quant/codec.h"
#include "quant/dynamic_map.h"
#include "quant/int8.h"
#include "storage/safetensors.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

const SafetensorsFile& golden_values() {
  static const SafetensorsFile file =
      SafetensorsFile::open(test::golden("bitsandbytes.safetensors"));
  return file;
}

// Compares bits, so that -0 and 0 differ.
void expect_same_bytes(const Tensor& actual, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(actual.dtype(), expected.dtype()) << what;
  ASSERT_EQ(actual.shape(), expected.shape()) << what;
  if (std::memcmp(actual.raw(), expected.raw(), expected.bytes()) == 0) return;
  std::size_t byte = 0;
  while (actual.raw()[byte] == expected.raw()[byte]) ++byte;
  FAIL() << what << ": first difference in element " << byte / dtype_size(actual.dtype()) << " of "
         << actual.size();
}

struct Block4Case {
  const char* weight;
  WeightFormat format;
};

std::string name_of(const testing::TestParamInfo<Block4Case>& info) {
  std::string name =
      info.param.weight + std::string("_") + std::string(format_name(info.param.format));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class Block4Golden : public testing::TestWithParam<Block4Case> {};

TEST_P(Block4Golden, CodesStatisticsAndValuesAreTheSameBytes) {
  const auto [weight, format] = GetParam();
  const SafetensorsFile& file = golden_values();
  const bool nested = format == WeightFormat::nf4_dq || format == WeightFormat::fp4_dq;
  const bool nf4 = format == WeightFormat::nf4 || format == WeightFormat::nf4_dq;
  const std::string prefix =
      std::string(weight) + (nf4 ? ".nf4." : ".fp4.") + (nested ? "dq." : "");

  const Tensor weights = file.tensor(std::string(weight) + ".weight");
  const Matrix matrix = encode(format, weights, {.source_dtype = DType::f32}, weight);
  expect_same_bytes(matrix.codes, file.tensor(prefix + "packed"), "codes");
  expect_same_bytes(matrix.scales, file.tensor(prefix + "absmax"), "absmax");
  if (nested) {
    expect_same_bytes(matrix.nested_scales, file.tensor(prefix + "nested_absmax"), "nested absmax");
    expect_same_bytes(matrix.nested_table, file.tensor(prefix + "nested_quant_map"), "nested map");
    EXPECT_EQ(matrix.nested_offset, file.tensor(prefix + "nested_offset").data<float>()[0]);
  }
  expect_same_bytes(matrix.table, file.tensor(nf4 ? "nf4.quant_map" : "fp4.quant_map"), "table");
  expect_same_bytes(decode(matrix), file.tensor(prefix + "dequantized"), "dequantised values");
}

INSTANTIATE_TEST_SUITE_P(Weights, Block4Golden, testing::ValuesIn([] {
                           std::vector<Block4Case> cases;
                           for (const char* weight : {"a", "b", "c"}) {
                             for (const WeightFormat format :
                                  {WeightFormat::nf4, WeightFormat::nf4_dq, WeightFormat::fp4,
                                   WeightFormat::fp4_dq}) {
                               cases.push_back({weight, format});
                             }
                           }
                           return cases;
                         }()),
                         name_of);

TEST(Int8Golden, CodesAndScalesAreTheSameBytes) {
  const SafetensorsFile& file = golden_values();
  const Matrix matrix = encode(WeightFormat::int8, file.tensor("int8.weight"), {}, "int8.weight");
  expect_same_bytes(matrix.codes, file.tensor("int8.CB"), "codes");
  expect_same_bytes(matrix.scales, file.tensor("int8.SCB"), "scales");
}

TEST(Int8Golden, ProductsAgreeWithinHalfPrecision) {
  const SafetensorsFile& file = golden_values();
  Tensor x = file.tensor("int8.x").clone();
  for (float& value : x.span<float>()) value = to_float(to_fp16(value));  // what theirs was given
  const std::int64_t rows = x.dim(0);
  for (const float threshold : {6.0f, 0.0f}) {
    const Matrix matrix =
        encode(WeightFormat::int8, file.tensor("int8.weight"),
               {.outlier_threshold = threshold, .outliers_by_batch = true}, "int8.weight");
    Tensor y = Tensor::empty(DType::f32, {rows, matrix.rows});
    int8_linear_reference(matrix, x.data<float>(), rows, y.data<float>());
    const Tensor expected =
        file.tensor(threshold > 0 ? "int8.out_threshold6" : "int8.out_threshold0");
    // Theirs rounds the integer product to f16, then the sum with the outliers' f16 product: two
    // halves of a unit in the last place, of numbers up to the largest of the output, and half a
    // unit more for their order of summation.
    float largest = 0;
    for (const float value : expected.span<float>()) largest = std::max(largest, std::fabs(value));
    const float unit = std::ldexp(1.0f, std::ilogb(largest) - 10);
    for (std::int64_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y.data<float>()[i], expected.data<float>()[i],
                  (threshold > 0 ? 1.5f : 0.5f) * unit)
          << "threshold " << threshold << ", element " << i;
    }
  }
}

struct CheckpointCase {
  const char* source;
  const char* quantised;
  WeightFormat format;
  bool transposed;  // the source holds Conv1D weights [in, out]; bitsandbytes' [out, in]
  int matrices;
};

Tensor transposed(const Tensor& tensor) {
  Tensor result = Tensor::empty(DType::f32, {tensor.dim(1), tensor.dim(0)});
  for (std::int64_t r = 0; r < tensor.dim(0); ++r) {
    for (std::int64_t c = 0; c < tensor.dim(1); ++c) {
      result.data<float>()[c * tensor.dim(0) + r] = tensor.data<float>()[r * tensor.dim(1) + c];
    }
  }
  return result;
}

float nested_offset(const SafetensorsFile& file, const std::string& weight) {
  const Tensor state = file.tensor(weight + ".quant_state.bitsandbytes__nf4");
  const auto* bytes = reinterpret_cast<const char*>(state.raw());
  return nlohmann::json::parse(bytes, bytes + state.bytes()).at("nested_offset").get<float>();
}

class CheckpointGolden : public testing::TestWithParam<CheckpointCase> {};

TEST_P(CheckpointGolden, EveryQuantisedTensorIsTheSameBytes) {
  const CheckpointCase& checkpoint = GetParam();
  const auto source = SafetensorsFile::open(test::golden(checkpoint.source) / "model.safetensors");
  const auto quantised =
      SafetensorsFile::open(test::golden(checkpoint.quantised) / "model.safetensors");
  const std::string statistic = checkpoint.format == WeightFormat::int8 ? ".SCB" : ".weight.absmax";
  int matrices = 0;
  for (const auto& [key, info] : quantised.tensors()) {
    if (!key.ends_with(statistic)) continue;
    const std::string weight = key.substr(0, key.size() - statistic.size()) + ".weight";
    SCOPED_TRACE(weight);
    const Tensor weights = source.tensor(weight);
    const Matrix matrix = encode(checkpoint.format,
                                 checkpoint.transposed ? transposed(weights) : weights, {}, weight);
    expect_same_bytes(matrix.codes, quantised.tensor(weight), "codes");
    expect_same_bytes(matrix.scales, quantised.tensor(key), "scales");
    if (checkpoint.format != WeightFormat::int8) {
      expect_same_bytes(matrix.table, quantised.tensor(weight + ".quant_map"), "table");
    }
    if (checkpoint.format == WeightFormat::nf4_dq) {
      expect_same_bytes(matrix.nested_scales, quantised.tensor(weight + ".nested_absmax"),
                        "nested");
      expect_same_bytes(matrix.nested_table, quantised.tensor(weight + ".nested_quant_map"), "map");
      EXPECT_EQ(matrix.nested_offset, nested_offset(quantised, weight));
    }
    ++matrices;
  }
  EXPECT_EQ(matrices, checkpoint.matrices);
}

INSTANTIATE_TEST_SUITE_P(
    Models, CheckpointGolden,
    testing::Values(
        CheckpointCase{"mistral-tiny", "mistral-tiny-bnb-fp4", WeightFormat::fp4, false, 14},
        CheckpointCase{"mistral-tiny", "mistral-tiny-bnb-nf4-dq", WeightFormat::nf4_dq, false, 14},
        CheckpointCase{"mistral-tiny", "mistral-tiny-bnb-int8", WeightFormat::int8, false, 14},
        CheckpointCase{"gpt2-tiny", "gpt2-tiny-bnb-nf4-dq", WeightFormat::nf4_dq, true, 8}),
    [](const auto& param) {
      std::string name = param.param.quantised;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace plimsoll::quant
