#include "ops/linear.h"

#include "core/cpu.h"
#include "core/trace.h"
#include "kernels/activation/activation.h"
#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/gemm_dense_panels/gemm_dense_panels.h"
#include "kernels/gemm_fp8/gemm_fp8.h"
#include "kernels/gemm_int4/gemm_int4.h"
#include "kernels/gemm_int8/gemm_int8.h"
#include "kernels/gemm_int8_panels/gemm_int8_panels.h"
#include "kernels/gemm_table4/gemm_table4.h"
#include "kernels/gemm_table4_panels/gemm_table4_panels.h"
#include "kernels/panels/panels.h"
#include "ops/device.h"
#include "ops/elementwise.h"
#include "ops/training_device.h"

namespace plimsoll::ops {

namespace {

using kernels::LinearArgs;
using quant::WeightFormat;

std::span<const KernelVariant<LinearArgs>> panel_variants_for(WeightFormat format) {
  switch (format) {
    case WeightFormat::fp32:
    case WeightFormat::fp16:
    case WeightFormat::bf16:
    case WeightFormat::fp8:
      return kernels::gemm_dense_panels_variants();
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      return kernels::gemm_int8_panels_variants();
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
    case WeightFormat::int4:
    case WeightFormat::gptq:
      return kernels::gemm_table4_panels_variants();
  }
  PLIMSOLL_CHECK(false, "unknown format");
}

std::span<const KernelVariant<LinearArgs>> variants_for(const quant::Matrix& matrix) {
  if (matrix.layout == quant::Layout::panels) return panel_variants_for(matrix.format);
  switch (matrix.format) {
    case WeightFormat::fp32:
    case WeightFormat::fp16:
    case WeightFormat::bf16:
      return kernels::gemm_dense_variants();
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
      return kernels::gemm_int8_variants();
    case WeightFormat::fp8:
      return kernels::gemm_fp8_variants();
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
    case WeightFormat::log4:
      return kernels::gemm_table4_variants();
    case WeightFormat::int4:
    case WeightFormat::gptq:
      return kernels::gemm_int4_variants();
  }
  PLIMSOLL_CHECK(false, "unknown format");
}

/// x W^T, with the kernel of W's format.
Tensor product(const Context& context, const Tensor& x, const quant::Matrix& w) {
  Tensor y = Tensor::empty(DType::f32, {x.dim(0), w.rows});
  if (x.dim(0) == 0) return y;
  if (context.numerics == Numerics::invariant && w.outliers_by_batch) {
    throw InputError("--numerics", "promise", "invariant",
                     "fast with --outlier-scope batch, where a token's result depends on the rows "
                     "beside it by definition");
  }
  const LinearArgs args{x.data<float>(), x.dim(0),        &w,
                        y.data<float>(), context.compute, context.numerics};
  const auto& variant = choose_variant(variants_for(w), args);
  const std::int64_t bytes =
      quant::matrix_bytes(w) + static_cast<std::int64_t>(x.bytes() + y.bytes());
  const trace::Scope scope(variant.name, bytes, 2 * x.dim(0) * w.rows * w.columns,
                           unit_of(context.compute, w.format));
  variant.run(args);
  return y;
}

}  // namespace

Tensor linear(const Context& context, const Tensor& x, const Linear& layer) {
  if (context.device != nullptr) {
    const Linear* const layers[] = {&layer};
    if (x.device() != nullptr) return context.device->products(context, x, nullptr, layers);
    return context.device->products(context, x.to_device(*context.device, "an input"), nullptr,
                                    layers);
  }
  if (TrainingDevice* gpu = training_device(x)) return gpu->linear(x, layer);
  const quant::Matrix& w = layer.weight;
  PLIMSOLL_CHECK(x.dtype() == DType::f32 && x.shape().size() == 2 && x.dim(1) == w.columns,
                 "{}: x is {}, W is [{}, {}]", layer.name, to_string(x.shape()), w.rows, w.columns);
  if (context.observer != nullptr) (*context.observer)(layer, x);
  Tensor y = product(context, x, w);
  if (x.dim(0) == 0) return y;
  if (layer.bias.defined()) {
    const trace::Scope scope(
        "add_bias", static_cast<std::int64_t>(2 * y.bytes() + layer.bias.bytes()), y.size());
    kernels::add_bias(y.data<float>(), y.dim(0), y.dim(1), layer.bias.data<float>());
  }
  for (const LowRank& adapter : layer.adapters) {
    const Tensor addition = product(context, product(context, x, adapter.a), adapter.b);
    add_scaled(y, addition, adapter.scale);
  }
  return y;
}

std::string_view unit_of(Compute compute, WeightFormat weights) {
  if (compute == Compute::exact || weights == WeightFormat::fp32) return "fp32";
  // E4M3 values are bf16 values: that is what they are multiplied as.
  if (!quant::is_dense(weights) && weights != WeightFormat::fp8) return "int8";
  return current_isa() >= Isa::avx512_bf16 ? "bf16" : "fp32";
}

std::string_view unit_of(const Context& context, WeightFormat weights) {
  return context.device != nullptr ? "fp16" : unit_of(context.compute, weights);
}

bool pack(quant::Matrix& matrix) {
  if (matrix.layout == quant::Layout::panels || !kernels::can_pack(matrix)) return false;
  matrix = kernels::to_panels(matrix);
  return true;
}

LinearChoice choose_linear(const Context& context, const Linear& layer, std::int64_t rows) {
  LinearArgs args;
  args.rows = rows;
  args.weight = &layer.weight;
  args.compute = context.compute;
  args.numerics = context.numerics;
  LinearChoice choice;
  const auto variants = variants_for(layer.weight);
  const auto& chosen = choose_variant(variants, args);
  choice.kernel = chosen.name;
  choice.isa = chosen.isa;
  for (const auto& variant : variants) {
    if (&variant == &chosen) break;
    if (variant.available()) {
      choice.refused.push_back({variant.name, variant.isa, variant.supports(args).reason});
    }
  }
  return choice;
}

}  // namespace plimsoll::ops
