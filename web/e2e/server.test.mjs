// The page as the real server serves it: a whole network on this machine. Runs where FBA_BIN names the `fba` command.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { findChromium, launch, violations, withPage } from "./browser.mjs";

const binary = process.env.FBA_BIN;
const executable = findChromium();
if (!binary) console.error("  not run: the page against a real server, because FBA_BIN does not name the fba command");

if (binary && executable !== null) {
  test("the page of a demo network shows its ledgers closing and its nodes agreeing", { timeout: 120_000 }, async () => {
    const demo = spawn(binary, ["demo", "--for", "90"], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(demo, "exit");
    try {
      const url = await firstAddress(demo);
      const browser = await launch(executable);
      try {
        await withPage(browser, { bypassCSP: true }, watch(url));
        await withPage(browser, {}, async (page) => {
          const answer = await page.goto(url);
          assert.match(answer.headers()["content-security-policy"] ?? "", /default-src 'none'/);
          await page.locator("[data-ledger]").first().waitFor({ timeout: 30_000 });
        });
      } finally {
        await browser.close();
      }
    } finally {
      demo.kill("SIGINT");
      await ended;
    }
  });
}

/** Two ledgers close while the page is watched, every node agrees, and axe finds nothing. */
function watch(url) {
  return async (page) => {
    await page.goto(url);
    const newest = page.locator("[data-ledger]").first();
    await newest.waitFor({ timeout: 60_000 });
    const first = Number(await newest.getAttribute("data-ledger"));
    await page.locator(`[data-ledger="${first + 2}"]`).waitFor({ timeout: 30_000 });
    await page.locator("[data-node]").filter({ hasText: "agree" }).first().waitFor();
    await page.getByRole("status").filter({ hasText: "live" }).waitFor();
    assert.deepEqual(await violations(page), []);
  };
}

/** The first HTTP address that the demo prints. Its lines are read to the end: a full pipe would stop it. */
function firstAddress(demo) {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: demo.stdout });
    lines.on("line", (line) => {
      const found = /https?:\/\/[\w.:[\]]+\/?/.exec(line);
      if (found !== null) resolve(found[0]);
    });
    lines.on("close", () => reject(new Error("the demo ended before it printed an HTTP address")));
  });
}
