// plimsoll doctor: what this machine offers and what the program makes of it.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "core/cpu.h"
#include "core/cuda/device.h"
#include "core/memory.h"
#include "core/threads.h"
#include "core/units.h"
#include "core/version.h"
#include "eval/ceilings.h"
#include "ops/device.h"
#include "ops/kernel_report.h"
#include "study/ceilings_json.h"

namespace plimsoll::cli {

namespace {

struct DoctorFlags {
  std::string format = "text";
  bool measure = false;
  int threads = 0;
  std::string device = "cpu";
};

std::string ceilings_text(const Ceilings& ceilings) {
  std::string text = fmt::format("\nceilings, {} thread{:<21} {:>9} {:>9}\n", ceilings.threads,
                                 ceilings.threads == 1 ? "" : "s", "median", "best");
  const auto line = [&](const std::string& what, std::string_view probe, const MeasuredRate& rate,
                        std::string_view unit) {
    text += fmt::format("  {:<16} {:<20} {:>9.1f} {:>9.1f} {}\n", what, probe, rate.median,
                        rate.best, unit);
  };
  for (const ReadCeiling& read : ceilings.reads) {
    line(fmt::format("read, {} stream{}", read.streams, read.streams == 1 ? "" : "s"), read.probe,
         read.gbps, "GB/s");
  }
  for (const UnitCeiling& unit : ceilings.units) line(unit.unit, unit.probe, unit.gops, "GOP/s");
  return text;
}

nlohmann::json devices_json() {
  nlohmann::json devices = nlohmann::json::array({"cpu"});
  for (const cuda::Device& gpu : cuda::devices())
    devices.push_back(fmt::format("cuda:{}", gpu.index));
  return devices;
}

nlohmann::json gpus_json() {
  nlohmann::json gpus = nlohmann::json::array();
  for (const cuda::Device& gpu : cuda::devices()) {
    gpus.push_back({{"device", fmt::format("cuda:{}", gpu.index)},
                    {"name", gpu.name},
                    {"compute_capability", gpu.compute_capability},
                    {"multiprocessors", gpu.multiprocessors},
                    {"memory_bytes", gpu.memory},
                    {"l2_bytes", gpu.l2}});
  }
  return gpus;
}

/// A line for each GPU, or one that says why there is none.
std::string gpus_text() {
  if (const Support gpu = cuda::available(); !gpu) {
    return fmt::format("GPU       none: {}\n", gpu.reason);
  }
  std::string text;
  for (const cuda::Device& gpu : cuda::devices()) {
    text += fmt::format("GPU       cuda:{}: {}, compute capability {}.{}, {} multiprocessors, {}\n",
                        gpu.index, gpu.name, gpu.compute_capability / 10,
                        gpu.compute_capability % 10, gpu.multiprocessors, format_bytes(gpu.memory));
  }
  return text;
}

void run(const DoctorFlags& flags) {
  set_threads(flags.threads);
  const auto kernels = ops::all_kernels();
  std::optional<Ceilings> ceilings;
  ops::Device* const device = flags.device == "cpu" ? nullptr : &ops::open_device(flags.device);
  if (flags.measure) {
    ceilings = device != nullptr ? measure_ceilings(*device) : measure_ceilings(ProbeSet::all);
  }
  if (flags.format == "json") {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& kernel : kernels) {
      list.push_back(
          {{"name", kernel.name}, {"supported", kernel.available}, {"reason", kernel.reason}});
    }
    nlohmann::json report{{"version", kVersion},
                          {"cpu", cpu_model_name()},
                          {"cores", available_cores()},
                          {"isa", isa_name(detected_isa())},
                          {"available_memory_bytes", available_memory()},
                          {"devices", devices_json()},
                          {"gpus", gpus_json()},
                          {"kernels", list}};
    if (ceilings) report["ceilings"] = study::ceilings_json(*ceilings);
    std::cout << report.dump() << '\n';
    return;
  }
  std::cout << fmt::format(
      "plimsoll {}\nCPU       {}, {} cores\nbest ISA  {}\nmemory    {} available\n{}\n"
      "kernels\n",
      kVersion, cpu_model_name(), available_cores(), isa_name(detected_isa()),
      format_bytes(available_memory()), gpus_text());
  for (const auto& kernel : kernels) {
    std::cout << fmt::format("  {:<28} {}\n", kernel.name,
                             kernel.available ? "yes" : "no: " + kernel.reason);
  }
  if (ceilings) std::cout << ceilings_text(*ceilings);
}

}  // namespace

void add_doctor(CLI::App& app) {
  auto flags = std::make_shared<DoctorFlags>();
  CLI::App* command =
      app.add_subcommand("doctor", "What this machine has, and which kernels it can run");
  command->footer(
      "Examples:\n"
      "  plimsoll doctor\n"
      "  plimsoll doctor --measure\n"
      "  plimsoll doctor --measure -t 1 --format json");
  command->add_flag("--measure", flags->measure,
                    "Measure the ceilings too: read bandwidth and what each unit multiplies (2 s)");
  command->add_option("-t,--threads", flags->threads, "Threads that measure (0: every core)")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->add_option("--device", flags->device, "Whose ceilings: cpu, cuda or cuda:N")
      ->capture_default_str();
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
