// A stand-in for the server: the built page, the API with answers that a test sets, and the event stream, with the
// server's own security headers. It listens on a port of the system's choice.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));

const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

const ORGANIZATIONS = ["Aurora Bank", "Borealis", "Cedar Exchange", "Delta Post"];

/** A key in the shape of a node id: 56 characters from G. */
function key(letter) {
  return `G${letter}${"WXYZ234567ABCDEFGHIJKLMNOPQRSTUV".repeat(2).slice(0, 50)}${letter}${letter}7Q`;
}

export const NODES = ORGANIZATIONS.map((organization, index) => ({
  node: key("ABCD"[index]),
  name: `${organization.split(" ")[0].toLowerCase()}-1`,
  organization,
  state: "agree",
  last_slot: 1204,
  distance: index === 0 ? 0 : 1,
  quorum_set: null,
}));

export class FakeNode {
  ledgers = [];
  node = {
    node: NODES[0].node,
    name: NODES[0].name,
    organization: NODES[0].organization,
    network: "7ac33997544e3175d266bd022439b22cdb16508c01163f26e5cb2a3e1045a979",
    validator: true,
    sync: { state: "synced", reason: "" },
    ledger: null,
    slot: { slot: 1163, phase: "nominate", round: 1, counter: 0 },
    peers: 3,
    uptime_ms: 3_723_000,
    version: "0.1.0",
  };
  quorum = {
    node: NODES[0].node,
    quorum_set: { threshold: 3, validators: NODES.map(({ node }) => node), inner_sets: [] },
    nodes: NODES,
  };
  /** Paths that answer 503. */
  broken = new Set();
  /** Takes requests and answers none, as a machine that went away does; open streams stay. */
  silent = false;
  /** The query of every stream that was opened. */
  streamsAsked = [];
  #streams = new Set();
  #server = createServer((request, response) => {
    this.#answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
  });

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  get streams() {
    return this.#streams.size;
  }

  async start(port = 0) {
    await new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
    return this;
  }

  async stop() {
    this.dropStreams();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Closes the next ledger and tells every stream; `quietly` leaves the telling out, as a lost event would. */
  close({ transactions = 3, failed = 0, intervalMs = 1000, quietly = false } = {}) {
    const previous = this.ledgers.at(-1);
    const sequence = (previous?.sequence ?? 1150) + 1;
    const ledger = {
      sequence,
      hash: (sequence * 2654435761).toString(16).padStart(10, "0").repeat(7).slice(0, 64),
      close_time_ms: (previous?.close_time_ms ?? Date.now() - 60_000) + intervalMs,
      transactions,
      failed,
      previous: previous?.hash ?? "0".repeat(64),
    };
    this.ledgers.push(ledger);
    this.node.ledger = { ...ledger, age_ms: 0 };
    if (!quietly) this.send("ledger", this.#event(ledger), sequence);
    return ledger;
  }

  send(name, data, id) {
    for (const stream of this.#streams) stream.write(frame(name, data, id));
  }

  dropStreams() {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
  }

  #event(ledger) {
    return { ...ledger, nomination_ms: 41 + (ledger.sequence % 7), ballot_ms: 96 + (ledger.sequence % 13) };
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url);
    if (this.silent) return undefined;
    if (this.broken.has(url.pathname)) return response.writeHead(503, HEADERS).end();
    if (url.pathname === "/v1/node") return json(response, this.node);
    if (url.pathname === "/v1/quorum") return json(response, this.quorum);
    if (url.pathname === "/v1/ledgers") {
      const limit = Number(url.searchParams.get("limit") ?? 50);
      return json(response, { ledgers: this.ledgers.slice(-limit).reverse() });
    }
    if (url.pathname === "/v1/events") return this.#stream(url, response);
    return file(url.pathname, response);
  }

  #stream(url, response) {
    this.streamsAsked.push(url.search);
    response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(": open\n\n");
    const since = url.searchParams.get("since");
    const missed = since === null ? [] : this.ledgers.filter(({ sequence }) => sequence > Number(since));
    for (const ledger of missed) response.write(frame("ledger", this.#event(ledger), ledger.sequence));
    this.#streams.add(response);
    response.on("close", () => this.#streams.delete(response));
  }
}

function frame(name, data, id) {
  return `event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
}

function json(response, body) {
  response.writeHead(200, { ...HEADERS, "content-type": "application/json" }).end(JSON.stringify(body));
}

async function file(path, response) {
  const name = normalize(path === "/" ? "index.html" : path.slice(1));
  try {
    const bytes = await readFile(join(DIST, name));
    response.writeHead(200, { ...HEADERS, "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(bytes);
  } catch {
    response.writeHead(404, HEADERS).end();
  }
}
