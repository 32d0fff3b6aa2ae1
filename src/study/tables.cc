#include "study/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "core/units.h"
#include "study/verdicts.h"

namespace plimsoll::study {

namespace {

using Row = std::vector<std::string>;

std::string bytes_text(std::int64_t bytes) {
  return format_bytes(static_cast<std::uint64_t>(bytes));
}

const Row kHeadings{"variant",    "ppl",     "ratio",   "KL",      "same top", "prefill t/s",
                    "decode t/s", "TTFT ms", "vs base", "weights", "KV cache", "peak"};

Row row_of(const VariantResult& v, const Results& results) {
  Row row(kHeadings.size(), "-");
  row[0] = v.name;
  if (v.quality) {
    row[1] = fmt::format("{:.3f}", v.quality->ppl);
    row[2] = fmt::format("{:.4f}", v.quality->ppl_ratio.value);
    row[3] = v.name == results.reference ? "0" : fmt::format("{:.2g}", v.quality->kl_mean.value);
    row[4] = fmt::format("{:.1f} %", 100 * v.quality->same_top.value);
  }
  if (v.latency) {
    constexpr double kMilliseconds = 1e3;
    row[5] = fmt::format("{:.0f}", v.latency->prefill_tokens_per_second.median);
    row[6] = fmt::format("{:.1f}", v.latency->decode_tokens_per_second.median);
    row[7] = fmt::format("{:.1f}", kMilliseconds * v.latency->ttft_seconds.median);
  } else {
    row[6] = v.status == "does_not_fit" ? "does not fit"
             : v.status == "reference"  ? "not timed"
                                        : v.status;
  }
  if (v.versus_baseline) {
    const Versus& decode = v.versus_baseline->decode;
    row[8] = v.name == results.baseline          ? "baseline"
             : decode.verdict == "no difference" ? "same"
             : decode.verdict == "unknown"       ? "unknown"
                                                 : fmt::format("{:.2f}x", decode.ratio);
  }
  row[9] = bytes_text(v.memory.weights_bytes);
  // Of one that was not measured it is an estimate, for the longest text of the study.
  row[10] = (v.latency ? "" : "~") + bytes_text(v.memory.kv_bytes);
  if (v.memory.peak_bytes) row[11] = bytes_text(*v.memory.peak_bytes);
  if (v.status == "does_not_fit") row[11] = "needs " + bytes_text(v.memory.needed_bytes);
  return row;
}

std::vector<std::size_t> widths_of(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  return widths;
}

/// Leaves columns out, what matters least first, until a line has `width` characters at most.
void narrow(std::vector<Row>& rows, std::size_t width) {
  constexpr std::size_t kGap = 2;
  for (const char* least : {"KV cache", "TTFT ms", "ratio", "peak", "same top", "weights",
                            "prefill t/s", "vs base", "ppl", "KL"}) {
    const std::vector<std::size_t> widths = widths_of(rows);
    std::size_t line = kGap * (widths.size() - 1);
    for (const std::size_t column : widths) line += column;
    if (line <= width) return;
    const auto at = std::ranges::find(rows.front(), least) - rows.front().begin();
    for (Row& row : rows) row.erase(row.begin() + at);
  }
}

/// Columns as wide as their widest cell; the first to the left, the others to the right.
std::string aligned(const std::vector<Row>& rows, TableStyle style) {
  const std::vector<std::size_t> widths = widths_of(rows);
  const bool markdown = style == TableStyle::markdown;
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line = markdown ? "|" : "";
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      const std::string cell = i == 0 ? fmt::format("{:<{}}", rows[r][i], widths[i])
                                      : fmt::format("{:>{}}", rows[r][i], widths[i]);
      line += markdown ? " " + cell + " |" : (i > 0 ? "  " : "") + cell;
    }
    text += line + "\n";
    if (!markdown || r > 0) continue;
    text += "|";
    for (std::size_t i = 0; i < widths.size(); ++i) {
      text += " " + std::string(widths[i] - 1, '-') + (i == 0 ? "-" : ":") + " |";
    }
    text += "\n";
  }
  return text;
}

std::string number(double value) {
  return fmt::format("{:.9g}", value);
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char character : text) {
    if (character == '"') result += '"';
    result += character;
  }
  return result + "\"";
}

/// A column of the CSV: its name and what it has of a variant.
struct CsvColumn {
  const char* name;
  std::function<std::string(const VariantResult&)> cell;
  std::function<std::string(const Imported&)> of_imported = [](const Imported&) { return ""; };
};

std::string of_latency(const VariantResult& v, Sampled Latency::*figure, double Sampled::*value) {
  return v.latency ? number((*v.latency).*figure.*value) : "";
}

std::string of_quality(const VariantResult& v, double QualityFacts::*figure) {
  return v.quality ? number((*v.quality).*figure) : "";
}

