// The built page in a real browser against a stand-in for the server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findChromium, launch, setVisibility, violations, withPage } from "./browser.mjs";
import { FakeNode, NODES } from "./fake-node.mjs";

const executable = findChromium();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
/** What the browser itself logs when a request fails. */
const FAILED_REQUEST = /Failed to load resource|net::ERR_/;

let browser;
before(async () => {
  if (executable !== null) browser = await launch(executable);
});
after(() => browser?.close());

/** A test with a page on a fresh stand-in that has closed `closed` ledgers. */
function browserTest(name, { closed = 12, prepare = () => {}, ...options }, body) {
  if (executable === null) return;
  test(name, async () => {
    const node = new FakeNode();
    for (let count = 0; count < closed; count += 1) {
      node.close({ failed: count % 5 === 4 ? 1 : 0, intervalMs: 940 + ((count * 37) % 120), quietly: true });
    }
    prepare(node);
    await node.start();
    try {
      await withPage(browser, options, async (page) => {
        await page.goto(node.url);
        await body(page, node);
      });
    } finally {
      await node.stop();
    }
  });
}

const pill = (page, word) => page.getByRole("status").filter({ hasText: word }).waitFor();
const row = (page, sequence) => page.locator(`[data-ledger="${sequence}"]`);
const sequences = (page) =>
  page.locator("[data-ledger]").evaluateAll((rows) => rows.map((item) => Number(item.dataset.ledger)));

/** Elements that reach beyond the panel they lie in, or a page wider than its window. */
const overflows = (page) =>
  page.evaluate(() => {
    const inside = [...document.querySelectorAll("section *, header *")].filter((element) => {
      const right = element.closest("section, header").getBoundingClientRect().right;
      return element.getBoundingClientRect().right > right + 0.5;
    });
    const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
    return [...(wide ? ["the page"] : []), ...inside.map((element) => element.outerHTML)];
  });

/** The kept rows follow one another without a gap, newest first. */
async function assertNoGap(page, newest) {
  const shown = await sequences(page);
  assert.deepEqual(shown, shown.map((_, index) => newest - index));
}

