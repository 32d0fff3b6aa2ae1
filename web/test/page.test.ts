// The page as its readers meet it, in Chromium, from a file, without a network.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { after, before, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
// @ts-expect-error plain JavaScript
import { launch } from "./browser.mjs";
// @ts-expect-error plain JavaScript
import { filled, reportPage } from "../build.mjs";
import { light } from "../src/colours";
import type { Results } from "../src/results";
import { attack, full, hostile, incomplete, shapeOnly, withoutIntervals } from "./fixture";

let browser: Browser;
let template: string;
const folder = mkdtempSync(path.join(os.tmpdir(), "plimsoll-page-"));

before(async () => {
  [browser, template] = (await Promise.all([launch(), reportPage()])) as [Browser, string];
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** Opens the page of `results`; a complaint of the browser, or a request, fails the test. */
async function open(results: Results, use: (page: Page) => Promise<void>, options: BrowserContextOptions = {}): Promise<void> {
  const file = path.join(folder, "report.html");
  writeFileSync(file, filled(template, JSON.stringify(results)));
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light", ...options });
  const complaints: string[] = [];
  const page = await context.newPage();
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url())) complaints.push(`request: ${request.url()}`);
  });
  await page.goto(pathToFileURL(file).href);
  await drawn(page);
  try {
    await use(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

/** Every figure holds a chart or says why not. */
async function drawn(page: Page): Promise<void> {
  await page.waitForFunction(() => [...document.querySelectorAll("figure")].every((one) => one.querySelector(".chart svg, .absent")));
}

/** How many visible shapes of a colour a figure's chart has, its legend left out. */
function marks(page: Page, figure: string, colours: readonly string[]): Promise<number> {
  return page.evaluate(([id, wanted]) => {
    const shapes = [...document.querySelectorAll<SVGGraphicsElement>(`#${id} svg path, #${id} svg circle`)];
    return shapes.filter((shape) => {
      const [fill, stroke] = [shape.getAttribute("fill") ?? "", shape.getAttribute("stroke") ?? ""];
      const box = shape.getBBox();
      return (wanted.includes(fill) || wanted.includes(stroke)) && box.width > 0.5 && box.height > 0.5;
    }).length;
  }, [figure, colours] as const);
}

const texts = (page: Page, figure: string) => page.$$eval(`#${figure} svg text`, (all) => all.map((one) => one.textContent ?? ""));
const overflow = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const absent = (page: Page) => page.$$eval(".absent", (all) => all.map((one) => one.textContent ?? ""));
const show = (page: Page, figure: string, label: string) => page.locator(`#${figure}`).getByText(label, { exact: true }).click();

const timed = ["bf16+eager", "bf16+sdpa", "int8+eager", "int8+sdpa", "nf4-dq+eager", "nf4-dq+sdpa"];

test("the page hands on the licences of what it is made of", () => {
  for (const words of [/Apache ECharts\s+Copyright/, /Apache License\s+Version 2\.0/, /BSD 3-Clause License/]) assert.match(template, words);
});

test("every chart draws its marks", async () => {
  await open(full(), async (page) => {
    const figures = await page.$$eval("figure", (all) => all.map((one) => one.id));
    assert.deepEqual(figures, [
      "quality-speed", "quality-memory", "latency", "perplexity", "divergence", "memory-stack", "kernel-time", "roofline",
      "sweep-batch", "sweep-prompt", "sweep-depth", "training", "before-after",
    ]);
    const hues = light.palette;
    assert.equal(await page.locator("figure .chart svg").count(), figures.length);
    for (const figure of ["quality-speed", "quality-memory", "latency", "perplexity"]) {
      assert.equal(await marks(page, figure, hues), timed.length, figure);
      const written = await texts(page, figure);
      for (const name of timed) assert.ok(written.includes(name), `${figure} names ${name}: ${written}`);
    }
    // The reference has no divergence from itself, and the other dense variant's is zero: no bar.
    assert.equal(await marks(page, "divergence", hues), 4);
    // Three parts of seven variants and three entries of the legend; weights are one colour.
    assert.equal(await marks(page, "memory-stack", [light.parts[0]!]), 7 + 1);
    assert.equal(await marks(page, "memory-stack", light.parts), 21 + 3);
    assert.equal(await marks(page, "kernel-time", [light.parts[0]!]), timed.length + 1);
    const kernels = full().variants.find((one) => one.name === "int8+sdpa")!.profile!.kernels.length;
    assert.equal(await marks(page, "roofline", hues), kernels);
    for (const roof of [/^fp32/, /^bf16/, /^int8/, /^reads 62.1 GB\/s/]) assert.ok((await texts(page, "roofline")).some((text) => roof.test(text)), String(roof));
    // Of three variants: a line, an icon and a line in the legend, and a symbol at each of five or four values.
    assert.ok((await marks(page, "sweep-batch", hues)) >= 3 * (1 + 5));
    assert.ok((await texts(page, "sweep-batch")).includes("from 4 on"));
    assert.ok(!(await texts(page, "sweep-depth")).some((text) => text.endsWith(" on")));
    assert.match((await page.locator("#sweeps").textContent()) ?? "", /does not overtake nf4-dq\+sdpa at any measured depth\..*Depth 4096: the model has 2048 positions\./);
    assert.ok((await marks(page, "training", [light.accent])) >= 1 + 10);
    assert.deepEqual(await absent(page), []);
  });
});

test("bars begin at zero and are as long as their values", async () => {
  await open(full(), async (page) => {
    const bars = await page.$$eval("#latency svg path", (all, colours) => {
      const of = (colour: string) => all.find((one) => one.getAttribute("fill") === colour) as SVGGraphicsElement;
      return colours.map((colour) => ({ x: of(colour).getBBox().x, width: of(colour).getBBox().width }));
    }, [light.palette[0]!, light.palette[1]!, light.palette[2]!]);
    assert.ok(Math.abs(bars[0]!.x - bars[1]!.x) < 0.6 && Math.abs(bars[1]!.x - bars[2]!.x) < 0.6);
    const [bf16, int8, nf4] = bars.map((bar) => bar.width) as [number, number, number];
    assert.ok(Math.abs(int8 / bf16 - 741 / 431) < 0.01, `${int8 / bf16}`);
    assert.ok(Math.abs(nf4 / bf16 - 820 / 431) < 0.01, `${nf4 / bf16}`);
  });
});

test("the answer comes first, with its evidence", async () => {
  await open(full(), async (page) => {
    assert.equal(await page.locator(".answer h2").innerText(), "int8+sdpa");
    assert.deepEqual(await page.locator(".tile .big").allInnerTexts(), ["1.84×", "1.0022", "46.2 MB", "54.5 ms"]);
    assert.equal(await page.locator("#summary .card").count(), 4);
    assert.match(await page.locator("#summary .card").nth(3).innerText(), /No variant can be recommended/);
    assert.equal(await page.locator(".warnings li").count(), 2);
  });
});

test("a variant that is ticked off leaves every chart and keeps its colour", async () => {
  await open(full(), async (page) => {
    const before = await marks(page, "latency", [light.palette[1]!]);
    await page.getByLabel("Show nf4-dq+sdpa in the charts").uncheck();
    assert.equal(await marks(page, "latency", light.palette), timed.length - 1);
    assert.equal(await marks(page, "quality-speed", light.palette), timed.length - 1);
    assert.ok(!(await texts(page, "sweep-batch")).includes("nf4-dq+sdpa"));
    assert.equal(await marks(page, "latency", [light.palette[1]!]), before);
    assert.equal(await page.locator(".chooser").getByLabel("nf4-dq+sdpa").isChecked(), false);
    await page.getByRole("button", { name: "All / none" }).click();
    assert.equal(await marks(page, "latency", light.palette), timed.length);
    await page.getByRole("button", { name: "All / none" }).click();
    assert.ok((await absent(page)).includes("None of the chosen variants was timed."));
  });
});

test("the table sorts by a heading, what was not measured stays last", async () => {
  await open(full(), async (page) => {
    const order = () => page.$$eval("table.variants tbody th .variant", (all) => all.map((one) => one.textContent));
    const given = await order();
    const heading = page.getByRole("button", { name: "Decode tok/s" });
    await heading.click();
    assert.deepEqual((await order()).slice(0, 2), ["bf16+eager", "bf16+sdpa"]);
    await heading.click();
    assert.deepEqual((await order()).slice(0, 2), ["nf4-dq+sdpa", "int8+sdpa"]);
    assert.deepEqual((await order()).slice(-2), ["fp32+sdpa", "llama.cpp: Q8_0"]);
    assert.equal(await page.locator('th[aria-sort="descending"]').count(), 1);
    await heading.click();
    assert.deepEqual(await order(), given);
  });
});

test("the table of variants fits a window of 1280 pixels, and names the noise floor", async () => {
  const results = full();
  // Wider than what the fixture has: intervals of long numbers, and a verdict with its reason.
  for (const one of results.variants) {
    if (one.latency) Object.assign(one.latency.prefill_tokens_per_second, { median: 98_765, low: 97_654, high: 99_876 });
  }
  results.noise!.floor_decode = 0.8;
  const nf4 = results.variants.find((one) => one.name === "nf4-dq+sdpa")!;
  nf4.versus_baseline!.decode = { ratio: 1.7, low: 1.65, high: 1.79, verdict: "no difference" };
  await open(results, async (page) => {
    const [inner, outer] = await page.$eval("#variants .scroll", (box) => [box.scrollWidth, box.clientWidth]);
    assert.ok(inner! <= outer!, `${inner} of ${outer}`);
    const cells = page.locator("table.variants tbody tr", { hasText: "nf4-dq+sdpa" }).locator("td");
    assert.match(await cells.nth(2).innerText(), /no difference\s+1\.65 – 1\.79, inside the noise floor of 80/);
  });
});

test("what the invariant promise costs is told with its interval, and noise as noise", async () => {
  await open(full(), async (page) => {
    const said = (await page.locator("#latency").textContent()) ?? "";
    assert.match(said, /cost bf16\+sdpa: 2\.1 % more time in prefill \(95 % interval 1\.7 % more to 2\.6 % more\), no measured difference in decoding/);
  });
});

test("a GPU's launches, its own ceiling, and shares over it are told", async () => {
  const results = full();
  const int8 = results.variants.find((one) => one.name === "int8+sdpa")!;
  int8.profile!.timeline = { wall_seconds: 0.02, busy_seconds: 0.012, launches: 4000, mean_seconds: 3e-6, mean_gap_seconds: 2e-6 };
  int8.share_of_ceiling = { prefill: 0.4, decode: 1.25 };
  results.run.ceilings!.fp16_gops = 701_000;
  await open(results, async (page) => {
    assert.match((await page.locator("#kernels").textContent()) ?? "", /busy for 60\.0 % of it: 4\u202f000 kernels and copies of 3\.00 µs on average, with gaps of 2\.00 µs/);
    assert.ok((await texts(page, "roofline")).some((text) => text.startsWith("fp16")));
    assert.match(await page.locator("table.variants tbody tr", { hasText: "int8+sdpa" }).innerText(), /125 %\s+prefill\s40\s%, from caches/);
    const [inner, outer] = await page.$eval("#variants .scroll", (box) => [box.scrollWidth, box.clientWidth]);
    assert.ok(inner! <= outer!, `${inner} of ${outer}`);
  });
});

test("what is only judged by, or not timed, shows its quality", async () => {
  const results = full();
  const { quality } = results.variants[0]!;
  Object.assign(results.variants.find((one) => one.name === "fp32+sdpa")!, { status: "reference", reason: "none of --variants", quality, quality_reason: null });
  await open(results, async (page) => {
    const row = page.locator("table.variants tbody tr", { hasText: "fp32+sdpa" });
    assert.match(await row.innerText(), /judged by only: none of --variants[\s\S]*23\.15/);
    assert.match(await row.innerText(), /MB\s+needed/);
    assert.equal(await marks(page, "perplexity", light.palette), timed.length + 1);
  });
});

test("figures, scales and groupings can be chosen", async () => {
  await open(full(), async (page) => {
    await show(page, "latency", "Prefill");
    assert.ok((await texts(page, "latency")).some((text) => text.startsWith("8 800") || text.includes("pp512")));
    await show(page, "latency", "close-up of the samples");
    assert.match(await page.locator("#latency").innerText(), /need not begin at zero/);
    // Six variants and one engine of seven samples each.
    assert.equal(await page.$$eval("#latency svg path", (all) => all.filter((one) => one.getAttribute("stroke-width") === "0.8").length), 7 * 7);
    await show(page, "kernel-time", "kernel");
    assert.ok((await texts(page, "kernel-time")).includes("gemm_int8_avx512"));
    await show(page, "quality-speed", "perplexity ratio");
    assert.ok((await texts(page, "quality-speed")).includes("budget 1.05"));
    await show(page, "roofline", "bf16+eager");
    assert.ok((await texts(page, "roofline")).includes("attention_eager"));
  });
});

test("the keyboard reaches and works everything", async () => {
  await open(full(), async (page) => {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to the content");
    const reached = new Set<string>();
    for (let i = 0; i < 250; ++i) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement | null;
        if (!element || element === document.body) return null;
        const ring = element.matches("fieldset.choice input") ? element.nextElementSibling : element;
        return { what: `${element.tagName} ${element.getAttribute("type") ?? ""}`.trim(), ring: getComputedStyle(ring as Element).outlineStyle };
      });
      if (!at) break;
      assert.equal(at.ring, "solid", `no visible focus on ${at.what}`);
      reached.add(at.what);
    }
    for (const wanted of ["A", "INPUT checkbox", "INPUT radio", "BUTTON button", "SUMMARY", "DIV", "PRE"]) assert.ok(reached.has(wanted), `${wanted}: ${[...reached]}`);
    const boxes = await marks(page, "latency", light.palette);
    await page.getByLabel("Show int8+sdpa in the charts").focus();
    await page.keyboard.press("Space");
    assert.equal(await marks(page, "latency", light.palette), boxes - 1);
    await page.locator("#latency").getByRole("radio", { name: "Decode" }).focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.locator("#latency").getByRole("radio", { name: "Prefill" }).isChecked(), true);
    await page.locator("#roofline summary").focus();
    await page.keyboard.press("Enter");
    assert.ok((await page.locator("#roofline table tbody tr").count()) > 5);
  });
});

