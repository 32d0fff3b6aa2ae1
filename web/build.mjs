// node web/build.mjs --out FILE [--results results.json]
//
// Bundles the page into one HTML file that loads nothing. The results come in later, where
// /*RESULTS*/ stands; with --results they are put in at once, to look at a page while working on it.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = path.dirname(fileURLToPath(import.meta.url));

/** JSON that can stand in a <script>: no "<" outside its strings, and inside them it may be escaped. */
export function scriptSafe(json) {
  return json.replaceAll("<", "\\u003c").replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** `page` with `json` in the place of its results. */
export function filled(page, json) {
  return page.replace("/*RESULTS*/", () => scriptSafe(json));
}

/** What the licences of the bundled packages ask to be handed on with them. */
async function licences() {
  const files = ["echarts/NOTICE", "echarts/LICENSE", "zrender/LICENSE"];
  const texts = await Promise.all(files.map((file) => readFile(path.join(folder, "node_modules", file), "utf8")));
  return texts.join("\n").replaceAll("*/", "* /");
}

/** The page with its style and script, and without results. */
export async function reportPage() {
  const bundled = await build({
    entryPoints: [path.join(folder, "src/main.ts")],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2021",
    charset: "ascii",
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "warning",
  });
  const script = `/*!\n${await licences()}\n*/\n${bundled.outputFiles[0].text}`;
  const parts = {
    "/*STYLE*/": await readFile(path.join(folder, "src/style.css"), "utf8"),
    "/*SCRIPT*/": script.replaceAll("</script", "<\\/script"),
  };
  let page = await readFile(path.join(folder, "src/page.html"), "utf8");
  for (const [place, text] of Object.entries(parts)) page = page.replace(place, () => text);
  if (page.split("/*RESULTS*/").length !== 2) throw new Error("the page must have one place for the results");
  return page;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? null : process.argv[at + 1];
  };
  const out = option("--out");
  if (!out) {
    console.error("usage: node web/build.mjs --out FILE [--results results.json]");
    process.exit(2);
  }
  const page = await reportPage();
  const results = option("--results");
  await writeFile(out, results ? filled(page, await readFile(results, "utf8")) : page);
}
