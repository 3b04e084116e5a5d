// The server's HTTP API: the only file that knows its paths and the shape of its JSON. Everything read is checked here;
// what is missing or of another type becomes the type's empty value, so that an older or newer server still shows.

export type Sync = { state: string; reason: string };

export type Phase = { slot: number; phase: string; round: number; counter: number };

export type Ledger = {
  sequence: number;
  hash: string;
  closeTimeMs: number;
  transactions: number;
  failed: number;
  /** How long this server took from the start of nomination to ballot one, and from there to the close; only known live. */
  nominationMs: number | null;
  ballotMs: number | null;
};

export type NodeInfo = {
  node: string;
  name: string;
  organization: string;
  /** SHA-256 of the network's passphrase, in hex. */
  network: string;
  validator: boolean;
  sync: Sync;
  ledger: { sequence: number; hash: string; ageMs: number } | null;
  slot: Phase | null;
  peers: number;
  uptimeMs: number;
  version: string;
};

export type QuorumSet = { threshold: number; validators: string[]; innerSets: QuorumSet[] };

/** What this server last heard from a node about the last closed slot, in the field's four words. */
export type Agreement = "agree" | "delayed" | "disagree" | "missing";

export type QuorumNode = {
  node: string;
  name: string;
  organization: string;
  state: Agreement;
  lastSlot: number | null;
  /** Hops of trust from this server: 0 itself, 1 in its own quorum set. */
  distance: number | null;
};

export type Quorum = { node: string; quorumSet: QuorumSet | null; nodes: QuorumNode[] };

/** A quorum set nests at most four deep; a deeper one is not read further. */
const MAX_DEPTH = 8;

/** An answer that takes longer than this is taken for none. */
const TIMEOUT_MS = 5_000;

type Json = Record<string, unknown>;

function object(value: unknown): Json | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A count or a time, as a number or in decimal digits. */
function count(value: unknown): number | null {
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}

export function readLedger(value: unknown): Ledger | null {
  const json = object(value);
  const sequence = count(json?.sequence);
  if (json === null || sequence === null) return null;
  return {
    sequence,
    hash: text(json.hash),
    closeTimeMs: count(json.close_time_ms) ?? 0,
    transactions: count(json.transactions) ?? 0,
    failed: count(json.failed) ?? 0,
    nominationMs: count(json.nomination_ms),
    ballotMs: count(json.ballot_ms),
  };
}

export function readPhase(value: unknown): Phase | null {
  const json = object(value);
  const slot = count(json?.slot);
  if (json === null || slot === null) return null;
  return { slot, phase: text(json.phase), round: count(json.round) ?? 0, counter: count(json.counter) ?? 0 };
}

export function readSync(value: unknown): Sync {
  const json = object(value);
  return { state: text(json?.state) || "unknown", reason: text(json?.reason) };
}

function readNode(value: unknown): NodeInfo {
  const json = object(value) ?? {};
  const ledger = object(json.ledger);
  const sequence = count(ledger?.sequence);
  return {
    node: text(json.node),
    name: text(json.name),
    organization: text(json.organization),
    network: text(json.network),
    validator: json.validator === true,
    sync: readSync(json.sync),
    ledger:
      ledger === null || sequence === null
        ? null
        : { sequence, hash: text(ledger.hash), ageMs: count(ledger.age_ms) ?? 0 },
    slot: readPhase(json.slot),
    peers: count(json.peers) ?? list(json.peers).length,
    uptimeMs: count(json.uptime_ms) ?? 0,
    version: text(json.version),
  };
}

function readQuorumSet(value: unknown, depth = 0): QuorumSet | null {
  const json = object(value);
  const threshold = count(json?.threshold);
  if (json === null || threshold === null || depth > MAX_DEPTH) return null;
  return {
    threshold,
    validators: list(json.validators).map(text).filter(Boolean),
    innerSets: list(json.inner_sets).flatMap((inner) => readQuorumSet(inner, depth + 1) ?? []),
  };
}

function readAgreement(value: unknown): Agreement {
  const word = text(value);
  return word === "agree" || word === "delayed" || word === "disagree" ? word : "missing";
}

function readQuorum(value: unknown): Quorum {
  const json = object(value) ?? {};
  const nodes = list(json.nodes).flatMap((item): QuorumNode[] => {
    const entry = object(item);
    const node = text(entry?.node);
    if (entry === null || node === "") return [];
    return [
      {
        node,
        name: text(entry.name),
        organization: text(entry.organization),
        state: readAgreement(entry.state),
        lastSlot: count(entry.last_slot),
        distance: count(entry.distance),
      },
    ];
  });
  return { node: text(json.node), quorumSet: readQuorumSet(json.quorum_set), nodes };
}

/** The server answered, and not with what was asked for. */
export class Refused extends Error {}

async function get(path: string): Promise<unknown> {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Refused(`${path} answered ${answer.status} ${answer.statusText}`.trim());
  return answer.json();
}

export async function fetchNode(): Promise<NodeInfo> {
  return readNode(await get("v1/node"));
}

export async function fetchQuorum(): Promise<Quorum> {
  return readQuorum(await get("v1/quorum"));
}

/** The newest ledgers, newest first. */
export async function fetchLedgers(limit: number): Promise<Ledger[]> {
  const json = object(await get(`v1/ledgers?limit=${limit}`));
  return list(json?.ledgers).flatMap((item) => readLedger(item) ?? []);
}

export type StreamHandlers = {
  open: () => void;
  ledger: (ledger: Ledger) => void;
  phase: (phase: Phase) => void;
  sync: (sync: Sync) => void;
  /** The server no longer has every event since the one asked for: fetch everything anew. */
  reset: () => void;
  lost: () => void;
};

/** Opens the event stream after ledger `since`. Returns the function that closes it; after that no handler is called. */
export function openStream(since: number | null, handlers: StreamHandlers): () => void {
  const source = new EventSource(since === null ? "v1/events" : `v1/events?since=${since}`);
  const on = <T>(name: string, read: (value: unknown) => T | null, handle: (value: T) => void) =>
    source.addEventListener(name, (event) => {
      const value = read(parse((event as MessageEvent<unknown>).data));
      if (value !== null) handle(value);
    });
  source.onopen = handlers.open;
  on("ledger", readLedger, handlers.ledger);
  on("phase", readPhase, handlers.phase);
  on("sync", readSync, handlers.sync);
  source.addEventListener("reset", handlers.reset);
  // The browser itself would retry after a broken connection only, with an old `since`, and never after a refusal.
  source.onerror = () => {
    source.close();
    handlers.lost();
  };
  return () => source.close();
}

function parse(data: unknown): unknown {
  try {
    return JSON.parse(text(data));
  } catch {
    return null; // not JSON: as good as an event this page does not know
  }
}
