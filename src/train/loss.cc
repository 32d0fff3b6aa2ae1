#include "train/loss.h"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace plimsoll::train {

namespace {

// Floats of logits held at once.
constexpr std::int64_t kLogitsAtOnce = 1 << 21;

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

std::vector<std::int64_t> scored_rows(const TrainingBatch& batch) {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < batch.rows(); ++row)
    if (batch.targets[static_cast<std::size_t>(row)] >= 0) rows.push_back(row);
  return rows;
}

/// The head and the cross-entropy over `hidden`'s scored rows, a chunk at a time. With parameters,
/// the gradient of `hidden` is filled and those of the head's own are added to.
double head_loss(const Network& network, const TrainingBatch& batch, Node& hidden,
                 const Parameters* parameters, float weight) {
  const ops::Linear& head = network.head();
  const std::int64_t width = hidden.value.dim(1);
  const std::vector<std::int64_t> rows = scored_rows(batch);
  const auto at_once =
      static_cast<std::size_t>(std::max<std::int64_t>(1, kLogitsAtOnce / head.weight.rows));
  double total = 0;
  for (std::size_t first = 0; first < rows.size(); first += at_once) {
    const std::size_t count = std::min(at_once, rows.size() - first);
    const std::span chunk(rows.data() + first, count);
    const Shape shape{static_cast<std::int64_t>(count), width};
    Tensor x = Tensor::empty(DType::f32, shape);
    std::vector<std::int32_t> targets;
    const auto copy_row = [&](float* to, const float* from) {
      std::memcpy(to, from, static_cast<std::size_t>(width) * sizeof(float));
    };
    for (std::size_t i = 0; i < count; ++i) {
      copy_row(x.data<float>() + static_cast<std::int64_t>(i) * width,
               hidden.value.data<float>() + chunk[i] * width);
      targets.push_back(batch.targets[static_cast<std::size_t>(chunk[i])]);
    }
    Tensor logits = ops::linear({}, x, head);
    total += ops::cross_entropy(logits, targets, parameters != nullptr ? weight : 0);
    if (parameters == nullptr) continue;
    Tensor dx = Tensor::zeros(DType::f32, shape);
    linear_backward(*parameters, head, x, logits, hidden.wanted ? &dx : nullptr);
    if (!hidden.wanted) continue;
    Tensor& gradient = hidden.gradient_to_add_to();
    for (std::size_t i = 0; i < count; ++i)
      copy_row(gradient.data<float>() + chunk[i] * width,
               dx.data<float>() + static_cast<std::int64_t>(i) * width);
  }
  return total;
}

/// One layer with its tape, or, between forward and backward, its input alone.
struct Segment {
  Value input;
  std::unique_ptr<Tape> tape;
  Value output;
};

}  // namespace

double loss_and_gradient(const Network& network, const TrainingBatch& batch,
                         const Parameters& parameters, const GradientOptions& options) {
  keep_freed_memory();
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
  const double total = head_loss(network, batch, *hidden, &parameters, options.weight);
  if (!hidden->wanted || !hidden->gradient.defined()) return total;
  last.backward();
  Tensor gradient = top->gradient;
  for (std::int64_t i = network.config().layers - 1; i >= 0 && gradient.defined(); --i) {
    Segment segment = std::move(segments[static_cast<std::size_t>(i)]);
    segments.pop_back();
    if (options.recompute) {
      segment.tape = std::make_unique<Tape>(&parameters, options.dropout);
      segment.output = network.layer(*segment.tape, inputs, i, segment.input);
    }
    if (!segment.output->wanted) return total;
    segment.output->gradient = gradient;
    segment.tape->backward();
    gradient = segment.input->wanted ? segment.input->gradient : Tensor();
  }
  if (embedded->wanted && gradient.defined()) {
    embedded->gradient = gradient;
    embedding.backward();
  }
  return total;
}

double loss(const Network& network, const TrainingBatch& batch) {
  const StepInputs inputs = network.prepare(batch);
  Tape tape(nullptr);
  Value x = network.embed(tape, inputs);
  for (std::int64_t i = 0; i < network.config().layers; ++i) x = network.layer(tape, inputs, i, x);
  return head_loss(network, batch, *network.final_norm(tape, x), nullptr, 0);
}

}  // namespace plimsoll::train
