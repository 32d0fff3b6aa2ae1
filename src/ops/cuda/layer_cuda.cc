// What layers are made of but products, as kernels of a GPU: each checked, traced and enqueued.
#include <algorithm>

#include "core/error.h"
#include "kernels/attention_decode/attention_decode_cuda.h"
#include "kernels/attention_eager/attention_eager_cuda.h"
#include "kernels/attention_prefill/attention_prefill_cuda.h"
#include "kernels/choose_token/choose_token_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/rms_norm/norm_cuda.h"
#include "kernels/rope/append_kv_cuda.h"
#include "kernels/round_rows/round_rows_cuda.h"
#include "kv/kv_format.h"
#include "ops/cuda/device_cuda.h"
#include "ops/cuda/scope_cuda.h"

namespace plimsoll::ops {

Tensor CudaDevice::pooled(DType dtype, Shape shape) {
  const auto bytes = static_cast<std::size_t>(element_count(shape)) * dtype_size(dtype);
  const std::shared_ptr<std::byte> data = workspace(bytes, "a step's activations");
  return Tensor::on_device(*this, data.get(), dtype, std::move(shape), data);
}

bool CudaDevice::embeds(const Linear& layer) const {
  return layer.device != nullptr && quant::is_dense(layer.device->format) &&
         layer.device->rows == layer.weight.rows;
}

Tensor CudaDevice::embedding(const DeviceRows& rows, const quant::Matrix& table, const Linear* tied,
                             const quant::Matrix* positions) {
  Tensor x = activations(rows.ids.size(), table.columns);
  const trace::Part part("embedding");
  const Scope scope(*this, "embedding_cuda", bytes(x), 0);
  kernels::DeviceEmbeddingArgs args;
  args.ids = rows.ids.address<std::int32_t>();
  args.rows = rows.ids.size();
  args.packed = !table.codes.defined();
  PLIMSOLL_CHECK(!args.packed || (tied != nullptr && embeds(*tied)));
  if (args.packed) {
    args.table = tied->device->weights.view().codes;
    args.dtype = quant::dense_dtype(tied->device->format);
  } else {
    args.table = table.codes.raw();
    args.dtype = table.codes.dtype();
  }
  args.vocabulary = table.rows;
  args.width = table.columns;
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

Tensor CudaDevice::normed(const Tensor& x, const Norm* norm, std::int64_t width) {
  Tensor y = activations(x.dim(0), width);
  const Scope scope(*this, "round_rows_cuda", bytes(x) + bytes(y), 5 * x.size());
  kernels::round_rows::Args args;
  args.x = x.address<float>();
  args.rows = x.dim(0);
  args.columns = static_cast<int>(x.dim(1));
  if (norm != nullptr) {
    args.norm = norm->weight.address<float>();
    args.norm_bias = norm->bias != nullptr ? norm->bias->address<float>() : nullptr;
    args.epsilon = norm->epsilon;
  }
  args.element = cuda::Element::f32;
  args.out_columns = static_cast<int>(width);
  args.out = y.address<float>();
  kernels::round_rows::run(args, stream_.get());
  return y;
}

Tensor CudaDevice::norm(const Tensor& x, const Norm& norm) {
  if (x.dim(1) % 4 != 0) return normed(x, &norm, x.dim(1));
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

namespace {

/// InputError where the GPU lacks what attention over such a cache needs: bf16 products (sm_80) or
/// shared memory.
void require_attention(const cuda::Device& gpu, const kv::KvLayout& layout) {
  constexpr int kOldestOfBf16 = 80;
  const std::size_t shared =
      std::max(kernels::attention_decode_shared(layout), kernels::attention_prefill_shared(layout));
  std::string why;
  if (layout.format == kv::KvFormat::bf16 && gpu.compute_capability < kOldestOfBf16) {
    why = fmt::format("{} does not multiply bf16", gpu.name);
  } else if (shared > static_cast<std::size_t>(gpu.shared_memory)) {
    why = fmt::format("heads of {} take {} bytes of shared memory, a block has {} on {}",
                      layout.head_dim, shared, gpu.shared_memory, gpu.name);
  }
  if (why.empty()) return;
  throw InputError("--kv", "format of keys and values", kv::kv_format_name(layout.format),
                   fmt::format("another one, int8 takes least: {}", why));
}

}  // namespace

Tensor CudaDevice::attention(const Context& context, const DeviceRows& rows, std::int64_t layer,
                             Tensor& qkv, const Heads& heads, const Tensor* frequencies,
                             const AttentionSettings& settings) {
  const std::int64_t count = rows.ids.size();
  PLIMSOLL_CHECK(qkv.dim(1) == (heads.query + 2 * heads.kv) * heads.dim && qkv.dim(0) == count);
  if (heads.dim % 8 != 0 || heads.dim > kernels::kMaxDeviceHeadDim) {
    throw InputError("the model", "head dim", fmt::format("{}", heads.dim),
                     fmt::format("a multiple of 8 up to {} on a GPU", kernels::kMaxDeviceHeadDim));
  }
  const kv::KvView view = rows.pool->layer(layer);
  require_attention(facts_, view.layout);
  kv::DeviceKv cache(view);
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
  const bool eager = context.attention == Attention::eager;
  const bool as_decode = context.numerics == Numerics::invariant;
  kernels::PrefillChoice choice = kernels::choose_prefill(view.layout, as_decode);
  if (one_each) choice = {"attention_decode_cuda", "a row a sequence"};
  if (eager) choice = {"attention_eager_cuda", "--attention eager"};
  explain_attention(context, count, heads.query, view.layout, window, choice.kernel, choice.reason);
  if (one_each && !eager) {
    const Scope scope(*this, choice.kernel, work_bytes, work);
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
  const Scope scope(*this, choice.kernel, work_bytes, work);
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
  if (eager) {
    require_any_order(context);
    const auto most =
        std::ranges::max(spans, {}, [](const kernels::PrefillSpan& span) { return span.rows; });
    const auto workspace = scratch_->take(
        kernels::attention_eager_workspace(view.layout, heads.query, most.rows, rows.longest),
        "eager attention's score matrices");
    kernels::attention_eager(args, workspace.get(), stream_.get());
    return out;
  }
  args.as_decode = as_decode;
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
