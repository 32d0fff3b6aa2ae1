// The table of all variants, sortable by any column; the rows of other engines stand below ours.
import * as format from "../data/format";
import { importedRows, neededBytes, overrules, sorted, workingBytes, type ImportedRow } from "../data/variants";
import { el, scrollable, type Child } from "../dom";
import type { Page } from "../page";
import type { Comparison, Sampled, Variant } from "../results";

interface Column {
  title: string;
  hint: string;
  key: (variant: Variant) => number | string | null;
  cell: (variant: Variant) => Child;
  foreign?: (row: ImportedRow) => Child;
}

/** A number and its unit stay on one line; small print may go on in the next. */
const unbroken = (text: string) => text.replaceAll(" ", "\u00a0");

/** A value with its small print below. */
function stacked(value: string, small: string | null): HTMLElement {
  return el("span", {}, value, small && el("small", {}, small));
}

function ends({ low, high }: { low: number | null; high: number | null }, write: (value: number) => string): string | null {
  return low === null || high === null ? null : `${unbroken(write(low))} – ${unbroken(write(high))}`;
}

function sampled(figure: Sampled | undefined, write: (value: number) => string): Child {
  return figure ? stacked(write(figure.median), ends(figure, write)) : "–";
}

function verdict(comparison: Comparison | null | undefined, floor: number | undefined): Child {
  if (!comparison) return "–";
  if (comparison.verdict === "no difference") {
    const overruled = overrules(floor, comparison) && `, inside the noise floor of ${unbroken(format.percent(floor, 2))}`;
    return stacked("no difference", `${ends(comparison, format.number)}${overruled || ""}`);
  }
  return stacked(`${format.times(comparison.ratio)} ${comparison.verdict === "slower" ? "(slower)" : ""}`.trim(), ends(comparison, format.number));
}

function columns(page: Page): Column[] {
  const rate = (value: number) => format.number(value);
  const { baseline, reference } = page.results;
  const foreign = (figure: ImportedRow["decode"]) => (figure ? stacked(rate(figure.rate.median), figure.test) : "–");
  return [
    {
      title: "Decode tok/s", hint: "median and 95 % interval, one sequence",
      key: (v) => v.latency?.decode_tokens_per_second.median ?? null,
      cell: (v) => sampled(v.latency?.decode_tokens_per_second, rate),
      foreign: (row) => foreign(row.decode),
    },
    {
      title: "against baseline", hint: `decoding speed over that of ${baseline}, 95 % interval`,
      key: (v) => v.versus_baseline?.decode?.ratio ?? null,
      cell: (v) => (v.name === baseline ? "baseline" : verdict(v.versus_baseline?.decode, page.results.noise?.floor_decode)),
    },
    {
      title: "Prefill tok/s", hint: "median and 95 % interval",
      key: (v) => v.latency?.prefill_tokens_per_second.median ?? null,
      cell: (v) => sampled(v.latency?.prefill_tokens_per_second, rate),
      foreign: (row) => foreign(row.prefill),
    },
    {
      title: "First token", hint: "time to the first token (TTFT)",
      key: (v) => v.latency?.ttft_seconds.median ?? null,
      cell: (v) => sampled(v.latency?.ttft_seconds, format.seconds),
    },
    {
      title: "Memory", hint: "weights, KV cache and workspace; below it the weights alone",
      key: (v) => workingBytes(v) ?? neededBytes(v),
      cell: (v) => {
        if (v.status === "does_not_fit" || v.status === "reference") return stacked(format.bytes(neededBytes(v)), "needed");
        return v.memory ? stacked(format.bytes(workingBytes(v) ?? neededBytes(v)), `weights ${unbroken(format.bytes(v.memory.weights_bytes))}`) : "–";
      },
    },
    {
      title: "Perplexity", hint: "with one standard error",
      key: (v) => v.quality?.ppl ?? null,
      cell: (v) => (v.quality ? stacked(format.number(v.quality.ppl, 4), unbroken(`± ${format.number(v.quality.ppl_stderr, 2)}`)) : "–"),
    },
    {
      title: "Ratio", hint: `perplexity over that of ${reference}, 95 % interval`,
      key: (v) => v.quality?.ppl_ratio?.value ?? null,
      cell: (v) => {
        const ratio = v.quality?.ppl_ratio;
        if (v.name === reference && v.quality) return "reference";
        return ratio ? stacked(format.fixed(ratio.value, 4), ends(ratio, (value) => format.fixed(value, 4))) : "–";
      },
    },
    {
      title: "KL", hint: `mean divergence from ${reference} in nats, 95 % interval`,
      key: (v) => v.quality?.kl_mean?.value ?? null,
      cell: (v) => {
        const kl = v.quality?.kl_mean;
        return kl ? stacked(format.number(kl.value), ends(kl, format.number)) : "–";
      },
    },
    {
      title: "Of ceiling", hint: "decoding, share of what this machine allows at its measured ceilings; below it prefill",
      key: (v) => v.share_of_ceiling?.decode ?? null,
      cell: (v) => {
        const { decode, prefill } = v.share_of_ceiling ?? {};
        // Memory's bandwidth is no ceiling for what the caches hold.
        const cached = (decode ?? 0) > 1 || (prefill ?? 0) > 1 ? ", from caches" : "";
        return stacked(format.percent(decode, 2), typeof prefill === "number" ? `prefill ${unbroken(format.percent(prefill, 2))}${cached}` : cached.slice(2));
      },
    },
  ];
}