test("a chart says its values without being seen", async () => {
  await open(full(), async (page) => {
    assert.equal(await page.locator('figure .chart[role="img"]').count(), 13);
    assert.match((await page.locator("#latency .chart").getAttribute("aria-label")) ?? "", /int8\+sdpa 741/);
    assert.match((await page.locator("#quality-speed .chart").getAttribute("aria-label")) ?? "", /Pareto front: bf16\+sdpa, int8\+sdpa, nf4-dq\+sdpa/);
    assert.equal(await page.locator("#latency table tbody tr").count(), 7);
  });
});

test("hovering tells the value and its interval", async () => {
  await open(full(), async (page) => {
    const at = await page.$$eval("#latency svg path", (all, colour) => {
      const bar = (all.find((one) => one.getAttribute("fill") === colour) as SVGGraphicsElement).getBoundingClientRect();
      return { x: bar.x + bar.width / 3, y: bar.y + bar.height / 2 + window.scrollY };
    }, light.palette[1]!);
    await page.evaluate((y) => window.scrollTo(0, y - 300), at.y);
    await page.mouse.move(at.x, at.y - (await page.evaluate(() => window.scrollY)));
    await page.waitForFunction(() => /95 % interval: 735 to 747/.test(document.querySelector("#latency")?.textContent ?? ""));
  });
});

