// Chromium: Debian's package, or where there is none, what Playwright itself has installed.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.env.PLAYWRIGHT_BROWSERS_PATH ??= fileURLToPath(new URL("../../build/playwright", import.meta.url));

export async function launch() {
  const { chromium } = await import("playwright-core");
  const packaged = "/usr/bin/chromium";
  return chromium.launch(existsSync(packaged) ? { executablePath: packaged } : {});
}