const status = { measured: "", pending: "not measured yet", does_not_fit: "does not fit", failed: "failed", reference: "judged by only" };

export function variantTable(page: Page): HTMLElement {
  const all = columns(page);
  const { results } = page;
  const imported = importedRows(results.imported ?? []);
  let order: { column: Column; descending: boolean } | null = null;
  const body = el("tbody", {});
  const headings: { column: Column; cell: HTMLElement }[] = [];

  const row = (variant: Variant) => {
    const marks = [
      variant.name === results.recommended && "recommended",
      variant.name === results.reference && "reference",
      variant.name === results.baseline && "baseline",
    ].filter(Boolean);
    const name = el("th", { scope: "row" }, page.badge(variant.name), marks.length > 0 && el("small", {}, marks.join(", ")));
    const start = [el("td", { class: "box" }, page.tick(variant.name, "none")), name];
    if (variant.status !== "measured") {
      const memory = all.findIndex((column) => column.title === "Memory");
      return el("tr", { class: "unmeasured" }, ...start,
        el("td", { colspan: memory }, [status[variant.status], variant.reason].filter(Boolean).join(": ")),
        el("td", { class: "number" }, all[memory]?.cell(variant)), ...all.slice(memory + 1).map((column) => el("td", { class: "number" }, column.cell(variant))));
    }
    return el("tr", {}, ...start, ...all.map((column) => el("td", { class: "number" }, column.cell(variant))));
  };
  // The same box must not be built anew at every sorting: its listener would stay behind.
  const rows = new Map(results.variants.map((variant) => [variant, row(variant)]));
  const foreignRows = imported.map((one) =>
    el("tr", { class: "foreign" }, el("td", { class: "box" }),
      el("th", { scope: "row" }, el("span", { class: "variant" }, one.name), el("small", {}, `imported from ${one.source}`)),
      ...all.map((column) => el("td", { class: "number" }, column.foreign?.(one) ?? "–"))),
  );
  const fill = () => {
    const variants = order ? sorted(results.variants, order.column.key, order.descending) : results.variants;
    body.replaceChildren(...variants.map((variant) => rows.get(variant) as HTMLElement), ...foreignRows);
    for (const { column, cell } of headings) {
      if (order?.column === column) cell.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  };
  const heading = (column: Column) => {
    const sort = () => {
      order = order?.column !== column ? { column, descending: false } : order.descending ? null : { column, descending: true };
      fill();
    };
    const cell = el("th", { scope: "col", class: "number" }, el("button", { type: "button", title: column.hint, click: sort }, column.title));
    headings.push({ column, cell });
    return cell;
  };
  const head = el("tr", {},
    el("th", { scope: "col", class: "box" }, el("span", { class: "unseen" }, "Shown in the charts")),
    el("th", { scope: "col" }, "Variant"), ...all.map(heading));
  fill();
  return el(
    "section",
    { id: "variants" },
    el("h2", {}, "Variants"),
    el("p", { class: "explain" },
      "Press a heading to sort: once rising, twice falling, a third time back to the study's order. Small print: the 95 % interval, unless the column says otherwise. A tick shows a variant in the charts below."),
    scrollable("All variants", el("table", { class: "variants" }, el("caption", { class: "unseen" }, "All variants"), el("thead", {}, head), body)),
    imported.length > 0 &&
      el("p", { class: "note" }, "Imported rows come from another engine's own benchmark (named tests such as pp512 and tg128) and may have run on another machine or model file: they carry no quality."),
  );
}
