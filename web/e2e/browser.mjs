// Chromium for the tests, and a page that fails its test on any console error or policy violation.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The browser's path, or `null` where there is none: said loudly, and an error in CI. */
export function findChromium() {
  const named = process.env.CHROMIUM;
  const found = named === undefined || named === "" ? PLACES.find(existsSync) : named;
  if (found !== undefined && existsSync(found)) return found;
  const tried = named ? `CHROMIUM=${named} does not exist` : `none of ${PLACES.join(", ")} exists`;
  const message = `browser tests: ${tried}. Install Chromium, or set CHROMIUM to its path.`;
  if (process.env.CI === "true") throw new Error(message);
  console.error(`\n  SKIPPED ${message}\n`);
  return null;
}

export function launch(executablePath) {
  // Chromium refuses its sandbox to root; the other flags keep it from calling home.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({
    executablePath,
    args: [...sandbox, ...quiet, "--disable-gpu", "--disable-quic", "--no-first-run"],
  });
}

/**
 * Runs `body` with a fresh page in a fresh profile, then checks that the console stayed clean. `allow` is what a test
 * that breaks its server expects the browser to complain of.
 */
export async function withPage(browser, { allow, bypassCSP = false, ...options }, body) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, bypassCSP, ...options });
  const complaints = [];
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => complaints.push(`page error: ${error.message}`));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !allow?.test(message.text())) complaints.push(message.text());
    });
    await body(page);
  } finally {
    await context.close();
  }
  assert.deepEqual(complaints, [], "the console stays clean");
}

/** What axe finds against WCAG 2.2 AA and its best practices, one line each. The page must have `bypassCSP`. */
export async function violations(page) {
  await page.evaluate(AXE);
  const result = await page.evaluate(() => globalThis.axe.run());
  return result.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.failureSummary} ${node.html}`));
}

/** Makes the page believe that its tab is hidden or shown. */
export function setVisibility(page, state) {
  return page.evaluate((value) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
}
