// Products on a GPU, with what stands before and behind them.
#include <algorithm>
#include <set>

#include "core/error.h"
#include "kernels/activation/activation_cuda.h"
#include "kernels/low_rank/low_rank_cuda.h"
#include "kernels/product/product_cuda.h"
#include "ops/cuda/device_cuda.h"
#include "ops/cuda/elementwise_cuda.h"
#include "ops/cuda/scope_cuda.h"

namespace plimsoll::ops {

namespace {

namespace gemv = kernels::gemv;
using gemv::Epilogue;

/// "gemv_nf4_dq_cuda": for the few rows of a decoding step; "gemv_general_nf4_dq_cuda": the same of
/// any width; "gemm_nf4_dq_cuda": for more; "gemm_decoded_nf4_dq_cuda": through cuBLASLt.
std::string_view product_name(const DeviceLinear& linear, kernels::product::Route route) {
  using kernels::product::Route;
  static std::set<std::string> names;  // traces keep views of them
  std::string name = fmt::format("{}_{}_cuda",
                                 route == Route::gemv      ? "gemv"
                                 : route == Route::general ? "gemv_general"
                                 : route == Route::packed  ? "gemm"
                                                           : "gemm_decoded",
                                 quant::format_name(linear.format));
  std::ranges::replace(name, '-', '_');
  return *names.insert(std::move(name)).first;
}

const DeviceLinear& weights_of(const Linear& layer) {
  PLIMSOLL_CHECK(layer.device != nullptr, "{} was not moved to the GPU", layer.name);
  return *layer.device;
}

/// As chosen; with Numerics::invariant, whose choice is one of few rows, so many at a time.
void run_product(const Context& context, const kernels::product::Choice& choice,
                 const kernels::product::Args& args, std::int64_t x_width, std::int64_t y_width,
                 cudaStream_t stream) {
  if (context.numerics != Numerics::invariant)
    return kernels::product::run_as(choice, args, stream);
  kernels::product::Args some = args;
  for (int row = 0; row < args.rows; row += gemv::kMaxRows) {
    some.rows = std::min(gemv::kMaxRows, args.rows - row);
    some.x = args.x + row * x_width;
    some.y = args.y + row * y_width;
    kernels::product::run_as(choice, some, stream);
  }
}

}  // namespace

Tensor CudaDevice::between(const Context& context, const DeviceLinear& first, std::int64_t rows,
                           std::int64_t width) {
  const bool whole = rows < kernels::product::kManyRows || adapted_ ||
                     context.numerics == Numerics::invariant ||
                     first.format == quant::WeightFormat::fp32;
  if (whole) return activations(rows, width);
  return activations(rows, width, first.weights.view().source_bf16 ? DType::bf16 : DType::f16);
}

void CudaDevice::plain_product(const Context& context, const Tensor& x, const Norm* norm,
                               const DeviceLinear& linear, Epilogue epilogue, Tensor& y) {
  PLIMSOLL_CHECK(x.dim(1) == linear.columns, "x is {}, W is [{}, {}]", to_string(x.shape()),
                 linear.rows, linear.columns);
  const std::int64_t rows = x.dim(0);
  const int norms = norm == nullptr ? 0 : norm->bias == nullptr ? 1 : 2;
  kernels::product::Choice choice;
  if (context.numerics == Numerics::invariant) {
    choice = kernels::product::choose_few(linear.weights.view(), norms);
    if (choice.route == kernels::product::Route::gemv) choice.reason = "invariant numerics";
  } else {
    choice = kernels::product::choose(linear.weights.view(), rows, norms);
  }
  const std::string_view name = product_name(linear, choice.route);
  if (context.explain != nullptr) {
    const bool outliers = choice.route == kernels::product::Route::gemv &&
                          linear.format == quant::WeightFormat::int8 &&
                          linear.weights.view().outlier_threshold > 0;
    (*context.explain)(fmt::format(
        "product: {}: {}{}", name, choice.reason,
        outliers ? "; every activation is multiplied in 16 bits, not the outliers alone" : ""));
  }
  const Scope scope(*this, name, linear.bytes + bytes(x) + bytes(y),
                    2 * rows * linear.rows * linear.columns);
  kernels::product::Args args;
  args.weights = &linear.weights.view();
  if (x.dtype() == DType::f32) {
    args.x = x.address<float>();
  } else {
    args.x16 = x.raw();
  }
  args.bf16 = x.dtype() == DType::bf16 || y.dtype() == DType::bf16;
  args.rows = static_cast<int>(rows);
  if (norm != nullptr) {
    args.norm = norm->weight.address<float>();
    args.norm_bias = norm->bias != nullptr ? norm->bias->address<float>() : nullptr;
    args.epsilon = norm->epsilon;
  }
  args.bias = linear.bias.defined() ? linear.bias.address<float>() : nullptr;
  args.epilogue = epilogue;
  if (y.dtype() == DType::f32) {
    args.y = y.address<float>();
  } else {
    args.y16 = y.raw();
  }
  const auto workspace =
      scratch_->take(kernels::product::workspace_bytes(*args.weights, rows), "a product");
  args.scratch = workspace.get();
  run_product(context, choice, args, x.dim(1), y.dim(1), stream_.get());
}

void CudaDevice::product(const Context& context, const Tensor& x, const Norm* norm,
                         const DeviceLinear& linear, Epilogue epilogue, Tensor& y) {
  if (!linear.adapters) return plain_product(context, x, norm, linear, epilogue, y);
  const DeviceAdapters& adapters = *linear.adapters;
  // The activation comes behind the addition.
  const bool activates = epilogue != Epilogue::store && epilogue != Epilogue::add;
  const std::int64_t rows = x.dim(0);
  Tensor sums = activates ? activations(rows, linear.rows) : y;
  plain_product(context, x, norm, linear, activates ? Epilogue::store : epilogue, sums);
  const Tensor inner = activations(rows, adapters.ranks);
  const Scope scope(*this, "low_rank_cuda", adapters.bytes + bytes(x) + bytes(sums) + bytes(y),
                    2 * rows * adapters.ranks * (linear.rows + linear.columns));
  kernels::low_rank::Args args;
  args.rows = static_cast<int>(rows);
  args.columns = static_cast<int>(adapters.columns);
  Tensor padded;
  if (adapters.columns == linear.columns) {
    args.x = x.address<float>();
    if (norm != nullptr) {
      args.norm = norm->weight.address<float>();
      args.norm_bias = norm->bias != nullptr ? norm->bias->address<float>() : nullptr;
      args.epsilon = norm->epsilon;
    }
  } else {
    padded = normed(x, norm, adapters.columns);
    args.x = padded.address<float>();
  }
  args.a = adapters.a.data<float>();
  args.b = adapters.b.data<float>();
  args.ranks = static_cast<int>(adapters.ranks);
  args.outputs = static_cast<int>(linear.rows);
  std::ranges::copy(adapters.parts, args.parts);
  args.part_count = static_cast<int>(adapters.parts.size());
  args.inner = inner.address<float>();
  args.sums = sums.address<float>();
  args.epilogue = epilogue;
  args.y = y.address<float>();
  kernels::low_rank::run(args, stream_.get());
}

Tensor CudaDevice::products(const Context& context, const Tensor& x, const Norm* norm,
                            std::span<const Linear* const> layers) {
  const auto together = std::ranges::all_of(
      layers, [&](const Linear* layer) { return layer->device == layers.front()->device; });
  if (together) {
    const DeviceLinear& linear = weights_of(*layers.front());
    Tensor y = activations(x.dim(0), linear.rows);
    product(context, x, norm, linear, Epilogue::store, y);
    return y;
  }
  std::int64_t width = 0;
  for (const Linear* layer : layers) width += weights_of(*layer).rows;
  Tensor y = activations(x.dim(0), width);
  std::int64_t begin = 0;
  for (const Linear* layer : layers) {
    const DeviceLinear& linear = weights_of(*layer);
    Tensor part = activations(x.dim(0), linear.rows);
    product(context, x, norm, linear, Epilogue::store, part);
    const auto row = static_cast<std::size_t>(linear.rows) * sizeof(float);
    PLIMSOLL_CUDA_CHECK(cudaMemcpy2DAsync(
        y.address<float>() + begin, static_cast<std::size_t>(width) * sizeof(float), part.raw(),
        row, row, static_cast<std::size_t>(x.dim(0)), cudaMemcpyDeviceToDevice, stream_.get()));
    begin += linear.rows;
  }
  return y;
}

Tensor CudaDevice::swiglu(const Context& context, const Tensor& x, const Norm& norm,
                          const Linear& gate, const Linear& up) {
  const std::int64_t width = gate.weight.rows;
  if (gate.device == up.device) {
    Tensor y = between(context, weights_of(gate), x.dim(0), width);
    product(context, x, &norm, weights_of(gate), Epilogue::swiglu, y);
    return y;
  }
  const Linear* const one[] = {&gate};
  const Linear* const other[] = {&up};
  Tensor y = products(context, x, &norm, one);
  const Tensor factor = products(context, x, &norm, other);
  const Scope scope(*this, "swiglu_cuda", 3 * bytes(y), 5 * y.size());
  kernels::swiglu(elementwise(y, factor, y), stream_.get());
  return y;
}

Tensor CudaDevice::gelu(const Context& context, const Tensor& x, const Norm& norm,
                        const Linear& layer, bool tanh_form) {
  const DeviceLinear& linear = weights_of(layer);
  Tensor y = between(context, linear, x.dim(0), linear.rows);
  product(context, x, &norm, linear, tanh_form ? Epilogue::gelu_tanh : Epilogue::gelu_erf, y);
  return y;
}

void CudaDevice::add_product(const Context& context, const Tensor& x, const Linear& layer,
                             Tensor& y) {
  product(context, x, nullptr, weights_of(layer), Epilogue::add, y);
}

}  // namespace plimsoll::ops
