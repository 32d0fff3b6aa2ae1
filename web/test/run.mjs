// node web/test/run.mjs types|data|page
//
// types: the TypeScript compiler; data: the functions that compute; page: the page in Chromium.
// Exit status 77: what the test needs is not installed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const web = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

function node(...words) {
  const { status } = spawnSync(process.execPath, words, { stdio: "inherit", cwd: web });
  return status ?? 1;
}

function skip(why) {
  console.log(`skipped: ${why}`);
  process.exit(77);
}

/** Bundles test/NAME.test.ts and runs it by Node's own test runner. */
async function run(name) {
  const { build } = await import("esbuild");
  // As deep as this folder: what the bundle does not hold it finds by the same paths.
  const folder = mkdtempSync(path.join(web, ".test-"));
  try {
    const bundle = path.join(folder, `${name}.mjs`);
    await build({
      entryPoints: [path.join(web, "test", `${name}.test.ts`)], outfile: bundle,
      bundle: true, platform: "node", format: "esm", target: "node18", external: ["playwright-core", "*/build.mjs"], logLevel: "warning",
    });
    return node("--test", bundle);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Opens Chromium once: where that fails the page cannot be tested. */
async function browserMissing() {
  const { launch } = await import("./browser.mjs");
  try {
    await (await launch()).close();
    return null;
  } catch (error) {
    return String(error).split("\n")[0];
  }
}

const what = process.argv[2];
if (!["types", "data", "page"].includes(what)) {
  console.error("usage: node web/test/run.mjs types|data|page");
  process.exit(2);
}
for (const wanted of ["esbuild", "echarts", "typescript", "playwright-core"]) {
  if (!existsSync(path.join(web, "node_modules", wanted))) skip(`${wanted} is not installed: npm ci in web/`);
}
if (what === "types") process.exit(node("node_modules/typescript/bin/tsc", "-p", "."));
if (what === "page") {
  const why = await browserMissing();
  if (why) skip(`no Chromium starts here (${why})`);
}
process.exit(await run(what));
