// What layers are made of, as kernels of a GPU: each checked, traced and enqueued.
#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/trace.h"
#include "kernels/activation/activation_cuda.h"
#include "kernels/attention_decode/attention_decode_cuda.h"
#include "kernels/attention_prefill/attention_prefill_cuda.h"
#include "kernels/choose_token/choose_token_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/product/product_cuda.h"
#include "kernels/rms_norm/norm_cuda.h"
#include "kernels/rope/append_kv_cuda.h"
#include "ops/cuda/device_cuda.h"

namespace plimsoll::ops {

namespace {

namespace gemv = kernels::gemv;
using gemv::Epilogue;

/// Declares the work of a kernel. While a trace is recorded the device is waited for, so that a
/// scope's time is its kernel's, the launch included.
class Scope {
 public:
  Scope(Device& device, std::string_view name, std::int64_t bytes, std::int64_t operations)
      : device_(device), scope_(name, bytes, operations, "fp16") {}
  ~Scope() {
    if (trace::recording()) device_.synchronize();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Device& device_;
  trace::Scope scope_;
};

std::int64_t bytes(const Tensor& tensor) {
  return static_cast<std::int64_t>(tensor.bytes());
}

/// "gemv_nf4_dq_cuda": for the few rows of a decoding step; "gemm_nf4_dq_cuda": for more.
std::string_view product_name(quant::WeightFormat format, std::int64_t rows) {
  static std::set<std::string> names;  // traces keep views of them
  std::string name = fmt::format("{}_{}_cuda", rows < kernels::product::kManyRows ? "gemv" : "gemm",
                                 quant::format_name(format));
  std::ranges::replace(name, '-', '_');
  return *names.insert(std::move(name)).first;
}

const DeviceLinear& weights_of(const Linear& layer) {
  PLIMSOLL_CHECK(layer.device != nullptr, "{} was not moved to the GPU", layer.name);
  return *layer.device;
}

kernels::DeviceElementwiseArgs elementwise(const Tensor& a, const Tensor& b, Tensor& y) {
  kernels::DeviceElementwiseArgs args;
  args.a = a.address<float>();
  args.a_stride = a.dim(1);
  args.b = b.address<float>();
  args.b_stride = b.dim(1);
  args.rows = y.dim(0);
  args.width = y.dim(1);
  args.y = y.address<float>();
  args.y_stride = y.dim(1);
  return args;
}

}  // namespace

Tensor CudaDevice::activations(std::int64_t rows, std::int64_t width) {
  const std::shared_ptr<std::byte> data = scratch_->take(
      static_cast<std::size_t>(rows * width) * sizeof(float), "a step's activations");
  return Tensor::on_device(*this, data.get(), DType::f32, {rows, width}, data);
}

Tensor CudaDevice::embedding(const DeviceRows& rows, const quant::Matrix& table,
                             const quant::Matrix* positions) {
  Tensor x = activations(rows.ids.size(), table.columns);
  const trace::Part part("embedding");
  const Scope scope(*this, "embedding_cuda", bytes(x), 0);
  kernels::DeviceEmbeddingArgs args;
  args.ids = rows.ids.address<std::int32_t>();
  args.rows = rows.ids.size();
  args.table = table.codes.raw();
  args.vocabulary = table.rows;
  args.width = table.columns;
  args.dtype = table.codes.dtype();
  args.y = x.address<float>();
  if (positions != nullptr) {
    PLIMSOLL_CHECK(positions->codes.dtype() == args.dtype);
    args.positions = rows.positions.address<std::int32_t>();
    args.position_table = positions->codes.raw();
    args.position_count = positions->rows;
  }
  kernels::embed(args, stream_.get());
  return x;
}

Tensor CudaDevice::norm(const Tensor& x, const Norm& norm) {
  Tensor y = activations(x.dim(0), x.dim(1));
  const trace::Part part("norm");
  const Scope scope(*this, norm.bias != nullptr ? "layer_norm_cuda" : "rms_norm_cuda", 2 * bytes(x),
                    5 * x.size());
  kernels::DeviceNormArgs args;
  args.x = x.address<float>();
  args.rows = x.dim(0);
  args.width = x.dim(1);
  args.weight = norm.weight.address<float>();
  args.bias = norm.bias != nullptr ? norm.bias->address<float>() : nullptr;
  args.epsilon = norm.epsilon;
  args.y = y.address<float>();
  (norm.bias != nullptr ? kernels::layer_norm : kernels::rms_norm)(args, stream_.get());
  return y;
}

void CudaDevice::product(const Tensor& x, const Norm* norm, const DeviceLinear& linear,
                         Epilogue epilogue, Tensor& y) {
  PLIMSOLL_CHECK(x.dim(1) == linear.columns, "x is {}, W is [{}, {}]", to_string(x.shape()),
                 linear.rows, linear.columns);
  const std::int64_t rows = x.dim(0);
  const Scope scope(*this, product_name(linear.format, rows), linear.bytes + bytes(x) + bytes(y),
                    2 * rows * linear.rows * linear.columns);
  gemv::Args args;
  args.weights = &linear.weights.view();
  args.x = x.address<float>();
  args.rows = static_cast<int>(rows);
  if (norm != nullptr) {
    args.norm = norm->weight.address<float>();
    args.norm_bias = norm->bias != nullptr ? norm->bias->address<float>() : nullptr;
    args.epsilon = norm->epsilon;
  }
  args.bias = linear.bias.defined() ? linear.bias.address<float>() : nullptr;
  args.epilogue = epilogue;
  args.y = y.address<float>();
  const auto workspace =
      scratch_->take(kernels::product::workspace_bytes(*args.weights, rows), "a product");
  args.scratch = workspace.get();
  kernels::product::run(args, stream_.get());
}

Tensor CudaDevice::products(const Tensor& x, const Norm* norm,
                            std::span<const Linear* const> layers) {
  const auto together = std::ranges::all_of(
      layers, [&](const Linear* layer) { return layer->device == layers.front()->device; });
  if (together) {
    const DeviceLinear& linear = weights_of(*layers.front());
    Tensor y = activations(x.dim(0), linear.rows);
    product(x, norm, linear, Epilogue::store, y);
    return y;
  }
  std::int64_t width = 0;
  for (const Linear* layer : layers) width += weights_of(*layer).rows;
  Tensor y = activations(x.dim(0), width);
  std::int64_t begin = 0;
  for (const Linear* layer : layers) {
    const DeviceLinear& linear = weights_of(*layer);
    Tensor part = activations(x.dim(0), linear.rows);
    product(x, norm, linear, Epilogue::store, part);
    const auto row = static_cast<std::size_t>(linear.rows) * sizeof(float);
    PLIMSOLL_CUDA_CHECK(cudaMemcpy2DAsync(
        y.address<float>() + begin, static_cast<std::size_t>(width) * sizeof(float), part.raw(),
        row, row, static_cast<std::size_t>(x.dim(0)), cudaMemcpyDeviceToDevice, stream_.get()));
    begin += linear.rows;
  }
  return y;
}

Tensor CudaDevice::swiglu(const Tensor& x, const Norm& norm, const Linear& gate, const Linear& up) {
  const std::int64_t width = gate.weight.rows;
  if (gate.device == up.device) {
    Tensor y = activations(x.dim(0), width);
    product(x, &norm, weights_of(gate), Epilogue::swiglu, y);
    return y;
  }
  const Linear* const one[] = {&gate};
  const Linear* const other[] = {&up};
  Tensor y = products(x, &norm, one);
  const Tensor factor = products(x, &norm, other);
  const Scope scope(*this, "swiglu_cuda", 3 * bytes(y), 5 * y.size());
  kernels::swiglu(elementwise(y, factor, y), stream_.get());
  return y;
}

Tensor CudaDevice::gelu(const Tensor& x, const Norm& norm, const Linear& layer, bool tanh_form) {
  const DeviceLinear& linear = weights_of(layer);
  Tensor y = activations(x.dim(0), linear.rows);
  product(x, &norm, linear, tanh_form ? Epilogue::gelu_tanh : Epilogue::gelu_erf, y);
  return y;
}

void CudaDevice::add_product(const Tensor& x, const Linear& layer, Tensor& y) {
  product(x, nullptr, weights_of(layer), Epilogue::add, y);
}

Tensor CudaDevice::attention(const DeviceRows& rows, std::int64_t layer, Tensor& qkv,
                             const Heads& heads, const Tensor* frequencies,
                             const AttentionSettings& settings) {
  const std::int64_t count = rows.ids.size();
  PLIMSOLL_CHECK(qkv.dim(1) == (heads.query + 2 * heads.kv) * heads.dim && qkv.dim(0) == count);
  if (heads.dim % 8 != 0 || heads.dim > kernels::kMaxDeviceHeadDim) {
    throw InputError("the model", "head dim", fmt::format("{}", heads.dim),
                     fmt::format("a multiple of 8 up to {} on a GPU", kernels::kMaxDeviceHeadDim));
  }
  const kv::KvView view = rows.pool->layer(layer);
  kv::DeviceKv cache;
  cache.layout = view.layout;
  cache.keys = view.keys;
  cache.values = view.values;
  cache.key_scales = view.key_scales;
  cache.value_scales = view.value_scales;
  cache.tables = rows.tables.address<std::int32_t>();
  cache.table_stride = static_cast<std::int32_t>(rows.tables.dim(1));
  cache.sequences = rows.lines.address<std::int32_t>();
  cache.positions = rows.positions.address<std::int32_t>();

  const std::int64_t window = settings.window.value_or(0);
  const std::int64_t seen = window > 0 ? std::min(window, rows.longest) : rows.longest;
  const std::int64_t token_bytes =
      (view.layout.block_bytes() +
       2 * view.layout.block_scales() * static_cast<std::int64_t>(sizeof(float))) /
      kv::kBlockTokens;
  const auto sequences = static_cast<std::int64_t>(rows.spans.size());
  Tensor out = activations(count, heads.query * heads.dim);
  const float* q = qkv.address<float>();
  const float* k = q + heads.query * heads.dim;
  const float* v = k + heads.kv * heads.dim;
  const float* angles = frequencies != nullptr ? frequencies->address<float>() : nullptr;
  const std::int64_t work_bytes = bytes(qkv) + bytes(out) + sequences * seen * token_bytes;
  const std::int64_t work = 4 * count * seen * heads.query * heads.dim;

  const bool one_each =
      std::ranges::all_of(rows.spans, [](const auto& span) { return span.second == 1; });
  if (one_each) {
    const Scope scope(*this, "attention_decode_cuda", work_bytes, work);
    kernels::DeviceDecodeArgs args;
    args.q = q;
    args.q_stride = qkv.dim(1);
    args.rows = count;
    args.heads = heads.query;
    args.scale = settings.scale;
    args.window = window;
    args.kv = cache;
    args.out = out.address<float>();
    args.max_length = rows.longest;
    args.k = k;
    args.v = v;
    args.frequencies = angles;
    args.scratch =
        prepared("attention", kernels::attention_decode_scratch(count, heads.query, heads.dim));
    kernels::attention_decode(args, stream_.get());
    return out;
  }
  {
    const Scope scope(*this, "append_kv_cuda", 2 * bytes(qkv), 3 * qkv.size());
    kernels::DeviceAppendArgs args;
    args.q = qkv.address<float>();
    args.k = k;
    args.v = v;
    args.stride = qkv.dim(1);
    args.rows = count;
    args.heads = heads.query;
    args.frequencies = angles;
    args.kv = cache;
    kernels::append_kv(args, stream_.get());
  }
  std::vector<kernels::PrefillSpan> spans;
  spans.reserve(rows.spans.size());
  for (const auto& [begin, length] : rows.spans) spans.push_back({begin, length});
  const Scope scope(*this, "attention_prefill_cuda", work_bytes, work);
  kernels::DevicePrefillArgs args;
  args.q = q;
  args.q_stride = qkv.dim(1);
  args.heads = heads.query;
  args.scale = settings.scale;
  args.window = window;
  args.kv = cache;
  args.out = out.address<float>();
  args.spans = spans;
  args.max_length = rows.longest;
  args.scratch = prepared("attention", kernels::attention_decode_scratch(
                                           kernels::kPrefillScratchRows, heads.query, heads.dim));
  kernels::attention_prefill(args, stream_.get());
  return out;
}

void CudaDevice::choose(const Tensor& logits, const DeviceRows& rows, DeviceTokens& tokens) {
  const trace::Part part("sampling");
  const Scope scope(*this, "choose_token_cuda", bytes(logits), logits.size());
  kernels::DeviceChooseArgs args;
  args.logits = logits.address<float>();
  args.stride = logits.dim(1);
  args.rows = logits.dim(0);
  args.vocabulary = logits.dim(1);
  args.ids = rows.ids.address<std::int32_t>();
  args.positions = rows.positions.address<std::int32_t>();
  const auto& host = static_cast<const CudaTokens&>(tokens);
  args.chosen = host.chosen();
  args.chosen_steps = DeviceTokens::kAhead;
  args.step = host.step();
  args.scratch = prepared("the choice of tokens", kernels::choose_token_scratch(args.rows));
  kernels::choose_token(args, stream_.get());
}

}  // namespace plimsoll::ops
