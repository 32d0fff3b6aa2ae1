// Weights on a GPU: packed for gemv, several matrices as one where a model multiplies them with the
// same input.
#include <algorithm>

#include "core/error.h"
#include "ops/cuda/device_cuda.h"
#include "quant/block4.h"
#include "quant/codec.h"

namespace plimsoll::ops {

namespace {

namespace gemv = kernels::gemv;

gemv::Order order_of(std::span<Linear* const> layers, Joined joined) {
  gemv::Order order;
  order.pairing = joined == Joined::halves ? gemv::Pairing::halves : gemv::Pairing::none;
  for (const Linear* layer : layers) order.rows += layer->weight.rows;
  return order;
}

/// The weights in a format that can be packed, with the same values. Scales that are doubly
/// quantised, three or more a row, become plain ones; 4-bit weights whose blocks run across rows or
/// are no whole chunks are decoded to what was quantised. `w` itself where nothing is in the way.
quant::Matrix packable(const quant::Matrix& w) {
  if (!w.table.defined() || w.layout != quant::Layout::stored) return w;
  constexpr int kChunk = gemv::chunk_columns(gemv::Format::table4);
  if (w.columns % kChunk != 0 || w.block % kChunk != 0) {
    quant::Matrix dense;
    dense.format = quant::dense_format(w.source_dtype);
    dense.rows = w.rows;
    dense.columns = w.columns;
    dense.codes = converted(quant::decode(w), w.source_dtype);
    return dense;
  }
  const bool nested = w.nested_scales.defined();
  if (!nested || w.columns <= std::int64_t{w.block} * w.nested_block) return w;
  quant::Matrix plain = w;
  plain.format =
      w.format == quant::WeightFormat::nf4_dq ? quant::WeightFormat::nf4 : quant::WeightFormat::fp4;
  const std::vector<float> scales = quant::block4_scales(w);
  plain.scales = Tensor::from<float>(scales, {static_cast<std::int64_t>(scales.size())});
  plain.nested_scales = {};
  plain.nested_table = {};
  return plain;
}

std::vector<quant::Matrix> matrices_of(std::span<Linear* const> layers) {
  std::vector<quant::Matrix> matrices;
  matrices.reserve(layers.size());
  for (const Linear* layer : layers) matrices.push_back(packable(layer->weight));
  return matrices;
}

std::vector<const quant::Matrix*> pointers_to(std::span<const quant::Matrix> matrices) {
  std::vector<const quant::Matrix*> pointers;
  pointers.reserve(matrices.size());
  for (const quant::Matrix& matrix : matrices) pointers.push_back(&matrix);
  return pointers;
}

Support supported(std::span<const quant::Matrix> matrices, const gemv::Order& order) {
  for (const quant::Matrix& matrix : matrices) {
    if (matrix.outliers_by_batch) return Support::no("--outlier-scope batch");
  }
  return gemv::can_pack(pointers_to(matrices), order);
}

/// The layers' biases one behind the other; undefined where none has one.
Tensor bias_of(std::span<Linear* const> layers, std::int64_t rows) {
  if (std::ranges::none_of(layers, [](const Linear* layer) { return layer->bias.defined(); })) {
    return {};
  }
  Tensor bias = Tensor::zeros(DType::f32, {rows});
  float* next = bias.data<float>();
  for (const Linear* layer : layers) {
    if (layer->bias.defined()) std::ranges::copy(layer->bias.span<float>(), next);
    next += layer->weight.rows;
  }
  return bias;
}

std::int64_t rounded_up(std::int64_t count) {
  constexpr std::int64_t kGrain = kernels::low_rank::kRankGrain;
  return (count + kGrain - 1) / kGrain * kGrain;
}

/// The adapters of layers that lie as one: all A under each other, and each B, times its scale, in
/// the rows of its layer and the columns of its A. nullptr where there are none.
std::shared_ptr<const DeviceAdapters> adapters_of(std::span<Linear* const> layers) {
  PLIMSOLL_CHECK(layers.size() <= kernels::low_rank::kMaxParts);
  auto adapters = std::make_shared<DeviceAdapters>();
  std::int64_t outputs = 0;
  for (const Linear* layer : layers) {
    std::int64_t ranks = 0;
    for (const LowRank& adapter : layer->adapters) ranks += adapter.a.rows;
    const auto begin = static_cast<int>(adapters->ranks);
    adapters->ranks += rounded_up(ranks);
    adapters->parts.push_back({static_cast<int>(outputs),
                               static_cast<int>(outputs + layer->weight.rows), begin,
                               static_cast<int>(adapters->ranks)});
    outputs += layer->weight.rows;
  }
  if (adapters->ranks == 0) return nullptr;
  const Linear& first = *layers.front();
  const std::int64_t columns = first.weight.columns;
  adapters->columns = rounded_up(columns);
  if (adapters->ranks > kernels::low_rank::kMaxRanks) {
    throw InputError(
        first.name, "adapters on a GPU", fmt::format("{} ranks", adapters->ranks),
        fmt::format("up to {} ranks together, or merged ones", kernels::low_rank::kMaxRanks));
  }
  Tensor a = Tensor::zeros(DType::f32, {adapters->ranks, adapters->columns});
  Tensor b = Tensor::zeros(DType::f32, {outputs, adapters->ranks});
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const kernels::low_rank::Part& part = adapters->parts[i];
    std::int64_t rank = part.rank_begin;
    for (const LowRank& adapter : layers[i]->adapters) {
      for (std::int64_t r = 0; r < adapter.a.rows; ++r) {
        std::copy_n(adapter.a.codes.data<float>() + r * columns, columns,
                    a.data<float>() + (rank + r) * adapters->columns);
      }
      const float* from = adapter.b.codes.data<float>();
      for (std::int64_t row = part.begin; row < part.end; ++row) {
        float* const to = b.data<float>() + row * adapters->ranks + rank;
        for (std::int64_t r = 0; r < adapter.a.rows; ++r) to[r] = adapter.scale * *from++;
      }
      rank += adapter.a.rows;
    }
  }
  adapters->a = cuda::Buffer::of<float>(a.span<float>(), first.name);
  adapters->b = cuda::Buffer::of<float>(b.span<float>(), first.name);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const kernels::low_rank::Part& part = adapters->parts[i];
    adapters->bytes += (part.rank_end - part.rank_begin) * (columns + layers[i]->weight.rows) *
                       static_cast<std::int64_t>(sizeof(float));
  }
  return adapters;
}

}  // namespace