test("a screen 360 pixels wide never scrolls sideways", async () => {
  for (const results of [full(), hostile()]) {
    await open(results, async (page) => {
      assert.equal(await overflow(page), 0);
      const wide = await page.$$eval("figure .chart svg", (all) => all.filter((one) => one.getBoundingClientRect().right > innerWidth).length);
      assert.equal(wide, 0);
    }, { viewport: { width: 360, height: 740 } });
  }
});

test("a chart follows the width of its window", async () => {
  await open(full(), async (page) => {
    const width = () => page.$eval("#latency svg", (one) => one.getBoundingClientRect().width);
    const wide = await width();
    await page.setViewportSize({ width: 500, height: 800 });
    await page.waitForFunction((before) => document.querySelector("#latency svg")!.getBoundingClientRect().width < before * 0.7, wide);
    assert.equal(await overflow(page), 0);
  });
});

test("dark and light follow the reader's setting, in charts, too", async () => {
  await open(full(), async (page) => {
    assert.equal(await page.$eval("body", (body) => getComputedStyle(body).backgroundColor), "rgb(18, 24, 30)");
    assert.equal(await marks(page, "latency", light.palette), 0);
    await page.emulateMedia({ colorScheme: "light" });
    await page.waitForFunction((colour) => document.querySelector(`#latency path[fill="${colour}"]`) !== null, light.palette[1]!);
    assert.equal(await marks(page, "latency", light.palette), timed.length);
  }, { colorScheme: "dark" });
});

