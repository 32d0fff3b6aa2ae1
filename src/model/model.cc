#include "model/model.h"

#include "storage/page_release.h"

namespace plimsoll {

namespace {

/// Passes everything on and adds up the bytes.
class CountingLoader : public WeightLoader {
 public:
  explicit CountingLoader(WeightLoader& inner) : inner_(inner) {}

  ops::Linear linear(const LinearSpec& spec) override {
    ops::Linear layer = inner_.linear(spec);
    count(layer.weight);
    count(layer.bias);
    return layer;
  }
  quant::Matrix table(const std::string& name, std::int64_t rows, std::int64_t columns) override {
    quant::Matrix matrix = inner_.table(name, rows, columns);
    count(matrix);
    return matrix;
  }
  Tensor vector(const std::string& name, std::int64_t size) override {
    Tensor tensor = inner_.vector(name, size);
    count(tensor);
    return tensor;
  }
  std::int64_t bytes() const { return bytes_; }

 private:
  void count(const quant::Matrix& matrix) {
    if (matrix.codes.defined()) bytes_ += quant::matrix_bytes(matrix);
  }
  void count(const Tensor& tensor) { bytes_ += static_cast<std::int64_t>(tensor.bytes()); }

  WeightLoader& inner_;
  std::int64_t bytes_ = 0;
};

}  // namespace

void Batch::add(kv::Sequence& sequence, std::span<const std::int32_t> new_ids) {
  const auto count = static_cast<std::int64_t>(new_ids.size());
  const std::int64_t first = sequence.length();
  sequence.extend(count);
  sequences.push_back({&sequence, rows(), count});
  ids.insert(ids.end(), new_ids.begin(), new_ids.end());
  for (std::int64_t i = 0; i < count; ++i) positions.push_back(first + i);
}

ops::Rows Batch::rows_for(const ops::Context& context) const {
  if (resident != nullptr) return {ids, positions, sequences, *resident};
  return ops::rows_of(context, ids, positions, sequences);
}

void Model::pack_weights() {
  quant::Matrix& table = token_table();
  visit_linears([&](ops::Linear& layer) {
    const Tensor stored = layer.weight.codes;
    const std::int64_t before = quant::matrix_bytes(layer.weight);
    if (!ops::pack(layer.weight)) return;
    replace_weight_bytes(before, quant::matrix_bytes(layer.weight));
    if (table.codes.raw() == stored.raw()) table = layer.weight;
    release_pages(stored);
  });
}

kv::KvShape Model::kv_shape(kv::KvFormat format) const {
  kv::KvShape shape{config_.layers, config_.kv_heads, config_.head_dim, format,
                    config_.sliding_window.value_or(0)};
  for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
    if (!config_.window_of_layer(layer)) shape.window = 0;
  }
  return shape;
}

std::unique_ptr<Model> build_model(const ModelConfig& config, WeightLoader& loader) {
  CountingLoader counting(loader);
  std::unique_ptr<Model> model = config.architecture == Architecture::gpt2
                                     ? make_gpt2(config, counting)
                                     : make_llama(config, counting);
  model->weight_bytes_ = counting.bytes();
  return model;
}

}  // namespace plimsoll
