// plimsoll bench: speed against the machine's ceilings, in llama-bench's grammar.
#include <iostream>

#include "cli/command.h"
#include "cli/context_flags.h"
#include "cli/int_list.h"
#include "core/quote.h"
#include "kv/kv_format.h"
#include "study/bench_output.h"

namespace plimsoll::cli {

namespace {

using Texts = std::vector<std::string>;

struct BenchFlags {
  AdapterFlags adapters;
  std::string model;
  ContextFlags context;  // its attention and threads are lists here
  Texts weights, attention, kv, prompt, generate, both, batch, depth, threads;
  int repeats = 5;
  std::string format = "md";
};

/// What the flag says, or `otherwise` where it was not given.
std::vector<std::int64_t> ints(const Texts& texts, const std::string& flag, std::int64_t min,
                               std::int64_t max, std::int64_t otherwise) {
  if (texts.empty()) return {otherwise};
  return parse_int_list(texts, flag, min, max);
}

constexpr std::int64_t kMostTokens = 1 << 20;

/// "512,128" of -pg: a prompt and what is generated behind it.
Workload prompt_and_generation(const std::string& text) {
  const auto counts = parse_int_list({text}, "-pg", 1, kMostTokens);
  if (counts.size() != 2) {
    throw InputError("-pg", "tokens", quote(text), "two counts: 512,128");
  }
  return {counts[0], counts[1]};
}

std::vector<Workload> workloads(const BenchFlags& flags) {
  std::vector<Workload> result;
  const auto prompts = ints(flags.prompt, "-p", 0, kMostTokens, 512);
  const auto generated = ints(flags.generate, "-n", 0, kMostTokens, 128);
  for (const std::int64_t depth : ints(flags.depth, "--depth", 0, kMostTokens, 0)) {
    for (const std::int64_t batch : ints(flags.batch, "--batch", 1, 4096, 1)) {
      for (const std::int64_t count : prompts) {
        if (count > 0) result.push_back({count, 0, depth, batch});
      }
      for (const std::int64_t count : generated) {
        if (count > 0) result.push_back({0, count, depth, batch});
      }
      for (const std::string& pair : flags.both) {
        Workload both = prompt_and_generation(pair);
        both.depth = depth;
        both.batch = batch;
        result.push_back(both);
      }
    }
  }
  if (result.empty()) throw InputError("-p, -n", "tokens", "0 in both", "something to measure");
  return result;
}

study::BenchOptions parsed(const BenchFlags& flags) {
  study::BenchOptions options;
  options.model = flags.model;
  for (const std::string& name : parse_word_list(flags.weights, "--weights")) {
    options.weights.emplace_back(quant::format_from_name(name, "--weights"));
  }
  if (options.weights.empty()) options.weights.emplace_back();
  for (const std::string& name : parse_word_list(flags.attention, "--attention")) {
    options.attentions.push_back(ops::attention_from_name(name));
  }
  for (const std::string& name : parse_word_list(flags.kv, "--kv")) {
    options.kv_formats.push_back(kv::kv_format_from_name(name));
  }
  options.workloads = workloads(flags);
  for (const std::int64_t count : ints(flags.threads, "--threads", 0, 4096, 0)) {
    options.threads.push_back(static_cast<int>(count));
  }
  options.repeats = flags.repeats;
  options.context = flags.context.context();
  if (options.attentions.empty()) options.attentions.push_back(options.context.attention);
  if (options.kv_formats.empty()) options.kv_formats.push_back(options.context.kv);
  return options;
}

void run(const BenchFlags& flags) {
  study::BenchOptions options = parsed(flags);
  options.progress = progress_bar();
  options.on_loaded = [&](Model& model) { flags.adapters.attach(model, flags.model); };
  options.note = [](const std::string& line) { std::cerr << "note: " << line << '\n'; };
  bool first = true;
  const auto print = [&](const study::BenchRow& row) {
    // The header only now: a model that cannot be loaded leaves standard output empty.
    if (first) std::cout << study::bench_header(flags.format);
    std::cout << study::bench_row(flags.format, row, first) << std::flush;
    first = false;
  };
  try {
    study::run_bench(options, print);
  } catch (const Interrupted&) {
    // What was measured stays readable: an array is closed.
    if (first) std::cout << study::bench_header(flags.format);
    std::cout << study::bench_footer(flags.format) << std::flush;
    throw;
  }
  std::cout << study::bench_footer(flags.format);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command =
      app.add_subcommand("bench", "Time prompts and generation against the machine's ceilings");
  command->footer(
      "Lists are as llama-bench has them: 1,2,8 or -p 128 -p 512, or ranges 128-512+128 and\n"
      "1-16*2. Every combination is run; the variants take turns, repeat by repeat. Results on\n"
      "standard output, progress on standard error.\n\n"
      "Examples:\n"
      "  plimsoll bench models/demo\n"
      "  plimsoll bench shape:tinyllama-1.1b --weights bf16,int8,nf4-dq -p 512 -n 64\n"
      "  plimsoll bench models/demo -p 0 -n 0 -pg 128,128 --batch 8\n"
      "  plimsoll bench models/demo -p 0 -n 32 --batch 1-16*2 --weights int8 -o json\n"
      "  plimsoll bench models/demo -p 0 -n 32 --depth 0,512,2048 -t 1,2 -o csv");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder or shape:NAME")
      ->required();
  const auto list = [&](const char* names, Texts& texts, const std::string& help) {
    command->add_option(names, texts, help)->allow_extra_args(false)->take_all();
  };
  std::vector<std::string_view> formats;
  for (const quant::WeightFormat format : quant::all_formats()) {
    formats.push_back(quant::format_name(format));
  }
  list("--weights", flags->weights,
       fmt::format("Weight formats (default: as stored): {}", fmt::join(formats, ", ")));
  list("--attention", flags->attention, "Attention: eager, flash, sdpa (default: sdpa)");
  list("--kv", flags->kv,
       "Formats of keys and values: fp32, bf16, fp16, int8 (default: fp32, on a GPU fp16)");
  list("-p,--n-prompt", flags->prompt, "Prompt tokens, 0 for no such test (default: 512)");
  list("-n,--n-gen", flags->generate, "Tokens generated, 0 for no such test (default: 128)");
  list("--pg", flags->both,
       "P,N (also -pg): N tokens generated behind a prompt of P, timed as one");
  list("--batch", flags->batch, "Sequences at once (default: 1)");
  list("-d,--depth", flags->depth, "Tokens in the cache beforehand (default: 0)");
  list("-t,--threads", flags->threads, "Threads, 0 for every core (default: 0)");
  command->add_option("-r,--repeats", flags->repeats, "Timed repeats, after a warm-up")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_arithmetic_flags(*command, flags->context, "fast");
  add_device_flags(*command, flags->context);
  add_adapter_flags(*command, flags->adapters);
  command->add_option("-o,--format", flags->format, "Output: md, csv, json, jsonl or sql")
      ->check(CLI::IsMember(study::bench_formats()))
      ->capture_default_str();
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