test("it prints in light colours on several pages", async () => {
  await open(full(), async (page) => {
    await page.evaluate((colour) => {
      const seen = window as unknown as { printedLight: boolean };
      window.addEventListener("beforeprint", () => {
        seen.printedLight = document.querySelector(`#latency path[fill="${colour}"]`) !== null;
      });
    }, light.palette[1]!);
    const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
    assert.ok((pdf.toString("latin1").match(/\/Type \/Page\b/g) ?? []).length >= 4);
    assert.equal(await page.evaluate(() => (window as unknown as { printedLight: boolean }).printedLight), true);
  }, { colorScheme: "dark" });
});

test("without quality the page says why, and shows the rest", async () => {
  await open(shapeOnly(), async (page) => {
    const said = await absent(page);
    assert.equal(said.filter((text) => text.includes("random")).length, 4, said.join("\n"));
    assert.equal(await marks(page, "latency", light.palette), timed.length);
    assert.equal(await page.locator("#warnings, #adaptation").count(), 0);
    assert.equal(await page.getByText(/undefined|NaN|\[object/).count(), 0);
  });
});

test("figures without intervals are drawn without whiskers", async () => {
  await open(withoutIntervals(), async (page) => {
    for (const figure of ["latency", "perplexity", "quality-speed"]) assert.equal(await marks(page, figure, light.palette), timed.length, figure);
    assert.match(await page.locator(".tiles").innerText(), /95 % interval unknown/);
    assert.equal(await page.getByText(/undefined|NaN|null|\[object/).count(), 0);
  });
});

test("a study that was stopped shows what there is", async () => {
  await open(incomplete(), async (page) => {
    assert.match(await page.locator("header").innerText(), /not finished/);
    assert.equal(await marks(page, "latency", light.palette), 1);
    const said = (await absent(page)).join("\n");
    for (const missing of [/no quality was measured \(not measured yet\)/, /no variant was profiled/, /--full/, /no text was generated/]) assert.match(said, missing);
    assert.equal(await page.getByText(/undefined|NaN|\[object/).count(), 0);
  });
});

test("a study without any variant yet opens, too", async () => {
  await open({ ...incomplete(), variants: [] }, async (page) => {
    assert.match(await page.locator(".answer").innerText(), /No variant was measured yet/);
  });
});

test("no text turns into markup", async () => {
  await open(hostile(), async (page) => {
    assert.equal(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned), undefined);
    assert.equal(await page.locator("img").count(), 0);
    assert.equal(await page.locator("h1").textContent(), attack);
    assert.ok((await page.locator("blockquote").allTextContents()).some((text) => text.includes(attack)));
    assert.ok(await page.getByText("<img src=x onerror").count());
    await page.locator("#kernel-time").getByText("kernel", { exact: true }).click();
    const [box] = await page.$$eval("#kernel-time svg path", (all, colour) => all.filter((one) => one.getAttribute("fill") === colour).map((one) => {
      const { x, y, width, height } = one.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 + window.scrollY };
    }).slice(1), light.parts[0]!);
    await page.evaluate((y) => window.scrollTo(0, y - 300), box!.y);
    await page.mouse.move(box!.x, box!.y - (await page.evaluate(() => window.scrollY)));
    await page.waitForFunction(() => document.querySelectorAll("#kernel-time .chart > div").length > 1);
    assert.equal(await page.locator("img").count(), 0);
    assert.equal(await page.evaluate(() => (window as unknown as { pwned?: number }).pwned), undefined);
  });
});

test("the saved results are those of the page", async () => {
  await open(hostile(), async (page) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save results.json" }).click()]);
    assert.deepEqual(JSON.parse(readFileSync(await download.path(), "utf8")), JSON.parse(JSON.stringify(hostile())));
  });
});

test("results of another version are refused in words", async () => {
  const file = path.join(folder, "other.html");
  writeFileSync(file, filled(template, JSON.stringify({ ...full(), schema_version: 9 })));
  const page = await browser.newPage();
  await page.goto(pathToFileURL(file).href);
  assert.match(await page.locator('[role="alert"]').innerText(), /version 9; this page reads plimsoll.study, version 1/);
  await page.close();
});
