// How every figure came about: formulas, protocol, machine, and what would be needed to repeat it.
import * as format from "../data/format";
import { details, el, table, type Child } from "../dom";
import type { Page } from "../page";
import { numericFlag, type Latency, type Sampled } from "../results";
import { noiseNote } from "./latency";

const formulas: [string, string][] = [
  ["end to end", "TTFT + seconds of the other (new tokens − 1) steps"],
  ["TTFT", "seconds of the prompt's pass and of the choice of the first token"],
  ["TPOT", "(end to end − TTFT) / (new tokens − 1)"],
  ["prefill tokens/s", "prefill tokens / seconds of one pass over them: a text of its own, longer than the prompt"],
  ["decode tokens/s", "1 / TPOT"],
  ["interval of a speed", "95 % bootstrap interval of the median over the repeats: 2.5 and 97.5 percentiles of the medians of 2000 resamples"],
  ["interval of a quality", "95 %, by Student's t over the windows of the text"],
  ["against the baseline", "median speed / the baseline's median speed, rounds resampled whole where both took turns; “no difference” where the interval holds 1 or the ratio stays inside the noise floor"],
  ["noise floor", "how far from 1 the interval of the ratio reaches when a variant is measured against itself"],
  ["budget of quality", "a perplexity ratio of --max-ppl-ratio. Surely within: the interval's upper end is. May exceed: the ratio is within, the interval's end is not, or is not known: taken only where it is better, beyond noise, than every variant that is surely within"],
  ["nll", "mean over the scored tokens of −ln p(token | what stands before it), in nats"],
  ["perplexity", "exp(nll)"],
  ["perplexity ratio", "exp(mean difference of the losses to the reference's), over the same windows"],
  ["KL", "mean over the positions of Σ p ln(p / q), p the reference's distribution and q the variant's, in nats"],
  ["same top", "positions whose most likely token is the reference's / positions"],
  ["distinct-n", "different n-grams of tokens / n-grams of tokens of a sample"],
  ["repetition", "1 − distinct-4: n-grams of four tokens that have occurred before"],
  ["GB/s, Gop/s", "bytes that a kernel must read and write, or its operations (a multiplication and an addition are two) / seconds / 10⁹"],
  ["share of the ceiling", "what the bytes or the operations (the longer) would take at the ceilings measured in this run / seconds taken; over 100 % where bytes come from a cache"],
  ["busy", "seconds in which some kernel or copy ran on the GPU / seconds of the same run without a trace; gaps are the rest over the launches"],
  ["memory", "weights, each once + keys and values of the prompt and the new tokens + what a run adds at most; the peak is that of a process with this variant alone"],
  ["price of a million tokens", "price per hour / 3600 / decode tokens/s × 10⁶"],
];

function plain(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map((one) => (typeof one === "string" ? `“${one}”` : String(one))).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function facts(title: string, entries: [string, Child][]): HTMLElement {
  return el("div", { class: "facts" }, el("h3", {}, title), el("dl", {}, ...entries.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value ?? "–")])));
}

const code = (text: string | null) => (text === null ? "–" : el("code", {}, text));

/** As a shell would read it again. */
export function shellCommand(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}

function rawSamples(page: Page): HTMLElement {
  const figures: [keyof Omit<Latency, "repeats">, string, (v: number) => string][] = [
    ["end_to_end_seconds", "end to end", format.seconds], ["ttft_seconds", "TTFT", format.seconds], ["tpot_seconds", "TPOT", format.seconds],
    ["prefill_tokens_per_second", "prefill tokens/s", (v) => format.number(v, 4)], ["decode_tokens_per_second", "decode tokens/s", (v) => format.number(v, 4)],
  ];
  const rows: Child[][] = page.results.variants.flatMap((variant) =>
    figures.flatMap(([key, name, write]) => {
      const figure: Sampled | undefined = variant.latency?.[key];
      return figure ? [[variant.name, name, write(figure.median), write(figure.mean), write(figure.stddev), (figure.samples ?? []).map(write).join("  ")]] : [];
    }),
  );
  return details("Every raw sample", table({ columns: ["variant", "figure", "median", "mean", "standard deviation", "samples in their order"], rows }, "Every raw sample"));
}

