// plimsoll logits: what a model computes, for comparing implementations.
#include <cstdio>

#include "cli/command.h"
#include "engine/generate.h"
#include "model/numerics.h"
#include "model/prefill.h"
#include "storage/safetensors_writer.h"

namespace plimsoll::cli {

namespace {

struct LogitsFlags {
  ModelFlags model;
  std::string ids;
  std::string output;
  bool hidden = false;
};

void run(const LogitsFlags& flags) {
  const ops::Context wanted = flags.model.context();
  const std::vector<std::int32_t> ids = parse_ids(flags.ids, "--ids");
  const auto count = static_cast<std::int64_t>(ids.size());
  const ModelConfig config = load_config(flags.model.model);
  check_ids(config, ids, "--ids");
  if (!is_shape(flags.model.model)) check_context(config, count, flags.model.allow_long, "--ids");
  const auto model = flags.model.load(count);
  const ops::Context context = settled(wanted, *model);
  kv::BlockPool pool = pool_for(*model, context, count);
  kv::Sequence sequence(pool);
  std::vector<Tensor> hidden;
  const Tensor last = hidden_states(*model, context, sequence, ids,
                                    flags.hidden ? &hidden : nullptr, progress_bar());

  std::vector<std::pair<std::string, Tensor>> tensors{
      {"logits", model->logits(context, last).to_host()}};
  tensors.reserve(1 + hidden.size());
  for (std::size_t i = 0; i < hidden.size(); ++i)
    tensors.emplace_back(fmt::format("hidden.{}", i), hidden[i].to_host());
  std::vector<std::pair<std::string, TensorSpec>> specs;
  specs.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    specs.push_back({name, {tensor.dtype(), tensor.shape()}});
  std::map<std::string, std::string> metadata = ops::settings_of(context);
  metadata["model"] = flags.model.model;
  SafetensorsWriter writer(flags.output, specs, metadata);
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
  writer.finish();
  std::fprintf(stderr, "%s: %zu tensors, %lld positions\n", flags.output.c_str(), tensors.size(),
               static_cast<long long>(count));
}

}  // namespace

void add_logits(CLI::App& app) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command =
      app.add_subcommand("logits", "Write the logits of every position to a safetensors file");
  command->footer(
      "Writes `logits` [positions, vocab] f32 and, with --hidden, `hidden.0` (embeddings) to\n"
      "`hidden.N` (after the final norm).\n\n"
      "Example:\n  plimsoll logits models/demo --ids 1,415,3020 -o out.safetensors --hidden");
  add_model_flags(*command, flags->model, "exact");
  command->add_option("--ids", flags->ids, "Token ids: 1,2,3 or @FILE")->required();
  command->add_option("-o,--output", flags->output, "File to write")->required();
  command->add_flag("--hidden", flags->hidden, "Write every hidden state too");
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
