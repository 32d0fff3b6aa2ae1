// plimsoll merge: an adapter made part of the weights.
#include <filesystem>
#include <iostream>

#include "cli/command.h"
#include "compress/save.h"
#include "compress/save_dense.h"
#include "core/threads.h"
#include "core/units.h"
#include "engine/model_tokenizer.h"
#include "eval/divergence.h"
#include "ops/device.h"
#include "quant/codec.h"
#include "storage/atomic_folder.h"
#include "text/sample_text.h"

namespace plimsoll::cli {

namespace {

namespace fs = std::filesystem;

struct MergeFlags {
  std::string model, output, text, format = "text", device = "cpu";
  AdapterFlags adapters;
  WeightFlags weights;
  std::int64_t limit_tokens = 0;
  int threads = 0;
};

/// W + scale * B A of every layer with adapters, and every matrix that is quantised, decoded.
compress::ChangedTensors merged(Model& model) {
  compress::ChangedTensors changed;
  model.visit_linears([&](ops::Linear& layer) {
    if (layer.adapters.empty() && quant::is_dense(layer.weight.format)) return;
    Tensor weight = quant::decode(layer.weight);
    const std::int64_t columns = weight.dim(1);
    for (const ops::LowRank& adapter : layer.adapters) {
      const auto* a = adapter.a.codes.data<float>();
      const auto* b = adapter.b.codes.data<float>();
      parallel_for(weight.dim(0), 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          float* w = weight.data<float>() + row * columns;
          for (std::int64_t r = 0; r < adapter.a.rows; ++r) {
            const float factor = adapter.scale * b[row * adapter.a.rows + r];
            for (std::int64_t i = 0; i < columns; ++i) w[i] += factor * a[r * columns + i];
          }
        }
      });
    }
    changed.emplace(layer.name + ".weight", std::move(weight));
  });
  return changed;
}

/// How both models are run to be judged: on a GPU as its kernels compute.
ops::Context context_of(const MergeFlags& flags) {
  ops::Context context;
  context.device = opened_device(flags.device);
  if (context.device != nullptr) {
    context.compute = ops::Compute::fast;
    context.kv = kv::KvFormat::fp16;
  }
  return context;
}

/// While it lives the model may be on a GPU; its linear layers are then what they were.
class KeptLayers {
 public:
  explicit KeptLayers(Model& model) : model_(model) {
    model.visit_linears([&](ops::Linear& layer) { layers_.push_back(layer); });
  }
  ~KeptLayers() {
    std::size_t i = 0;
    model_.visit_linears([&](ops::Linear& layer) { layer = layers_[i++]; });
  }
  KeptLayers(const KeptLayers&) = delete;
  KeptLayers& operator=(const KeptLayers&) = delete;

 private:
  Model& model_;
  std::vector<ops::Linear> layers_;
};

Divergence cost_of(const MergeFlags& flags, const ops::Context& context, Model& candidate,
                   Model& reference, const Progress& progress) {
  const KeptLayers kept(candidate);  // they are saved afterwards
  if (context.device != nullptr) {
    ops::Device& gpu = *context.device;
    const std::int64_t needed = reference.weight_bytes() + candidate.weight_bytes();
    if (needed > gpu.free_bytes()) {
      throw InputError("--device", "free memory",
                       format_bytes(static_cast<std::uint64_t>(gpu.free_bytes())),
                       fmt::format("{} for the model and, beside it, what it becomes; or cpu",
                                   format_bytes(static_cast<std::uint64_t>(needed))));
    }
    move_model(reference, flags.model, gpu);
    move_model(candidate, flags.model, gpu);
    gpu.advise_memory([](std::uint64_t) -> std::string {
      return "--device cpu would judge in the host's memory";
    });
  }
  const auto tokenizer = load_tokenizer(flags.model, reference.config());
  auto ids = tokenizer->encode(flags.text.empty() ? std::string(evaluation_sample())
                                                  : read_utf8(flags.text));
  if (flags.limit_tokens > 0 && static_cast<std::size_t>(flags.limit_tokens) < ids.size())
    ids.resize(static_cast<std::size_t>(flags.limit_tokens));
  ScoreOptions options;
  options.protocol = completed({Protocol::blocks, 0, 0}, reference.config().max_positions);
  options.model_adds_bos = tokenizer->adds_bos();
  options.bos_id = tokenizer->bos_id();
  options.progress = progress;
  return divergence({&candidate, context}, {&reference, context}, ids, options);
}

