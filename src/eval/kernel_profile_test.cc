#include "eval/kernel_profile.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/threads.h"
#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

/// 10 GB/s, 100 fp32 and 400 int8 operations a nanosecond.
Ceilings ceilings() {
  Ceilings ceilings;
  ceilings.threads = 1;
  ceilings.reads = {{"read", 1, {10, 11, 5}}};
  ceilings.units = {{"fp32", "fp32_probe", Isa::scalar, {100, 100, 5}},
                    {"int8", "int8_probe", Isa::scalar, {400, 400, 5}}};
  return ceilings;
}

const KernelTime& kernel(const KernelProfile& profile, std::string_view name,
                         std::string_view part) {
  for (const KernelTime& each : profile.kernels) {
    if (each.name == name && each.part == part) return each;
  }
  ADD_FAILURE() << "no " << name << " in " << part;
  return profile.kernels.front();
}

double part_seconds(const KernelProfile& profile, std::string_view name) {
  for (const PartTime& part : profile.parts) {
    if (part.part == name) return part.seconds;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

// Nanoseconds: a product in two parts and a norm, in a run of 10 microseconds.
const std::vector<trace::Event> kEvents{
    {"gemm", "attention", 1000, 1000, 5000, 0},          // 500 ns at 10 GB/s: half of the ceiling
    {"gemm", "mlp", 2500, 2000, 1000, 400'000, "int8"},  // 1000 ns of int8: half
    {"norm", "norm", 5000, 500, 100, 10},                //
    {"gemm", "mlp", 6000, 1000, 1000, 400'000, "int8"},  // at the ceiling
    {"gemm", "mlp", 8000, 1500, 1000, 200'000, "int8"},  // 500 ns: a third
};

TEST(KernelProfile, AddsUpByHand) {
  const KernelProfile profile = kernel_profile(kEvents, 10e-6, {4, 2, 0, 1}, ceilings());
  EXPECT_EQ(profile.workload, "pp4+tg2");
  ASSERT_EQ(profile.kernels.size(), 3u);
  const KernelTime& mlp = profile.kernels.front();  // the most time
  EXPECT_EQ(mlp.name, "gemm");
  EXPECT_EQ(mlp.part, "mlp");
  EXPECT_EQ(mlp.unit, "int8");
  EXPECT_EQ(mlp.calls, 3);
  EXPECT_NEAR(mlp.seconds, 4.5e-6, 1e-15);
  EXPECT_NEAR(mlp.mean_seconds, 1.5e-6, 1e-15);
  EXPECT_NEAR(mlp.median_seconds, 1.5e-6, 1e-15);
  EXPECT_NEAR(mlp.min_seconds, 1e-6, 1e-15);
  EXPECT_NEAR(mlp.max_seconds, 2e-6, 1e-15);
  EXPECT_NEAR(mlp.share, 0.45, 1e-9);
  EXPECT_EQ(mlp.bytes, 3000);
  EXPECT_EQ(mlp.operations, 1'000'000);
  EXPECT_NEAR(mlp.gbps, 3000 / 4500.0, 1e-9);
  EXPECT_NEAR(mlp.gops, 1'000'000 / 4500.0, 1e-9);
  EXPECT_NEAR(mlp.share_of_ceiling, 2500 / 4500.0, 1e-9);
  EXPECT_EQ(mlp.bound, "compute");
  const KernelTime& attention = kernel(profile, "gemm", "attention");
  EXPECT_NEAR(attention.share_of_ceiling, 0.5, 1e-9);
  EXPECT_EQ(attention.bound, "bandwidth");
  EXPECT_NEAR(part_seconds(profile, "attention"), 1e-6, 1e-15);
  EXPECT_NEAR(part_seconds(profile, "norm"), 0.5e-6, 1e-15);
  EXPECT_EQ(profile.parts.back().part, "other");
  EXPECT_NEAR(profile.parts.back().seconds, 4e-6, 1e-15);
}

// Each call has its own floor: calls that memory bounds and calls that arithmetic bounds do not
// hide each other, as the larger of two total shares would.
TEST(KernelProfile, TheRooflineIsOfEachCall) {
  const std::vector<trace::Event> events{{"gemm", "mlp", 0, 1000, 10'000, 0},
                                         {"gemm", "mlp", 1000, 1000, 0, 100'000}};
  const KernelProfile profile = kernel_profile(events, 2e-6, {1, 1, 0, 1}, ceilings());
  EXPECT_NEAR(profile.kernels.front().share_of_ceiling, 1, 1e-9);
}

TEST(KernelProfile, TimeInsideAnotherScopeCountsOnce) {
  const std::vector<trace::Event> events{{"inner", "head", 200, 300, 0, 0},  // as they end
                                         {"inner", "head", 600, 100, 0, 0},
                                         {"outer", "mlp", 0, 1000, 0, 0}};
  const KernelProfile profile = kernel_profile(events, 1e-6, {1, 0, 0, 1}, ceilings());
  EXPECT_NEAR(kernel(profile, "outer", "mlp").seconds, 600e-9, 1e-15);
  EXPECT_NEAR(kernel(profile, "inner", "head").seconds, 400e-9, 1e-15);
  EXPECT_NEAR(part_seconds(profile, "other"), 0, 1e-15);
  EXPECT_THROW(kernel_profile(events, 0.9e-6, {1, 0, 0, 1}, ceilings()), InternalError);
}

TEST(KernelProfile, WhatNoPartClaimsIsOther) {
  const std::vector<trace::Event> events{{"stray", "", 0, 400, 0, 0},
                                         {"gemm", "mlp", 400, 100, 0, 0}};
  const KernelProfile profile = kernel_profile(events, 1e-6, {1, 0, 0, 1}, ceilings());
  EXPECT_NEAR(part_seconds(profile, "other"), 0.9e-6, 1e-15);
}

TEST(KernelProfile, JsonHasTheFiguresAndItsSharesAddUp) {
  const auto json = as_json(kernel_profile(kEvents, 10e-6, {4, 2, 0, 1}, ceilings()));
  double kernels = 0, parts = 0;
  for (const auto& each : json["kernels"]) {
    for (const char* field : {"name", "part", "calls", "seconds", "mean_seconds", "share", "bytes",
                              "operations", "gbps", "gops", "share_of_ceiling", "bound"}) {
      EXPECT_TRUE(each.contains(field)) << field;
    }
    kernels += each["share"].get<double>();
  }
  for (const auto& each : json["parts"]) parts += each["share"].get<double>();
  EXPECT_NEAR(kernels, 0.6, 1e-9);
  EXPECT_NEAR(parts, 1, 1e-9);
  EXPECT_EQ(json["workload"], "pp4+tg2");
}

TEST(KernelProfile, TheTraceIsInMicrosecondsFromItsBeginning) {
  const auto json = nlohmann::json::parse(trace_json(kEvents));
  const auto& events = json["traceEvents"];
  ASSERT_EQ(events.size(), kEvents.size());
  EXPECT_EQ(events[0]["ts"], 0);
  EXPECT_EQ(events[1],
            (nlohmann::json{
                {"name", "gemm"},
                {"cat", "cpu_op"},
                {"ph", "X"},
                {"ts", 1.5},
                {"dur", 2.0},
                {"pid", 1},
                {"tid", 1},
                {"args",
                 {{"part", "mlp"}, {"bytes", 1000}, {"operations", 400'000}, {"unit", "int8"}}}}));
  EXPECT_TRUE(nlohmann::json::parse(trace_json({}))["traceEvents"].empty());
}

TEST(KernelProfile, ARunOfAModelNamesEveryPart) {
  set_threads(1);
  for (const char* name : {"llama-tiny", "gpt2-tiny"}) {
    const auto model = load_model(test::golden(name).string());
    const TracedRun run = traced_run(*model, {}, {9, 3, 0, 1});
    Ceilings all = ceilings();
    all.units.push_back({"bf16", "bf16_probe", Isa::scalar, {200, 200, 5}});
    const KernelProfile profile = kernel_profile(run.events, run.wall_seconds, run.workload, all);
    for (const char* part :
         {"attention", "mlp", "head", "norm", "embedding", "sampling", "other"}) {
      EXPECT_GT(part_seconds(profile, part), 0) << name;
    }
    // A norm before attention and MLP of each layer and one at the end; four passes.
    std::int64_t norms = 0;
    for (const KernelTime& each : profile.kernels) {
      EXPECT_FALSE(each.part.empty()) << each.name;
      if (each.part == "norm") norms += each.calls;
    }
    EXPECT_EQ(norms, 4 * (2 * model->config().layers + 1)) << name;
    EXPECT_EQ(kernel(profile, "sample", "sampling").calls, 4);
    const double total =
        std::accumulate(profile.parts.begin(), profile.parts.end(), 0.0,
                        [](double sum, const PartTime& part) { return sum + part.seconds; });
    EXPECT_NEAR(total, profile.wall_seconds, 1e-9);
  }
}

}  // namespace
}  // namespace plimsoll
