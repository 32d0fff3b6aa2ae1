// Memory by what holds it, and what it costs to run.
import { figure } from "../charts/figure";
import { stackChart, type Stack } from "../charts/stack";
import * as format from "../data/format";
import { neededBytes, variantNamed } from "../data/variants";
import { el, table } from "../dom";
import type { Page } from "../page";
import { numericFlag, type Variant } from "../results";

function stack(variant: Variant): Stack {
  const memory = variant.memory;
  const parts = new Map<string, number>();
  const add = (part: string, bytes: number | null | undefined) => {
    if (bytes) parts.set(part, bytes);
  };
  add("weights", memory?.weights_bytes);
  add("KV cache", memory?.kv_bytes);
  add("workspace", memory?.workspace_bytes);
  const needed = neededBytes(variant);
  if (parts.size === 0) add("needed", needed);
  return variant.status === "does_not_fit"
    ? { name: variant.name, parts, remark: `${format.bytes(needed)}, does not fit`, pale: true }
    : { name: variant.name, parts };
}

/** A column of figures, or where nobody has one, the reasons. */
function available(variants: Variant[], figure: (variant: Variant) => number | null | undefined, reason: (variant: Variant) => string | null | undefined) {
  const some = variants.some((variant) => typeof figure(variant) === "number");
  const reasons = [...new Set(variants.map(reason).filter(Boolean))].join("; ");
  return { some, missing: `not available${reasons ? ` (${reasons})` : ""}` };
}

function running(page: Page): HTMLElement {
  const place = el("div", {});
  const fill = () => {
    const variants = page.variants.filter((variant) => variant.status === "measured");
    const priced = available(variants, (v) => v.cost?.per_million_tokens, (v) => v.cost?.reason);
    const metered = available(variants, (v) => v.energy?.joules_per_token, (v) => v.energy?.reason);
    const columns = [
      { some: priced.some, title: "price of a million tokens", cell: (v: Variant) => format.number(v.cost?.per_million_tokens) },
      { some: metered.some, title: "joules a token", cell: (v: Variant) => `${format.number(v.energy?.joules_per_token)}${v.energy?.source ? ` (${v.energy.source})` : ""}` },
    ].filter((column) => column.some);
    place.replaceChildren();
    if (columns.length > 0) {
      place.append(table(
        { columns: ["", ...columns.map((column) => column.title)], rows: variants.map((v) => [page.badge(v.name), ...columns.map((column) => column.cell(v))]) },
        "Price and energy",
      ));
    }
    if (!priced.some) place.append(el("p", { class: "note" }, `Price: ${priced.missing}.`));
    if (!metered.some) place.append(el("p", { class: "note" }, `Energy: ${metered.missing}.`));
  };
  page.onChange(fill);
  fill();
  return place;
}

export function memory(page: Page): HTMLElement {
  const limit = numericFlag(page.results, "memory_limit_bytes");
  return el(
    "section",
    { id: "memory" },
    el("h2", {}, "Memory and cost"),
    figure(page, {
      id: "memory-stack",
      title: "Memory",
      caption: `Of the weights as they lie in memory, the KV cache of the timed workload, and the workspace.${limit === null ? "" : ` The dashed line is the limit that was given, ${format.bytes(limit)}.`}`,
      draw: (width) => {
        const stacks = page.variants.map(stack).filter((one) => one.parts.size > 0);
        if (stacks.length === 0) return "None of the chosen variants has its memory counted.";
        const absent = page.variants.filter((variant) => stack(variant).parts.size === 0).map((variant) => variant.name);
        return stackChart(page, {
          stacks, axis: "bytes, less is better", write: format.bytes, width,
          line: limit === null ? null : { value: limit, name: `limit ${format.bytes(limit)}` },
          summary: `Memory: ${stacks.map((one) => `${one.name} ${one.remark ?? format.bytes([...one.parts.values()].reduce((sum, part) => sum + part, 0))}`).join(", ")}.`,
          columns: [
            { title: "peak of the process", cell: ({ name }) => format.bytes(variantNamed(page.results, name)?.memory?.peak_bytes) },
            { title: "estimated before loading", cell: ({ name }) => format.bytes(variantNamed(page.results, name)?.memory?.needed_bytes) },
          ],
          notes: absent.length > 0 ? [`Not counted: ${absent.join(", ")}.`] : [],
        });
      },
    }),
    el("h3", {}, "Price and energy"),
    running(page),
  );
}