std::string of_estimate(const VariantResult& v, Estimate QualityFacts::*figure) {
  return v.quality ? number(((*v.quality).*figure).value) : "";
}

std::vector<CsvColumn> csv_columns() {
  using V = const VariantResult&;
  using I = const Imported&;
  const auto none = [](V) { return ""; };
  const auto whole = [](std::int64_t MemoryFacts::*field) {
    return [field](V v) { return std::to_string(v.memory.*field); };
  };
  return {
      {"name", [](V v) { return quoted(v.name); }, [](I row) { return quoted(row.label); }},
      {"weights", [](V v) { return v.weights; }},
      {"attention", [](V v) { return v.attention; }},
      {"kv", [](V v) { return v.kv; }},
      {"device", [](V v) { return v.device; }},
      {"status", [](V v) { return v.status; }, [](I) { return "imported"; }},
      {"decode_tokens_per_second",
       [](V v) { return of_latency(v, &Latency::decode_tokens_per_second, &Sampled::median); }},
      {"prefill_tokens_per_second",
       [](V v) { return of_latency(v, &Latency::prefill_tokens_per_second, &Sampled::median); }},
      {"ttft_seconds", [](V v) { return of_latency(v, &Latency::ttft_seconds, &Sampled::median); }},
      {"tpot_seconds", [](V v) { return of_latency(v, &Latency::tpot_seconds, &Sampled::median); }},
      {"end_to_end_seconds_mean",
       [](V v) { return of_latency(v, &Latency::end_to_end_seconds, &Sampled::mean); }},
      {"end_to_end_seconds_stddev",
       [](V v) { return of_latency(v, &Latency::end_to_end_seconds, &Sampled::stddev); }},
      {"decode_ratio",
       [](V v) { return v.versus_baseline ? number(v.versus_baseline->decode.ratio) : ""; }},
      {"decode_verdict",
       [](V v) { return v.versus_baseline ? v.versus_baseline->decode.verdict : ""; }},
      {"ppl", [](V v) { return of_quality(v, &QualityFacts::ppl); }},
      {"ppl_stderr", [](V v) { return of_quality(v, &QualityFacts::ppl_stderr); }},
      {"ppl_ratio", [](V v) { return of_estimate(v, &QualityFacts::ppl_ratio); }},
      {"kl_mean", [](V v) { return of_estimate(v, &QualityFacts::kl_mean); }},
      {"same_top", [](V v) { return of_estimate(v, &QualityFacts::same_top); }},
      {"weights_bytes", whole(&MemoryFacts::weights_bytes)},
      {"kv_bytes", whole(&MemoryFacts::kv_bytes)},
      {"workspace_bytes", whole(&MemoryFacts::workspace_bytes)},
      {"peak_bytes",
       [](V v) { return v.memory.peak_bytes ? std::to_string(*v.memory.peak_bytes) : ""; }},
      {"needed_bytes", whole(&MemoryFacts::needed_bytes)},
      {"price_per_million_tokens",
       [](V v) { return v.cost.per_million_tokens ? number(*v.cost.per_million_tokens) : ""; }},
      {"joules_per_token",
       [](V v) { return v.energy.joules_per_token ? number(*v.energy.joules_per_token) : ""; }},
      {"imported_engine", none, [](I row) { return quoted(row.engine); }},
      {"imported_test", none, [](I row) { return row.test; }},
      {"imported_tokens_per_second", none,
       [](I row) { return number(row.tokens_per_second.median); }},
      {"imported_stddev", none, [](I row) { return number(row.tokens_per_second.stddev); }},
  };
}

/// As Markdown has it in a cell of a table.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char character : text) {
    if (character == '|') result += '\\';
    if (character == '<') {
      result += "&lt;";
    } else {
      result += character;
    }
  }
  return result;
}

std::string imported_table(const Results& results, TableStyle style) {
  if (results.imported.empty()) return {};
  std::vector<Row> rows{{"imported", "engine", "test", "t/s"}};
  for (const Imported& row : results.imported) {
    const auto cell = [&](const std::string& text) {
      return style == TableStyle::markdown ? escaped(text) : text;
    };
    rows.push_back({cell(row.label), cell(row.engine), row.test,
                    fmt::format("{:.1f} +- {:.1f}", row.tokens_per_second.mean,
                                row.tokens_per_second.stddev)});
  }
  return "\n" + aligned(rows, style);
}

}  // namespace

std::string variant_table(const Results& results, TableStyle style, std::size_t width) {
  std::vector<Row> rows{kHeadings};
  for (const VariantResult& variant : results.variants) rows.push_back(row_of(variant, results));
  if (style == TableStyle::plain) narrow(rows, width);
  return aligned(rows, style) + imported_table(results, style);
}