function download(json: string): HTMLElement {
  return el("button", {
    type: "button", class: "action",
    click: () => {
      const url = URL.createObjectURL(new Blob([json], { type: "application/json" }));
      el("a", { href: url, download: "results.json" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    },
  }, "Save results.json");
}

export function method(page: Page, json: string): HTMLElement {
  const { run } = page.results;
  const { model, text, calibration, machine, ceilings } = run;
  const repeats = numericFlag(page.results, "repeats");
  const noise = noiseNote(page);
  const quality = page.results.variants.find((variant) => variant.quality)?.quality;
  const gops = (value: number | null | undefined) => (typeof value === "number" ? `${format.number(value)} Gop/s` : "–");
  return el(
    "section",
    { id: "method" },
    el("h2", {}, "Method"),
    el("p", { class: "explain" },
      `${repeats === null ? "Repeated" : `${repeats} repeats`} after a warm-up, the variants in turns, greedy, one sequence, end-of-sequence ignored; medians with bootstrap intervals. ` +
      (quality
        ? `Quality on the arithmetic path that is timed (${quality.compute}): protocol ${quality.protocol}, window ${format.integer(quality.window)}, stride ${format.integer(quality.stride)}, ${format.integer(quality.tokens_scored)} tokens scored. `
        : "") +
      (noise ?? "")),
    el("h3", {}, "Formulas"),
    table({ columns: ["figure", "formula"], rows: formulas }, "Formulas"),
    el(
      "div",
      { class: "facts-grid" },
      facts("Model", [
        ["path", code(model.path)], ["architecture", model.architecture], ["parameters", format.count(model.parameters)], ["stored as", model.stored_dtype],
        ["layers × width", `${format.integer(model.layers)} × ${format.integer(model.hidden_size)}`], ["vocabulary", format.integer(model.vocab_size)],
        ["context", `${format.integer(model.context_length)}${model.sliding_window ? `, sliding window ${format.integer(model.sliding_window)}` : ""}`],
        ["weights SHA-256", code(model.weights_sha256)], ["tokenizer SHA-256", code(model.tokenizer_sha256)],
      ]),
      text
        ? facts("Text", [["source", code(text.source)], ["size", `${format.bytes(text.bytes)}, ${format.integer(text.tokens)} tokens`], ["SHA-256", code(text.sha256)]])
        : facts("Text", [["source", "none: quality was not judged"]]),
      calibration &&
        facts("Calibration text", [
          ["source", calibration.source], ["windows", `${format.integer(calibration.windows)} of ${format.integer(calibration.window_tokens)} tokens, drawn at random (seed ${calibration.seed})`],
          ["SHA-256", code(calibration.sha256)],
        ]),
      facts("Machine", [
        ["processor", machine.cpu], ["instructions", machine.isa], ["threads", `${machine.threads} of ${machine.cores} cores`], ["memory", format.bytes(machine.memory_bytes)],
        ["system", machine.os], ["device", machine.device], ["GPU", machine.gpu ?? "none"],
      ]),
      facts("Ceilings measured in this run", [
        ["reads", typeof ceilings?.read_gbps === "number" ? `${format.number(ceilings.read_gbps)} GB/s` : "–"], ["fp32", gops(ceilings?.fp32_gops)], ["bf16", gops(ceilings?.bf16_gops)], ["fp16", gops(ceilings?.fp16_gops)], ["int8", gops(ceilings?.int8_gops)],
      ]),
      facts("Settings", Object.entries(run.flags).map(([name, value]) => [
        name.replace(/_bytes$/, "").replaceAll("_", " "), name.endsWith("_bytes") && typeof value === "number" ? format.bytes(value) : plain(value),
      ])),
      facts("Program", [
        ["plimsoll", `${run.plimsoll_version} (${run.build_commit})`], ["started", format.moment(run.started)], ["finished", run.complete ? format.moment(run.finished) : "not finished"],
        ["took", format.seconds(run.seconds)], ["mode", run.mode], ...Object.entries(run.versions ?? {}).map(([name, value]): [string, Child] => [name, plain(value)]),
      ]),
    ),
    el("h3", {}, "The command"),
    el("pre", { tabindex: 0 }, shellCommand(["plimsoll", ...run.command])),
    el("h3", {}, "All data"),
    el("p", { class: "explain" }, "This page holds the whole of results.json: every raw sample, every kernel."),
    el("p", {}, download(json)),
    rawSamples(page),
  );
}
