// The top of the page, and the side: where things are, and which variants are shown.
import * as format from "../data/format";
import { el, svg } from "../dom";
import type { Page } from "../page";

/** The load line on a hull: a ring with a line through it. */
function emblem(): SVGElement {
  return svg("svg", { class: "emblem", viewBox: "0 0 32 32", "aria-hidden": "true" },
    svg("circle", { cx: 16, cy: 16, r: 9.5, fill: "none", stroke: "currentColor", "stroke-width": 3 }),
    svg("path", { d: "M1 16h30", stroke: "currentColor", "stroke-width": 3 }));
}

export function header(page: Page): HTMLElement {
  const { run } = page.results;
  const { model, machine } = run;
  return el(
    "header",
    {},
    el("div", { class: "brand" }, emblem(), el("span", {}, "plimsoll study")),
    el("h1", {}, model.name),
    el("p", { class: "meta" },
      [`${model.architecture}, ${format.count(model.parameters)} parameters`, `${machine.cpu}, ${machine.threads} ${machine.threads === 1 ? "thread" : "threads"}${machine.gpu ? `, ${machine.gpu}` : ""}`, format.moment(run.started), `${run.mode} study`].join(" · ")),
    !run.complete && el("p", { class: "banner", role: "status" },
      "This study is not finished: what is missing here has not been measured yet. The same command with --resume goes on."),
    model.shape_only && el("p", { class: "banner" }, "The weights are random (a shape: model): speed and memory are real, quality has no meaning."),
  );
}

export function side(page: Page, sections: HTMLElement[]): HTMLElement {
  const all = el("button", {
    type: "button",
    click: () => {
      const hidden = page.results.variants.some((variant) => !page.shown.has(variant.name));
      for (const variant of page.results.variants) {
        if (hidden) page.shown.add(variant.name);
        else page.shown.delete(variant.name);
      }
      page.changed();
    },
  }, "All / none");
  const chooser = el("details", { class: "chooser", open: window.matchMedia("(min-width: 68rem)").matches },
    el("summary", {}, "Variants in the charts"),
    el("fieldset", {}, el("legend", { class: "unseen" }, "Variants in the charts"), ...page.results.variants.map((variant) => page.tick(variant.name, "badge")), all));
  return el(
    "aside",
    {},
    el("nav", { "aria-label": "Sections" },
      el("ul", {}, ...sections.map((section) => el("li", {}, el("a", { href: `#${section.id}` }, section.querySelector("h2")?.closest(".answer") ? "Summary" : section.querySelector("h2")?.textContent ?? section.id))))),
    page.results.variants.length > 0 && chooser,
  );
}