void print(const MergeFlags& flags, const Divergence& cost) {
  const std::string into = flags.weights.weights.empty() ? "dense" : flags.weights.weights;
  if (flags.format == "json") {
    const nlohmann::ordered_json json{{"model", flags.model},
                                      {"adapters", flags.adapters.adapters},
                                      {"output", flags.output},
                                      {"weights", into},
                                      {"reference_ppl", cost.reference.ppl},
                                      {"ppl", cost.candidate.ppl},
                                      {"kl_mean", cost.kl_mean.value},
                                      {"same_top", cost.same_top.value}};
    std::cout << json.dump() << std::endl;
    return;
  }
  std::cout << fmt::format(
                   "merged ({}): perplexity {:.4f}, with the adapter beside the weights {:.4f}; KL "
                   "divergence {:.3g} nats, same top token {:.2f} %\n",
                   into, cost.candidate.ppl, cost.reference.ppl, cost.kl_mean.value,
                   100 * cost.same_top.value)
            << std::flush;
}

void run(const MergeFlags& flags) {
  set_threads(flags.threads);
  if (is_shape(flags.model))
    throw InputError(flags.model, "weights", "random ones", "a checkpoint folder");
  compress::check_target(flags.output);
  const ops::Context context = context_of(flags);
  const bool quantises = !flags.weights.weights.empty();
  LoadOptions options;
  options.weights = flags.weights.plan(flags.model);
  options.progress = progress_bar();
  if (quantises && quant::is_dense(*options.weights.format))
    throw InputError("--weights", "format", flags.weights.weights,
                     "a quantised one; without --weights the result is dense");

  LoadOptions as_stored;
  as_stored.progress = options.progress;
  const auto reference = load_model(flags.model, as_stored);
  flags.adapters.attach(*reference, flags.model);
  fs::path beside = fs::absolute(flags.output).lexically_normal();
  if (!beside.has_filename()) beside = beside.parent_path();
  AtomicFolder dense(beside.string() + ".merging");
  compress::save_dense(flags.model, merged(*reference), dense.path(), options.progress);
  const std::string dense_name = dense.path().string();
  if (!quantises) {
    print(flags, cost_of(flags, context, *load_model(dense_name, as_stored), *reference,
                         options.progress));
    dense.become(beside);
    return;
  }
  const auto calibration = flags.weights.calibration(dense_name);
  const auto candidate = flags.weights.load(dense_name, options, calibration);
  print(flags, cost_of(flags, context, *candidate, *reference, options.progress));
  compress::save_quantized(*candidate, dense.path(), options,
                           calibration.value_or(compress::CalibrationOptions{}), flags.output,
                           options.progress);
}

}  // namespace

void add_merge(CLI::App& app) {
  auto flags = std::make_shared<MergeFlags>();
  CLI::App* command = app.add_subcommand("merge", "Make adapters part of a model's weights");
  command->footer(
      "The result is dense, in the checkpoint's dtype, or quantised as --weights says. What that\n"
      "costs against the adapter beside the weights is printed before anything is written.\n\n"
      "Examples:\n"
      "  plimsoll merge models/demo --adapter adapter -o merged\n"
      "  plimsoll merge models/demo --adapter adapter -o merged-nf4 --weights nf4-dq");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder")->required();
  add_adapter_flags(*command, flags->adapters)->required();
  command
      ->add_option("-o,--output", flags->output, "Folder to write; must not exist yet, or be empty")
      ->required();
  add_weight_flags(*command, flags->weights);
  command->add_option(
      "--text", flags->text,
      "UTF-8 text that the cost is judged on (default: the later chapters built in)");
  command->add_option("--limit-tokens", flags->limit_tokens, "Only the first N tokens of the text")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
  command
      ->add_option(
          "--device", flags->device,
          "Where the cost is judged: cpu, cuda or cuda:N; the addition itself is on the CPU")
      ->capture_default_str();
  command->add_option("-t,--threads", flags->threads, "Threads (0: every core)")
      ->check(CLI::Range(0, 4096));
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
