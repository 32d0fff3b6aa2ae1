#include "kernels/gemv/gemv_cuda.h"

#include <algorithm>

#include "kernels/gemv/gemv_plan_cuda.h"
#include "quant/int8.h"

namespace plimsoll::kernels::gemv {

namespace {

cuda::Buffer uploaded(const Tensor& tensor, std::string_view what) {
  if (!tensor.defined()) return {};
  cuda::Buffer buffer(tensor.bytes(), what);
  buffer.upload(tensor.raw(), tensor.bytes(), 0);
  return buffer;
}

cuda::Buffer cloned(const cuda::Buffer& buffer, std::string_view what) {
  cuda::Buffer copy(buffer.bytes(), what);
  if (buffer.bytes() > 0) {
    PLIMSOLL_CUDA_CHECK(
        cudaMemcpy(copy.data(), buffer.data(), buffer.bytes(), cudaMemcpyDeviceToDevice));
  }
  return copy;
}

}  // namespace

UploadedWeights::UploadedWeights(const Packed& packed, std::string_view what)
    : codes_(uploaded(packed.codes, what)),
      scales_(uploaded(packed.scales, what)),
      row_meta_(uploaded(packed.row_meta, what)),
      nested_(uploaded(packed.nested_table, what)),
      levels_(uploaded(packed.levels, what)),
      gather_(uploaded(packed.gather, what)) {
  view_.format = packed.format;
  view_.order = packed.order;
  view_.columns = static_cast<int>(packed.columns);
  view_.tiles = static_cast<int>(packed.tiles);
  view_.chunks = static_cast<int>(packed.chunks);
  view_.codes = codes_.data<unsigned char>();
  view_.scales = scales_.data<unsigned char>();
  view_.row_meta = row_meta_.data<float>();
  std::copy_n(packed.low_levels, 2, view_.low_levels);
  std::copy_n(packed.high_levels, 2, view_.high_levels);
  view_.level_unit = packed.level_unit;
  view_.nested_table = nested_.data<float>();
  view_.levels = levels_.data<float>();
  view_.gather = gather_.data<std::int32_t>();
  view_.outlier_threshold = packed.outlier_threshold;
  view_.input_scale = packed.input_scale;
  view_.input_zero = packed.input_zero;
  view_.source_bf16 = packed.source_dtype == DType::bf16;
}

UploadedWeights UploadedWeights::clone(std::string_view what) const {
  UploadedWeights copy;
  copy.view_ = view_;
  copy.codes_ = cloned(codes_, what);
  copy.scales_ = cloned(scales_, what);
  copy.row_meta_ = cloned(row_meta_, what);
  copy.nested_ = cloned(nested_, what);
  copy.levels_ = cloned(levels_, what);
  copy.gather_ = cloned(gather_, what);
  copy.view_.codes = copy.codes_.data<unsigned char>();
  copy.view_.scales = copy.scales_.data<unsigned char>();
  copy.view_.row_meta = copy.row_meta_.data<float>();
  copy.view_.nested_table = copy.nested_.data<float>();
  copy.view_.levels = copy.levels_.data<float>();
  copy.view_.gather = copy.gather_.data<std::int32_t>();
  return copy;
}

namespace {

Family family_of(const DeviceWeights& weights) {
  switch (weights.format) {
    case Format::int8:
      // With outliers activations are 16-bit ones, all of them.
      return weights.outlier_threshold > 0 ? dense_family(weights.format)
                                           : int8_family(weights.format);
    case Format::int8_static:
      return int8_family(weights.format);
    case Format::table4:
    case Format::table4_dq:
    case Format::int4:
      return table4_family(weights.format);
    default:
      return dense_family(weights.format);
  }
}

}  // namespace

const Limits& limits() {
  static const Limits kLimits = [] {
    const auto attribute = [](cudaDeviceAttr which) {
      int device = 0;
      int value = 0;
      PLIMSOLL_CUDA_CHECK(cudaGetDevice(&device));
      PLIMSOLL_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, device));
      return value;
    };
    return Limits{attribute(cudaDevAttrMultiProcessorCount),
                  attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin),
                  attribute(cudaDevAttrComputeCapabilityMajor)};
  }();
  return kLimits;
}

std::size_t scratch_bytes(const DeviceWeights& weights, int rows) {
  return rows < 2 ? 0 : family_of(weights).scratch_bytes(weights);
}

const char* refusal(const DeviceWeights& weights, int norms) {
  const int columns = weights.chunks * chunk_columns(weights.format);
  if (columns > kMaxColumns) return "more columns than gemv takes";
  if (weights.gather == nullptr && columns != weights.columns) return "columns in no whole chunks";
  if (weights.format == Format::bf16 && limits().major < 8) return "a GPU that multiplies no bf16";
  Plan plan;
  plan.w = weights;
  const float vector = 0;  // that there is one is all that counts
  if (norms > 0) plan.args.norm = &vector;
  if (norms > 1) plan.args.norm_bias = &vector;
  const bool fits =
      family_of(weights).shared_bytes(plan) <= static_cast<std::uint32_t>(limits().shared);
  return fits ? nullptr : "a row that does not fit into a multiprocessor's shared memory";
}

Support supports(const Args& args) {
  if (args.rows < 1 || args.rows > kMaxRows) {
    return Support::no(fmt::format("{} rows, up to {} are possible", args.rows, kMaxRows));
  }
  const int norms = (args.norm != nullptr) + (args.norm_bias != nullptr);
  if (const char* const why = refusal(*args.weights, norms); why != nullptr)
    return Support::no(why);
  if (args.epilogue == Epilogue::swiglu && args.weights->order.pairing != Pairing::halves) {
    return Support::no("SwiGLU needs weights that are paired by halves");
  }
  if (args.rows > 1 && args.scratch == nullptr) {
    return Support::no("several rows need scratch_bytes() of scratch");
  }
  return Support::yes();
}

void run(const Args& args, cudaStream_t stream) {
  const Support support = supports(args);
  PLIMSOLL_CHECK(support, "{}", support.reason);
  Plan plan;
  plan.args = args;
  plan.w = *args.weights;
  plan.product_scale = quant::kInt8ProductScale;
  plan.weight_scale = quant::kInt8WeightScale;
  family_of(plan.w).run(plan, stream);
}

}  // namespace plimsoll::kernels::gemv
