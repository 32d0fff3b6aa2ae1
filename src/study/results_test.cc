#include "study/results.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "storage/atomic_file.h"
#include "study/compare.h"
#include "study/imported.h"
#include "study/made_up_results.h"
#include "study/output.h"
#include "study/tables.h"
#include "study/verdicts.h"
#include "support/support.h"

namespace plimsoll::study {
namespace {

using plimsoll::test::message_of;
using test::made_up;

Results full() {
  Results results = made_up({made_up("bf16+sdpa", 20, {100, 101, 102}, 1),
                             made_up("int8+sdpa", 10, {200, 201, 203}, 1.02)});
  results.run.model.weights_sha256 = "123";
  results.variants[0].samples.push_back({"a \"prompt\"", "text\n", 3, 0.5, std::nullopt, 0.1});
  results.noise = noise_of("bf16+sdpa", *results.variants[0].latency, *results.variants[0].latency,
                           {&*results.variants[0].latency});
  results.imported.push_back({"f", "llama.cpp", "Q8_0", "tg128", summarised({50, 51})});
  results.sweeps.emplace();
  results.sweeps->batch = {{"bf16+sdpa", 1, 0, summarised({100, 101})}};
  results.sweeps->crossovers = {{"batch", "a", "b", std::nullopt, "a is faster"}};
  draw_conclusions(results);
  return results;
}

TEST(Results, SurviveTheirJson) {
  const Results results = full();
  const std::string json = to_json(results);
  EXPECT_EQ(to_json(results_from_json(json, "f")), json);
  const RawJson document = RawJson::parse(json);
  EXPECT_EQ(document["schema"], "plimsoll.study");
  EXPECT_EQ(document["schema_version"], 1);
  EXPECT_TRUE(document["run"]["finished"].is_null());
  const RawJson& decode = document["variants"][1]["latency"]["decode_tokens_per_second"];
  EXPECT_EQ(decode["median"], 201);
  EXPECT_EQ(decode["samples"].size(), 3u);
  EXPECT_GE(decode["low"], 200);
  EXPECT_EQ(document["variants"][1]["quality"]["ppl_ratio"]["high"], 1.02 * 1.01);
}

TEST(Results, AreRefusedWithFileAndField) {
  RawJson document = to_json_value(full());
  const auto refused = [&] {
    return message_of<InputError>([&] { results_from_json(document.dump(), "r.json"); });
  };
  document["schema_version"] = 2;
  EXPECT_EQ(refused(), "r.json: schema_version: found 2, expected 1, this program's");
  document["schema_version"] = 1;
  document["run"]["machine"].erase("gpu");  // may be null
  EXPECT_NO_THROW(results_from_json(document.dump(), "r.json"));
  document["variants"][1]["latency"].erase("ttft_seconds");
  EXPECT_EQ(refused(),
            "r.json: variants[1]: latency: ttft_seconds: found nothing, expected a value");
  document = to_json_value(full());
  document["variants"][0]["memory"]["weights_bytes"] = "many";
  EXPECT_NE(refused().find("weights_bytes: found string, expected a whole number"),
            std::string::npos);
  document = to_json_value(full());
  RawJson& decode = document["variants"][1]["latency"]["decode_tokens_per_second"];
  decode["median"] = 300;
  EXPECT_EQ(refused(),
            "r.json: variants[1]: latency: decode_tokens_per_second: median: found 300, expected "
            "201, its samples'");
  decode["samples"][1] = -1;
  EXPECT_NE(refused().find("samples: found -1, expected times or speeds"), std::string::npos);
  decode["samples"] = RawJson::array();
  EXPECT_NE(refused().find("samples: found none"), std::string::npos);
  document.erase("schema");
  EXPECT_EQ(refused(), "r.json: schema: found nothing, expected \"plimsoll.study\"");
  EXPECT_NE(message_of<InputError>([] { results_from_json("[1, 2", "r.json"); }).find("r.json"),
            std::string::npos);
}

TEST(Results, AsCsvALineAVariant) {
  const std::string csv = as_csv(full());
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);  // an imported row too
  EXPECT_EQ(csv.find("name,weights,attention,kv,device,status,decode_tokens_per_second,"), 0u);
  EXPECT_NE(csv.find("\n\"int8+sdpa\",int8,sdpa,fp32,cpu,measured,201,2010,"), std::string::npos);
}

TEST(Results, WhatWasNotMeasuredIsMarked) {
  Results results = full();
  results.variants[1].memory.kv_bytes = 3'000'000;
  EXPECT_EQ(variant_table(results, TableStyle::plain).find('~'), std::string::npos);
  results.variants[1].latency.reset();
  EXPECT_NE(variant_table(results, TableStyle::plain).find(" ~3.00 MB "), std::string::npos)
      << variant_table(results, TableStyle::plain);
}

TEST(Results, ANarrowTableHasTheColumnsThatMatter) {
  const Results results = full();
  const std::string wide = variant_table(results, TableStyle::plain);
  const std::size_t width = wide.find('\n');
  EXPECT_EQ(variant_table(results, TableStyle::plain, width).substr(0, width),
            wide.substr(0, width));
  for (const std::size_t narrower : {width - 1, std::size_t{60}, std::size_t{30}}) {
    const std::string table = variant_table(results, TableStyle::plain, narrower);
    EXPECT_LE(table.find('\n'), narrower);
    EXPECT_EQ(table.find("KV cache"), std::string::npos);
    EXPECT_NE(table.find("decode t/s"), std::string::npos);
    EXPECT_NE(table.find("201.0"), std::string::npos);
  }
}

class Output : public testing::Test {
 protected:
  plimsoll::test::TemporaryFolder folder_;
  std::filesystem::path study_ = folder_.path() / "study";
};

TEST_F(Output, TakesAnEmptyFolderAndItsOwnFinishedStudy) {
  Results results = full();
  EXPECT_FALSE(open_output(study_, Existing::refuse, results));
  EXPECT_NE(message_of<InputError>([&] {
              open_output(study_, Existing::resume, results);
            }).find("study: --resume: found no study there"),
            std::string::npos);
  save_output(study_, results);
  EXPECT_TRUE(std::filesystem::exists(study_ / "results.json"));
  EXPECT_FALSE(std::filesystem::exists(study_ / "results.md"));
  results.run.complete = true;
  save_output(study_, results);
  EXPECT_TRUE(std::filesystem::exists(study_ / "results.md"));
  EXPECT_TRUE(std::filesystem::exists(study_ / "results.csv"));
  EXPECT_FALSE(open_output(study_, Existing::refuse, results));
}

TEST_F(Output, KeepsAnUnfinishedStudy) {
  const Results results = full();
  save_output(study_, results);
  const std::string said =
      message_of<InputError>([&] { open_output(study_, Existing::refuse, results); });
  EXPECT_NE(said.find("--resume"), std::string::npos);
  EXPECT_FALSE(open_output(study_, Existing::overwrite, results));
  const auto earlier = open_output(study_, Existing::resume, results);
  ASSERT_TRUE(earlier);
  EXPECT_EQ(earlier->variants[1].latency->decode_tokens_per_second.median, 201);
}

TEST_F(Output, RefusesAnotherStudy) {
  save_output(study_, full());
  Results other = full();
  other.run.model.weights_sha256 = "456";
  for (const Existing existing : {Existing::refuse, Existing::resume}) {
    const std::string said = message_of<InputError>([&] { open_output(study_, existing, other); });
    EXPECT_NE(said.find("another study: weights_sha256: found \"123\", expected \"456\""),
              std::string::npos)
        << said;
  }
  other = full();
  other.run.machine.threads = 64;
  EXPECT_NE(
      message_of<InputError>([&] { open_output(study_, Existing::resume, other); }).find("threads"),
      std::string::npos);
}

std::vector<std::string> verdicts(const Comparison& comparison, const std::string& wanted) {
  std::vector<std::string> figures;
  for (const Change& change : comparison.changes) {
    if (change.verdict == wanted) figures.push_back(change.variant + " " + change.figure);
  }
  return figures;
}

TEST(Compare, AStudyWithItself) {
  const Comparison same = compare(full(), full());
  EXPECT_FALSE(same.worse);
  EXPECT_TRUE(verdicts(same, "worse").empty());
  EXPECT_TRUE(verdicts(same, "better").empty());
  EXPECT_GE(same.changes.size(), 10u);
}

TEST(Compare, SlowerIsWorseAndFasterBetter) {
  const Results before = full();
  Results after = full();
  Latency& latency = *after.variants[1].latency;
  latency.decode_tokens_per_second = summarised({180, 181, 182});
  latency.prefill_tokens_per_second = summarised({4000, 4010, 4020});
  const Comparison changed = compare(before, after);
  EXPECT_TRUE(changed.worse);
  EXPECT_EQ(verdicts(changed, "worse"), std::vector<std::string>{"int8+sdpa decode tokens/s"});
  EXPECT_EQ(verdicts(changed, "better"), std::vector<std::string>{"int8+sdpa prefill tokens/s"});
  // Within the noise that a variant has against itself nothing is said.
  after.noise->floor_decode = 0.2;
  EXPECT_FALSE(compare(before, after).worse);
}

TEST(Compare, SaysWhatTheVerdictsRestOn) {
  Results before = full(), after = full();
  before.run.complete = true;
  before.noise->floor_decode = 0.012;
  before.noise->floor_prefill = 0.034;
  before.noise->noisy = false;
  after.run.complete = false;
  after.noise->noisy = true;
  const std::string said = as_text(compare(before, after));
  EXPECT_NE(said.find("noise floor before: 1.2 % in decoding, 3.4 % in prefill\n"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("in prefill; the machine was noisy"), std::string::npos) << said;
  EXPECT_EQ(said.find("study before is unfinished"), std::string::npos) << said;
  EXPECT_NE(said.find("study after is unfinished"), std::string::npos) << said;
}

TEST(Compare, QualityMemoryAndAbsence) {
  const Results before = full();
  Results after = full();
  after.variants[1].quality->ppl *= 1.05;
  after.variants[1].memory.weights_bytes = 12'000'000;
  const Comparison changed = compare(before, after);
  EXPECT_EQ(verdicts(changed, "worse"),
            (std::vector<std::string>{"int8+sdpa weights bytes", "int8+sdpa perplexity"}));
  after = full();
  after.variants[1].memory.workspace_bytes += 1'200'000;
  after.variants[1].memory.needed_bytes = 3;
  after.variants[0].memory.peak_bytes = 70'000'000;
  after.variants[1].latency->end_to_end_seconds = summarised({0.6, 0.61, 0.62});
  Results then = full();
  then.variants[1].memory.workspace_bytes = 1'000'000;
  then.variants[1].memory.needed_bytes = 2;
  then.variants[0].memory.peak_bytes = 50'000'000;
  after.variants[1].memory.workspace_bytes += 1'000'000;
  EXPECT_EQ(verdicts(compare(then, after), "worse"),
            (std::vector<std::string>{"bf16+sdpa peak bytes", "int8+sdpa end-to-end seconds",
                                      "int8+sdpa workspace bytes", "int8+sdpa needed bytes"}));
  // What comes and goes of a process is no difference, nor is a peak that is not known.
  after.variants[1].memory.workspace_bytes = 1'900'000;
  after.variants[0].memory.peak_bytes = 53'000'000;
  EXPECT_EQ(verdicts(compare(then, after), "worse").size(), 2u);
  after.variants[0].memory.peak_bytes.reset();
  EXPECT_NE(as_text(compare(then, after)).find("bf16+sdpa: its peak memory was known before"),
            std::string::npos);
  after = full();
  after.variants[1].status = "failed";
  EXPECT_TRUE(compare(before, after).worse);
  after = full();
  after.variants[1].quality.reset();
  EXPECT_TRUE(compare(before, after).worse);
  // Of another text perplexity says nothing.
  after = full();
  after.variants[1].quality->ppl *= 2;
  after.run.text->sha256 = "another";
  EXPECT_FALSE(compare(before, after).worse);
}

TEST(LlamaBench, RowsStandInTheTables) {
  plimsoll::test::TemporaryFolder folder;
  const auto file = folder.path() / "bench.json";
  write_file_atomically(file, R"([
    {"build_commit": "b4719", "backend": "CPU", "model_filename": "m.gguf",
     "model_type": "llama 1B Q8_0", "n_prompt": 512, "n_gen": 0, "avg_ts": 88.5,
     "stddev_ts": 1.5, "samples_ts": [87, 88, 90.5]},
    {"build_commit": "b4719", "model_filename": "m.gguf", "n_prompt": 0, "n_gen": 128,
     "avg_ts": 29.5, "stddev_ts": 0.7}])");
  const std::vector<Imported> rows = read_llama_bench(file);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].test, "pp512");
  EXPECT_EQ(rows[0].label, "llama 1B Q8_0");
  EXPECT_EQ(rows[0].engine, "llama.cpp b4719, CPU");
  EXPECT_EQ(rows[0].tokens_per_second.median, 88);
  EXPECT_EQ(rows[1].test, "tg128");
  EXPECT_EQ(rows[1].tokens_per_second.median, 29.5);
  EXPECT_EQ(rows[1].tokens_per_second.stddev, 0.7);
  Results results = full();
  results.imported = rows;
  EXPECT_NE(as_markdown(results).find("llama 1B Q8_0"), std::string::npos);
  EXPECT_NE(as_csv(results).find("\n\"llama 1B Q8_0\",,,,,imported,"), std::string::npos);
  EXPECT_NE(as_csv(results).find(",\"llama.cpp b4719, CPU\",pp512,88,"), std::string::npos);
  results.imported[0].label = "a|b <i>";
  EXPECT_NE(as_markdown(results).find("| a\\|b &lt;i> |"), std::string::npos)
      << as_markdown(results);
  for (const char* row : {R"("samples_ts": [1, 2])", R"("avg_ts": "fast")"}) {
    write_file_atomically(
        file, fmt::format(R"([{{"n_prompt": 8, "n_gen": 0, "model_type": "m", {}}}])", row));
    EXPECT_NE(message_of<InputError>([&] { read_llama_bench(file); }).find("row 0: avg_ts"),
              std::string::npos);
  }
  write_file_atomically(file, R"([{"n_prompt": 512, "n_gen": 0, "model_filename": "m"}])");
  EXPECT_NE(message_of<InputError>([&] { read_llama_bench(file); }).find("row 0: avg_ts"),
            std::string::npos);
  write_file_atomically(file, R"([{"n_prompt": 512, "n_gen": 0, "model_type": "m", "avg_ts": 0}])");
  EXPECT_NE(message_of<InputError>([&] { read_llama_bench(file); }).find("row 0: avg_ts"),
            std::string::npos);
  for (const char* text : {"{}", "[]"}) {
    write_file_atomically(file, text);
    EXPECT_THROW(read_llama_bench(file), InputError);
  }
}

}  // namespace
}  // namespace plimsoll::study
