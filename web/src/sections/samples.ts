// What the variants write behind the same prompts, side by side.
import * as format from "../data/format";
import { samplePrompts } from "../data/variants";
import { choice, el } from "../dom";
import type { Page } from "../page";

export function samples(page: Page): HTMLElement {
  const prompts = samplePrompts(page.results.variants);
  const section = el("section", { id: "samples" }, el("h2", {}, "Samples"));
  const [first] = prompts;
  if (first === undefined) {
    section.append(el("p", { class: "absent" },
      page.results.run.model.shape_only ? "Left out: random weights write nothing worth reading." : "Left out: no text was generated in this run."));
    return section;
  }
  let chosen = first;
  const cards = el("div", { class: "cards samples" });
  const fill = () => {
    cards.replaceChildren(
      ...page.variants.flatMap((variant) =>
        (variant.samples ?? []).filter((sample) => sample.prompt === chosen).map((sample) =>
          el(
            "article",
            { class: "card" },
            el("h3", {}, page.badge(variant.name)),
            el("blockquote", {}, el("span", { class: "prompt" }, sample.prompt), sample.text),
            el("p", { class: "note" },
              `${format.integer(sample.tokens)} tokens · distinct-1 ${format.number(sample.distinct_1, 2)} · distinct-2 ${format.number(sample.distinct_2, 2)} · repetition ${format.number(sample.repetition, 2)}`),
          ))),
    );
    if (cards.childElementCount === 0) cards.append(el("p", { class: "absent" }, "None of the chosen variants wrote something behind this prompt."));
  };
  page.onChange(fill);
  fill();
  section.append(
    el("p", { class: "explain" }, "Judge the fluency yourself. distinct-n: different n-grams over all n-grams, 1 is no repetition. The prompt is set in grey."),
    ...(prompts.length > 1
      ? [choice("Prompt", prompts.map((prompt) => ({ value: prompt, label: prompt.length > 40 ? `${prompt.slice(0, 38)}…` : prompt })), chosen, (value) => { chosen = value; fill(); })]
      : []),
    cards,
  );
  return section;
}