void CudaDevice::pack(std::span<Linear* const> layers, Joined joined) {
  gemv::Order order = order_of(layers, joined);
  const std::vector<quant::Matrix> matrices = matrices_of(layers);
  if (layers.size() > 1 && !supported(matrices, order)) {
    for (std::size_t i = 0; i < layers.size(); ++i) pack(layers.subspan(i, 1), Joined::rows);
    return;
  }
  if (layers.size() == 1) order.pairing = gemv::Pairing::none;
  const std::string& name = layers.front()->name;
  if (const Support support = supported(matrices, order); !support) {
    throw InputError(name, "weights on a GPU", support.reason,
                     "the CPU, which has a kernel for it");
  }
  auto linear = std::make_shared<DeviceLinear>();
  linear->format = matrices.front().format;
  linear->rows = order.rows;
  linear->columns = matrices.front().columns;
  for (const quant::Matrix& matrix : matrices) linear->bytes += quant::matrix_bytes(matrix);
  const auto packed =
      std::make_shared<const gemv::Packed>(gemv::pack(pointers_to(matrices), order));
  uploader_.start([this, linear, packed, name] {
    PLIMSOLL_CUDA_CHECK(cudaSetDevice(facts_.index));
    linear->weights = gemv::UploadedWeights(*packed, name);
    // What was copied from memory that is not pinned may still be on its way.
    PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  });
  if (const Tensor bias = bias_of(layers, order.rows); bias.defined()) {
    linear->bias = bias.to_device(*this, name);
  }
  linear->adapters = adapters_of(layers);
  adapted_ |= linear->adapters != nullptr;
  for (Linear* layer : layers) layer->device = linear;
}

void CudaDevice::synchronize() {
  uploader_.wait();
  stream_.synchronize();
}

void CudaDevice::twin(const DeviceLinear& like, std::span<Linear* const> layers) {
  uploader_.wait();
  auto other = std::make_shared<DeviceLinear>();
  other->weights = like.weights.clone("the weights");
  other->bias = like.bias;
  other->format = like.format;
  other->rows = like.rows;
  other->columns = like.columns;
  other->bytes = like.bytes;
  other->adapters = adapters_of(layers);
  adapted_ |= other->adapters != nullptr;
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
  for (Linear* layer : layers) layer->device = other;
}

}  // namespace plimsoll::ops
