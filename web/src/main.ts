// Builds the page from the results that stand in it.
import { el } from "./dom";
import { Page } from "./page";
import { parseResults, type Results } from "./results";
import { adaptation } from "./sections/adaptation";
import { header, side } from "./sections/frame";
import { kernels } from "./sections/kernels";
import { latency } from "./sections/latency";
import { memory } from "./sections/memory";
import { method } from "./sections/method";
import { quality } from "./sections/quality";
import { samples } from "./sections/samples";
import { summary, warnings } from "./sections/summary";
import { sweeps } from "./sections/sweeps";
import { tradeoff } from "./sections/tradeoff";
import { variantTable } from "./sections/variants";

function build(json: string, results: Results): void {
  const page = new Page(results);
  const sections = [
    summary(page), warnings(page), variantTable(page), tradeoff(page), latency(page), quality(page), memory(page), kernels(page), sweeps(page),
    adaptation(page), samples(page), method(page, json),
  ].filter((section): section is HTMLElement => section !== null);
  document.title = `${results.run.model.name} – plimsoll study`;
  document.body.replaceChildren(
    el("a", { class: "skip", href: "#main" }, "Skip to the content"),
    header(page),
    el("div", { class: "columns" }, side(page, sections), el("main", { id: "main", tabindex: -1 }, ...sections)),
    el("footer", {}, `Measured by plimsoll ${results.run.plimsoll_version}. This page works off-line and loads nothing. Charts: Apache ECharts (Apache-2.0) with zrender (BSD-3-Clause).`),
  );
}

const json = document.getElementById("results")?.textContent ?? "";
try {
  build(json, parseResults(json));
} catch (error) {
  document.body.replaceChildren(el("p", { class: "banner", role: "alert" }, error instanceof Error ? error.message : String(error)));
  throw error;
}
