#include "train/loss.h"

#include <malloc.h>

#include <algorithm>
#include <limits>

#include "ops/training_device.h"

namespace plimsoll::train {

namespace {

// Floats of logits held at once; a GPU decodes the head's weights again for each piece.
constexpr std::int64_t kLogitsAtOnce = 1 << 21, kLogitsOnGpu = 1 << 26;

/// A step frees and takes the same activations again. Left to itself the allocator gives most of
/// them back to the kernel in between, which then has to clear every page anew.
void keep_freed_memory() {
#ifdef __GLIBC__
  static const bool once = [] {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
    mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
    return true;
  }();
  (void)once;
#endif
}

/// A sum of losses, where the network lies.
Tensor no_loss(const Network& network) {
  Tensor zero = Tensor::zeros(DType::f64, {1});
  return network.device() != nullptr ? network.device()->training().upload(zero) : zero;
}

std::vector<std::int32_t> scored_rows(const TrainingBatch& batch) {
  std::vector<std::int32_t> rows;
  for (std::size_t row = 0; row < batch.targets.size(); ++row)
    if (batch.targets[row] >= 0) rows.push_back(static_cast<std::int32_t>(row));
  return rows;
}

/// The head and the cross-entropy over `hidden`'s scored rows, a chunk at a time, added to `total`.
/// With parameters, the gradient of `hidden` is filled and those of the head's own are added to.
void head_loss(const Network& network, const TrainingBatch& batch, Node& hidden,
               const Parameters* parameters, float weight, Tensor& total) {
  const ops::Linear& head = network.head();
  const std::vector<std::int32_t> rows = scored_rows(batch);
  const std::int64_t floats = network.device() != nullptr ? kLogitsOnGpu : kLogitsAtOnce;
  const auto at_once =
      static_cast<std::size_t>(std::max<std::int64_t>(1, floats / head.weight.rows));
  quant::Matrix table;  // whose rows are gathered
  table.codes = hidden.value;
  table.rows = hidden.value.dim(0);
  table.columns = hidden.value.dim(1);
  for (std::size_t first = 0; first < rows.size(); first += at_once) {
    const std::span chunk(rows.data() + first, std::min(at_once, rows.size() - first));
    const Tensor x = ops::embedding(table, chunk);
    std::vector<std::int32_t> targets;
    targets.reserve(chunk.size());
    for (const std::int32_t row : chunk)
      targets.push_back(batch.targets[static_cast<std::size_t>(row)]);
    Tensor logits = ops::linear({}, x, head);
    ops::cross_entropy(logits, targets, parameters != nullptr ? weight : 0, total);
    if (parameters == nullptr) continue;
    Tensor dx;
    if (hidden.wanted) dx = ops::zeros_beside(x, x.shape());
    linear_backward(*parameters, head, x, logits, hidden.wanted ? &dx : nullptr);
    if (hidden.wanted) ops::embedding_backward(chunk, dx, hidden.gradient_to_add_to());
  }
}

/// One layer with its tape, or, between forward and backward, its input alone.
struct Segment {
  Value input;
  std::unique_ptr<Tape> tape;
  Value output;
};

/// loss_and_gradient(), the loss added to `total`.
void add_loss_and_gradient(const Network& network, const TrainingBatch& batch,
                           const Parameters& parameters, const GradientOptions& options,
                           Tensor& total) {
  const StepInputs inputs = network.prepare(batch);
  Tape embedding(&parameters, options.dropout);
  const Value embedded = network.embed(embedding, inputs);
  std::vector<Segment> segments;
  Value x = embedded;
  for (std::int64_t i = 0; i < network.config().layers; ++i) {
    Segment segment;
    segment.tape = std::make_unique<Tape>(&parameters, options.dropout);
    segment.input = segment.tape->leaf(x->value, x->wanted);
    segment.output = network.layer(*segment.tape, inputs, i, segment.input);
    x = segment.output;
    if (options.recompute) {
      // What comes next needs the value and whether it is wanted.
      x = std::make_shared<Node>(Node{segment.output->value, {}, segment.output->wanted});
      segment.tape.reset();
      segment.output.reset();
    }
    segments.push_back(std::move(segment));
  }
  Tape last(&parameters, options.dropout);
  const Value top = last.leaf(x->value, x->wanted);
  const Value hidden = network.final_norm(last, top);
  head_loss(network, batch, *hidden, &parameters, options.weight, total);
  if (!hidden->wanted || !hidden->gradient.defined()) return;
  last.backward();
  Tensor gradient = top->gradient;
  for (std::int64_t i = network.config().layers - 1; i >= 0 && gradient.defined(); --i) {
    Segment segment = std::move(segments[static_cast<std::size_t>(i)]);
    segments.pop_back();
    if (options.recompute) {
      segment.tape = std::make_unique<Tape>(&parameters, options.dropout);
      segment.output = network.layer(*segment.tape, inputs, i, segment.input);
    }
    if (!segment.output->wanted) return;
    segment.output->gradient = gradient;
    segment.tape->backward();
    gradient = segment.input->wanted ? segment.input->gradient : Tensor();
  }
  if (embedded->wanted && gradient.defined()) {
    embedded->gradient = gradient;
    embedding.backward();
  }
}

}  // namespace

double loss_and_gradient(const Network& network, const TrainingBatch& batch,
                         const Parameters& parameters, const GradientOptions& options) {
  keep_freed_memory();
  Tensor total = no_loss(network);
  add_loss_and_gradient(network, batch, parameters, options, total);
  // Read at the end: until then a GPU waits for nothing.
  return total.to_host().data<double>()[0];
}

double loss(const Network& network, const TrainingBatch& batch) {
  const StepInputs inputs = network.prepare(batch);
  Tape tape(nullptr);
  Value x = network.embed(tape, inputs);
  for (std::int64_t i = 0; i < network.config().layers; ++i) x = network.layer(tape, inputs, i, x);
  Tensor total = no_loss(network);
  head_loss(network, batch, *network.final_norm(tape, x), nullptr, 0, total);
  return total.to_host().data<double>()[0];
}

}  // namespace plimsoll::train