browserTest("a close appears while the page is open, with its figures", {}, async (page, node) => {
  await pill(page, "live");
  await row(page, node.ledgers.at(-1).sequence).waitFor();
  const ledger = node.close({ transactions: 1234, failed: 2, intervalMs: 1020 });
  const text = await row(page, ledger.sequence).innerText();
  for (const part of ["1,163", "1.02 s", "1,234", "2 failed of", ledger.hash.slice(0, 8), "ms"]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
  await assertNoGap(page, ledger.sequence);
});

browserTest("the phase of the open slot follows the stream", {}, async (page, node) => {
  await pill(page, "live");
  node.send("phase", { slot: 1163, phase: "prepare", round: 1, counter: 2 });
  await page.getByText("prepare, counter 2").waitFor();
});

browserTest("a broken stream is said, and made up for without a gap", { allow: FAILED_REQUEST }, async (page, node) => {
  await pill(page, "live");
  node.broken.add("/v1/events");
  node.dropStreams();
  await pill(page, "reconnecting");
  await page.getByRole("alert").filter({ hasText: "Connection to the node lost" }).waitFor();
  await page.getByText("was in sync").waitFor();
  await shot(page, "reconnecting");
  const newest = [900, 3400, 1000].map((intervalMs) => node.close({ intervalMs })).at(-1).sequence;
  node.broken.clear();
  await pill(page, "live");
  await row(page, newest).waitFor();
  await assertNoGap(page, newest);
  await shot(page, "back");
  assert.match(node.streamsAsked.at(-1), /since=\d+/);
});

browserTest("an event that got lost is fetched when the next one shows the gap", {}, async (page, node) => {
  await pill(page, "live");
  await row(page, node.ledgers.at(-1).sequence).waitFor();
  const lost = node.close({ quietly: true });
  const next = node.close();
  await row(page, lost.sequence).waitFor();
  await assertNoGap(page, next.sequence);
});

browserTest("a reset makes the page forget its ledgers and read them anew", {}, async (page, node) => {
  await pill(page, "live");
  const newest = node.ledgers.at(-1).sequence;
  await row(page, newest).waitFor();
  node.ledgers = node.ledgers.slice(0, 5);
  node.send("reset", { sequence: node.ledgers.at(-1).sequence });
  await row(page, newest).waitFor({ state: "detached" });
  await assertNoGap(page, node.ledgers.at(-1).sequence);
});

browserTest("a hidden tab gives its connection back and catches up when shown", {}, async (page, node) => {
  await pill(page, "live");
  await row(page, node.ledgers.at(-1).sequence).waitFor();
  await setVisibility(page, "hidden");
  await pill(page, "paused");
  const missed = node.close();
  assert.equal(await row(page, missed.sequence).count(), 0);
  await setVisibility(page, "visible");
  await pill(page, "live");
  await row(page, missed.sequence).waitFor();
  assert.equal(node.streams, 1);
  await assertNoGap(page, missed.sequence);
});

browserTest(
  "nodes are grouped by organisation and named by state in words",
  {
    prepare: (node) => {
      const states = ["agree", "delayed", "disagree", "missing"];
      node.quorum.nodes = NODES.map((known, index) => ({ ...known, state: states[index], last_slot: index === 3 ? null : 1204 - index }));
    },
  },
  async (page) => {
    for (const [index, word] of ["agree", "delayed", "disagree", "missing"].entries()) {
      const text = await page.locator(`[data-node="${NODES[index].node}"]`).innerText();
      assert.ok(text.includes(word), `${word} in ${text}`);
    }
    await page.getByRole("rowheader", { name: /Aurora Bank 1 of 1 agree/ }).waitFor();
    await page.getByRole("cell", { name: "never" }).waitFor();
    await page.getByText("1 agree, 2 more needed").waitFor();
    await shot(page, "states");
  },
);

browserTest(
  "a nested quorum set is shown as a tree, its inner sets named by their organisation",
  { prepare: nestedQuorum },
  async (page) => {
    await page.getByText("2 of 3", { exact: true }).first().waitFor();
    for (const name of ["Aurora Bank", "Borealis", "Cedar Exchange"]) {
      await page.locator("summary").filter({ hasText: name }).waitFor();
    }
    const first = page.locator("summary").first();
    await first.focus();
    await page.keyboard.press("Enter");
    await page.locator("summary").filter({ hasText: "Borealis" }).waitFor({ state: "hidden" });
  },
);

/** Three organisations of three nodes, the last of which is away. */
function nestedQuorum(node) {
  const nodes = ["Aurora Bank", "Borealis", "Cedar Exchange"].flatMap((organization, index) =>
    [1, 2, 3].map((number) => ({
      node: NODES[index].node.slice(0, -1) + number,
      name: `${organization.split(" ")[0].toLowerCase()}-${number}`,
      organization,
      state: index === 2 && number > 1 ? "missing" : number === 3 ? "delayed" : "agree",
      last_slot: 1161,
      distance: 1,
    })),
  );
  const inner = [0, 1, 2].map((index) => ({
    threshold: 2,
    validators: nodes.slice(index * 3, index * 3 + 3).map((known) => known.node),
    inner_sets: [],
  }));
  node.quorum = { node: nodes[0].node, quorum_set: { threshold: 2, validators: [], inner_sets: inner }, nodes };
}

const EMPTY = {
  closed: 0,
  prepare: (node) => {
    node.quorum = { node: node.node.node, quorum_set: null, nodes: [] };
    node.node.peers = 0;
    node.node.sync = { state: "joining", reason: "waiting for a quorum: 0 of 3 heard" };
  },
};

browserTest("a node that has nothing yet says so in every panel", EMPTY, async (page) => {
  await page.getByText("No ledger has closed yet").waitFor();
  await page.getByText("No other node is known yet").waitFor();
  await page.getByText("This node has no quorum set").waitFor();
  await page.getByText("none yet").waitFor();
});

browserTest("a syncing node says that it is behind, and stops saying so", EMPTY, async (page, node) => {
  await page.getByRole("heading", { name: "This node is joining" }).waitFor();
  await page.getByText("waiting for a quorum: 0 of 3 heard").waitFor();
  await pill(page, "live");
  node.node.sync = { state: "synced", reason: "" };
  node.send("sync", node.node.sync);
  await page.getByRole("heading", { name: "This node is joining" }).waitFor({ state: "detached" });
});

browserTest(
  "a server that answers nothing is named as the trouble, and the page recovers",
  { allow: FAILED_REQUEST, prepare: (node) => ["/v1/node", "/v1/ledgers", "/v1/quorum", "/v1/events"].forEach((path) => node.broken.add(path)) },
  async (page, node) => {
    await page.getByRole("alert").filter({ hasText: "This node does not answer" }).waitFor();
    node.broken.clear();
    await pill(page, "live");
    await row(page, node.ledgers.at(-1).sequence).waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
  },
);

browserTest("a part that cannot be read is named while the rest goes on", { allow: FAILED_REQUEST }, async (page, node) => {
  await pill(page, "live");
  node.broken.add("/v1/quorum");
  await page.getByRole("alert").filter({ hasText: "v1/quorum answered 503" }).waitFor();
  await pill(page, "live");
  await row(page, node.close().sequence).waitFor();
  node.broken.clear();
  await page.getByRole("alert").waitFor({ state: "detached" });
});

browserTest("ledgers that could not be read at first are asked for again", {
  allow: FAILED_REQUEST,
  prepare: (node) => node.broken.add("/v1/ledgers"),
}, async (page, node) => {
  await page.getByText("Ledgers could not be read").waitFor();
  node.broken.clear();
  await row(page, node.ledgers.at(-1).sequence).waitFor();
});

browserTest("a node that goes silent with its stream open is noticed", { allow: FAILED_REQUEST }, async (page, node) => {
  await pill(page, "live");
  node.silent = true;
  await pill(page, "reconnecting");
  node.silent = false;
  await pill(page, "live");
});

browserTest(
  "hostile names are shown as text",
  { prepare: (node) => (node.node.name = `<img src=x onerror="document.title='owned'">`) },
  async (page) => {
    await page.getByRole("heading", { level: 1 }).filter({ hasText: "<img src=x" }).waitFor();
    assert.equal(await page.locator("h1 img").count(), 0);
  },
);

for (const colorScheme of ["light", "dark"]) {
  const full = { colorScheme, bypassCSP: true, prepare: nestedQuorum, closed: 50, reducedMotion: "reduce" };
  browserTest(`axe finds nothing in ${colorScheme} colours`, full, async (page) => {
    await pill(page, "live");
    await page.locator("[data-ledger]").first().waitFor();
    assert.deepEqual(await violations(page), []);
    await shot(page, `full-${colorScheme}`);
  });
  browserTest(`axe finds nothing on an empty page in ${colorScheme} colours`, { ...EMPTY, colorScheme, bypassCSP: true }, async (page) => {
    await page.getByText("No ledger has closed yet").waitFor();
    await pill(page, "live");
    assert.deepEqual(await violations(page), []);
    await shot(page, `empty-${colorScheme}`);
  });
}

browserTest("a phone shows everything without scrolling sideways", { ...PHONE, prepare: nestedQuorum, bypassCSP: true }, async (page, node) => {
  await pill(page, "live");
  node.close({ transactions: 12_345, failed: 321 });
  await row(page, node.ledgers.at(-1).sequence).waitFor();
  assert.deepEqual(await overflows(page), []);
  assert.deepEqual(await violations(page), []);
  await shot(page, "phone");
});

browserTest("all kept ledgers are shown when asked for", { closed: 60 }, async (page) => {
  await page.getByRole("button", { name: "Show all 50" }).click();
  await row(page, 1161).waitFor();
  assert.equal(await page.locator("[data-ledger]").count(), 50);
  await page.getByRole("button", { name: "Show the last 20" }).click();
  await row(page, 1161).waitFor({ state: "detached" });
});

browserTest("the keyboard reaches every control and shows where it is", { closed: 30, prepare: nestedQuorum }, async (page) => {
  await page.locator("summary").first().waitFor();
  await page.getByRole("button", { name: "Show all 30" }).waitFor();
  const controls = await page.locator("summary, a[href], button").count();
  for (let count = 0; count < controls; count += 1) {
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid");
  }
});

/** With SCREENSHOTS set to a folder, keeps a picture there to look at. */
async function shot(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