std::string as_csv(const Results& results) {
  const std::vector<CsvColumn> columns = csv_columns();
  std::string text;
  for (const CsvColumn& column : columns) {
    text += (text.empty() ? "" : ",") + std::string(column.name);
  }
  text += '\n';
  const auto add_line = [&](const auto& cell) {
    std::string line;
    for (const CsvColumn& column : columns) {
      line += (&column == columns.data() ? "" : ",") + cell(column);
    }
    text += line + '\n';
  };
  for (const VariantResult& variant : results.variants) {
    add_line([&](const CsvColumn& column) { return column.cell(variant); });
  }
  for (const Imported& row : results.imported) {
    add_line([&](const CsvColumn& column) { return column.of_imported(row); });
  }
  return text;
}

std::string as_markdown(const Results& results) {
  const RunFacts& run = results.run;
  std::string text = fmt::format("# Study of {}\n\n", run.model.name);
  if (!run.complete) text += "Not complete: `--resume` goes on with it.\n\n";
  text += "## Which to take\n\n";
  for (const Recommendation& r : results.recommendations) {
    text += fmt::format("- **{}**: {}. {}. How sure: {}.\n", r.title,
                        r.variant ? "`" + *r.variant + "`" : "none", r.reason, r.confidence);
    for (const std::string& change : r.would_change) {
      text += fmt::format("  - What would change it: {}\n", change);
    }
  }
  if (!results.warnings.empty()) text += "\n## Warnings\n\n";
  for (const Warning& warning : results.warnings) {
    text += fmt::format("- {}{}\n", warning.variant ? "`" + *warning.variant + "`: " : "",
                        warning.text);
  }
  text += "\n## Variants\n\n" + variant_table(results, TableStyle::markdown);
  text += fmt::format(
      "\nQuality against `{}`, speed against `{}`. Prefill: {} tokens. Decoding: {} new tokens "
      "after "
      "`{}`, batch 1, greedy, {} after a warm-up. {} arithmetic on {} threads "
      "of "
      "{} ({}), plimsoll {} ({}).\n",
      results.reference, results.baseline, run.flags.prefill_tokens, run.flags.new_tokens,
      run.flags.decode_prompt, repeats_text(run.flags.repeats), run.flags.compute,
      run.machine.threads, run.machine.cpu, run.machine.isa, run.plimsoll_version,
      run.build_commit);
  if (results.numerics_cost.is_object()) text += numerics_text(results) + "\n";
  if (run.calibration) text += calibration_text(*run.calibration) + "\n";
  if (run.text) {
    text += fmt::format("Text: {}, {} tokens, SHA-256 `{}`.\n", run.text->source, run.text->tokens,
                        run.text->sha256);
  }
  return text;
}

std::string calibration_text(const CalibrationFacts& calibration) {
  return fmt::format(
      "Formats that look at activations were calibrated on {}: {} windows of {} tokens drawn at "
      "random (seed {}), SHA-256 of the text {}.",
      calibration.source, calibration.windows, calibration.window_tokens, calibration.seed,
      calibration.sha256);
}

std::string numerics_text(const Results& results) {
  const RawJson& cost = results.numerics_cost;
  const auto part = [&](const std::string& name, const char* where, double Noise::*floor) {
    const double share = cost.at(name).get<double>(), percent = 100;
    Estimate ratio{1 + share, std::nullopt};
    const RawJson low = cost.value(name + "_low", RawJson()),
                  high = cost.value(name + "_high", RawJson());
    if (low.is_number() && high.is_number()) {
      ratio.interval = Interval{1 + low.get<double>(), 1 + high.get<double>()};
    }
    const std::string verdict =
        verdict_on(ratio, results.noise ? (*results.noise).*floor : 0).verdict;
    if (verdict == "unknown") return fmt::format("unknown {}", where);
    if (verdict == "no difference") return fmt::format("no measured difference {}", where);
    return fmt::format("{:+.1f} % of the time {} (95 % interval {:+.1f} to {:+.1f})",
                       percent * share, where, percent * low.get<double>(),
                       percent * high.get<double>());
  };
  return fmt::format("Numerics: invariant against fast ({}): {}, {}.",
                     cost.at("variant").get<std::string>(),
                     part("prefill", "in prefill", &Noise::floor_prefill),
                     part("decode", "in decoding", &Noise::floor_decode));
}

std::string counted(std::size_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string repeats_text(std::int64_t repeats) {
  return repeats == 1 ? "of one repeat" : fmt::format("medians of {} repeats", repeats);
}

std::string wrapped(const std::string& text, std::size_t width, const std::string& indent) {
  std::string result, line;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t begin = text.find_first_not_of(" \n\t\r", at);
    if (begin == std::string::npos) break;
    const std::size_t end = std::min(text.find_first_of(" \n\t\r", begin), text.size());
    if (!line.empty() && line.size() + 1 + end - begin > width) {
      result += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + text.substr(begin, end - begin);
    at = end;
  }
  if (!line.empty()) result += indent + line + "\n";
  return result;
}

}  // namespace plimsoll::study
