// What the sections ask of the variants and of the rows of other engines.
import type { Comparison, Imported, Results, Sampled, Variant } from "../results";

export function variantNamed(results: Results, name: string | null): Variant | null {
  return results.variants.find((variant) => variant.name === name) ?? null;
}

/** Whether it is the noise floor that makes a difference none: the interval leaves out 1. */
export function overrules(floor: number | null | undefined, { verdict, low, high }: Comparison): floor is number {
  return typeof floor === "number" && verdict === "no difference" && low !== null && high !== null && (low > 1 || high < 1);
}

/** Bytes while running: weights, KV cache and workspace; null where a part is unknown. */
export function workingBytes(variant: Variant): number | null {
  const { weights_bytes: weights, kv_bytes: kv, workspace_bytes: workspace } = variant.memory ?? {};
  if (typeof weights !== "number" || typeof kv !== "number") return null;
  return weights + kv + (workspace ?? 0);
}

/** What is to be compared with a device's memory: the measured peak, or what would be needed. */
export function neededBytes(variant: Variant): number | null {
  return variant.memory?.peak_bytes ?? variant.memory?.needed_bytes ?? workingBytes(variant);
}

/** Another engine's rows, its prompt-processing and generation tests side by side. */
export interface ImportedRow {
  name: string;
  engine: string;
  source: string;
  prefill: { test: string; rate: Sampled } | null;
  decode: { test: string; rate: Sampled } | null;
}

/** One row for each engine and label; a test named pp is prefill, one named tg decoding. */
export function importedRows(imported: readonly Imported[]): ImportedRow[] {
  const rows = new Map<string, ImportedRow>();
  for (const entry of imported) {
    const key = JSON.stringify([entry.source, entry.engine, entry.label]);
    const row = rows.get(key) ?? {
      name: `${entry.engine}: ${entry.label}`, engine: entry.engine, source: entry.source, prefill: null, decode: null,
    };
    rows.set(key, row);
    const figure = { test: entry.test, rate: entry.tokens_per_second };
    if (entry.test.startsWith("pp")) row.prefill = figure;
    else if (entry.test.startsWith("tg")) row.decode = figure;
  }
  return [...rows.values()];
}

/** The prompts that variants were asked to continue, in the order of their first use. */
export function samplePrompts(variants: readonly Variant[]): string[] {
  return [...new Set(variants.flatMap((variant) => (variant.samples ?? []).map((sample) => sample.prompt)))];
}

/** Values in a column's order; what is missing comes last, whichever the direction. */
export function sorted<T>(rows: readonly T[], key: (row: T) => number | string | null, descending: boolean): T[] {
  return rows
    .map((row, index) => ({ row, index, value: key(row) }))
    .sort((a, b) => {
      if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null) || a.index - b.index;
      const order =
        typeof a.value === "number" && typeof b.value === "number"
          ? a.value - b.value
          : String(a.value).localeCompare(String(b.value), "en");
      return (descending ? -order : order) || a.index - b.index;
    })
    .map(({ row }) => row);
}
