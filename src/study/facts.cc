#include "study/facts.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <set>

#include "core/cpu.h"
#include "core/threads.h"
#include "core/version.h"
#include "kernels/onednn.h"
#include "kv/kv_format.h"
#include "model/inventory.h"
#include "model/stored_quantization.h"
#include "storage/checkpoint.h"
#include "storage/mapped_file.h"
#include "storage/sha256.h"
#include "study/build_commit.h"
#include "study/ceilings_json.h"
#include "study/variant.h"

namespace plimsoll::study {

namespace {

namespace fs = std::filesystem;

/// As load_tokenizer() picks them.
std::vector<fs::path> tokenizer_files(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return {folder / name};
  }
  return {folder / "merges.txt", folder / "vocab.json"};
}

std::vector<fs::path> weight_files(const std::string& model) {
  const Checkpoint checkpoint = Checkpoint::open(model);
  std::set<fs::path> files;
  for (const std::string& name : checkpoint.names()) files.insert(checkpoint.file_of(name));
  return {files.begin(), files.end()};
}

}  // namespace

std::string sha256_of_files(std::span<const fs::path> files) {
  PLIMSOLL_CHECK(!files.empty());
  const auto digest = [](const fs::path& path) {
    return sha256_hex(MappedFile::open(path)->bytes());
  };
  if (files.size() == 1) return digest(files.front());
  std::string lines;
  for (const fs::path& path : files) {
    lines += fmt::format("{}  {}\n", digest(path), path.filename().string());
  }
  return sha256_hex(lines);
}

ModelFacts model_facts(const std::string& model, const ModelConfig& config) {
  ModelFacts facts;
  facts.path = model;
  facts.shape_only = is_shape(model);
  const fs::path folder = fs::path(model).lexically_normal();
  facts.name = facts.shape_only        ? model.substr(model.find(':') + 1)
               : folder.has_filename() ? folder.filename().string()
                                       : folder.parent_path().filename().string();
  facts.architecture = config.model_type;
  for (const InventoryLoader::Entry& tensor : inventory(config)) {
    facts.parameters += tensor.rows * tensor.columns;
  }
  facts.stored_dtype = quant::format_name(own_format(config));
  facts.layers = config.layers;
  facts.hidden_size = config.hidden_size;
  facts.vocab_size = config.vocab_size;
  facts.context_length = config.max_positions;
  facts.sliding_window = config.sliding_window;
  if (!facts.shape_only) {
    facts.weights_sha256 = sha256_of_files(weight_files(model));
    facts.tokenizer_sha256 = sha256_of_files(tokenizer_files(folder));
  }
  return facts;
}

MachineFacts machine_facts(const ops::Context& context) {
  MachineFacts facts;
  if (context.device != nullptr) {
    facts.device = context.device->kind();
    facts.gpu = context.device->name();
  }
  facts.cpu = cpu_model_name();
  facts.isa = isa_name(current_isa());
  facts.threads = threads();
  facts.cores = available_cores();
  facts.memory_bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  utsname system{};
  if (uname(&system) == 0) facts.os = fmt::format("{} {}", system.sysname, system.release);
  return facts;
}

std::map<std::string, std::string> versions() {
#if defined(__clang__)
  const std::string compiler = "clang " __clang_version__;
#else
  const std::string compiler = "gcc " __VERSION__;
#endif
  return {{"compiler", compiler}, {"onednn", kernels::onednn_version()}};
}

std::vector<std::string> command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  if (!words.empty()) words.erase(words.begin());
  return words;
}

CeilingFacts ceiling_facts(const Ceilings& ceilings) {
  const auto peak = [&](std::string_view unit) -> std::optional<double> {
    const UnitCeiling* found = ceilings.unit(unit);
    if (found == nullptr) return std::nullopt;
    return found->gops.median;
  };
  return {ceilings.read().gbps.median, peak("fp32"), peak("bf16"), peak("fp16"), peak("int8"),
          ceilings_json(ceilings)};
}

RunFacts run_facts(const StudyOptions& options, const ModelConfig& config,
                   const Material& material) {
  RunFacts run;
  run.plimsoll_version = kVersion;
  run.build_commit = build_commit();
  run.command = command_line();
  run.started = utc_now();
  run.mode = mode_name(options.mode);
  run.model = model_facts(options.model, config);
  if (!material.judged.empty()) {
    run.text = TextFacts{options.text_source, sha256_hex(options.text),
                         static_cast<std::int64_t>(options.text.size()),
                         static_cast<std::int64_t>(material.judged.size())};
  }
  if (material.calibration) {
    const CalibrationRecord& record = *material.calibration;
    run.calibration =
        CalibrationFacts{record.text, record.sha256, record.windows, record.window_tokens,
                         static_cast<std::int64_t>(record.seed)};
  }
  run.machine = machine_facts(options.context);
  run.versions = versions();
  Flags& flags = run.flags;
  flags.compute = ops::compute_name(options.context.compute);
  flags.numerics = options.context.numerics_auto
                       ? "auto"
                       : std::string(ops::numerics_name(options.context.numerics));
  flags.kv = kv::kv_format_name(options.context.kv);
  flags.prefill_chunk = options.context.prefill_chunk;
  flags.repeats = options.repeats;
  flags.prefill_tokens = static_cast<std::int64_t>(material.prefill.size());
  flags.new_tokens = options.new_tokens;
  flags.decode_prompt = material.decode_prompt_text;
  for (const SamplePrompt& prompt : material.sample_prompts) {
    flags.sample_prompts.push_back(prompt.text);
  }
  flags.max_ppl_ratio = options.max_ppl_ratio;
  flags.memory_limit_bytes = options.memory_limit_bytes;
  flags.price_per_hour = options.price_per_hour;
  flags.adapters = options.adapters;
  return run;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[sizeof "2026-01-01T00:00:00Z"];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace plimsoll::study
