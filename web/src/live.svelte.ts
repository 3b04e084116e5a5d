// What the page knows, kept up to date: one event stream for closes and phases, a poll for what has no event.

import {
  fetchLedgers,
  fetchNode,
  fetchQuorum,
  openStream,
  Refused,
  type Ledger,
  type NodeInfo,
  type Phase,
  type Quorum,
} from "./api";

/** `paused`: the tab is hidden and gave its connection back, because a browser has only six per server. */
export type Connection = "connecting" | "live" | "reconnecting" | "paused";

/** Ledgers kept and shown. */
export const KEPT = 50;

const POLL_MS = 2_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8_000;

export class Live {
  connection = $state<Connection>("connecting");
  node = $state.raw<NodeInfo | null>(null);
  quorum = $state.raw<Quorum | null>(null);
  /** Newest first; `null` until the first answer. */
  ledgers = $state.raw<Ledger[] | null>(null);
  phase = $state.raw<Phase | null>(null);
  /** Why something could not be read the last time; `null` once everything could. */
  error = $state<string | null>(null);
  /** `performance.now()` of the newest close, so that no two clocks are compared. */
  closedAt = $state<number | null>(null);
  /** `performance.now()` of the last answer of any kind. */
  heardAt = $state<number | null>(null);
  /** `performance.now()`, once a second while the tab is visible. */
  now = $state(performance.now());

  #closeStream: (() => void) | null = null;
  #retry: number | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** Ledgers to fetch with the next question: what is missing, or all `anew` because those shown may be of another network. */
  #wanted: "missing" | "anew" | null = "missing";
  #asking = false;
  #askAgain = false;

  /** Starts everything; returns the function that stops it. */
  start(): () => void {
    const visibility = () => (document.visibilityState === "hidden" ? this.#pause() : this.#resume());
    document.addEventListener("visibilitychange", visibility);
    const poll = setInterval(() => void this.#refresh(), POLL_MS);
    const tick = setInterval(() => (this.now = performance.now()), 1_000);
    visibility();
    return () => {
      document.removeEventListener("visibilitychange", visibility);
      clearInterval(poll);
      clearInterval(tick);
      this.#pause();
    };
  }

  #pause(): void {
    this.connection = "paused";
    clearTimeout(this.#retry);
    this.#closeStream?.();
    this.#closeStream = null;
  }

  #resume(): void {
    this.connection = this.node === null ? "connecting" : "reconnecting";
    this.#retryMs = FIRST_RETRY_MS;
    this.#connect();
    void this.#refresh();
  }

  /** The stream is opened first and the snapshot is read once it is open, so that no close falls between the two. */
  #connect(): void {
    clearTimeout(this.#retry);
    this.#closeStream?.();
    this.#closeStream = openStream(this.ledgers?.[0]?.sequence ?? null, {
      open: () => {
        this.connection = "live";
        this.#retryMs = FIRST_RETRY_MS;
        this.#want("missing");
      },
      ledger: (ledger) => this.#closed(ledger),
      phase: (phase) => {
        this.phase = phase;
        this.heardAt = performance.now();
      },
      sync: (sync) => {
        if (this.node !== null) this.node = { ...this.node, sync };
      },
      reset: () => this.#want("anew"),
      lost: () => this.#lost(),
    });
  }

  #lost(): void {
    this.#closeStream?.();
    this.#closeStream = null;
    if (this.connection === "paused") return;
    this.connection = this.node === null ? "connecting" : "reconnecting";
    clearTimeout(this.#retry);
    // Jittered, or every open dashboard would come back in the same instant.
    this.#retry = setTimeout(() => this.#connect(), this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #closed(ledger: Ledger): void {
    const newest = this.ledgers?.[0]?.sequence;
    this.heardAt = performance.now();
    if (newest === undefined || ledger.sequence > newest) this.closedAt = this.heardAt;
    this.#merge([ledger]);
    if (newest !== undefined && ledger.sequence > newest + 1) this.#want("missing");
  }

  /** Puts ledgers in by sequence. A ledger never changes, but a live one carries timings that a stored one lacks. */
  #merge(found: Ledger[]): void {
    const bySequence = new Map((this.ledgers ?? []).map((ledger) => [ledger.sequence, ledger]));
    for (const ledger of found) {
      const known = bySequence.get(ledger.sequence);
      bySequence.set(ledger.sequence, {
        ...ledger,
        nominationMs: ledger.nominationMs ?? known?.nominationMs ?? null,
        ballotMs: ledger.ballotMs ?? known?.ballotMs ?? null,
      });
    }
    this.ledgers = [...bySequence.values()].sort((a, b) => b.sequence - a.sequence).slice(0, KEPT);
  }

  #want(ledgers: "missing" | "anew"): void {
    if (this.#wanted !== "anew") this.#wanted = ledgers;
    void this.#refresh();
  }

  /** Asks one question at a time; one that comes meanwhile is asked after it. */
  async #refresh(): Promise<void> {
    if (this.connection === "paused") return;
    if (this.#asking) {
      this.#askAgain = true;
      return;
    }
    this.#asking = true;
    do {
      this.#askAgain = false;
      await this.#ask();
    } while (this.#askAgain);
    this.#asking = false;
  }

  /** Shows whatever could be read, and says what could not. */
  async #ask(): Promise<void> {
    const wanted = this.#wanted;
    this.#wanted = null;
    const ledgers = wanted === null ? Promise.resolve(null) : fetchLedgers(KEPT);
    const answers = await Promise.allSettled([ledgers, fetchNode(), fetchQuorum()]);
    const [found, node, quorum] = [valueOf(answers[0]), valueOf(answers[1]), valueOf(answers[2])];
    if (found !== null) {
      if (wanted === "anew") this.ledgers = [];
      this.#merge(found);
    } else if (wanted !== null) {
      this.#wanted ??= wanted;
    }
    if (node !== null) this.#heard(node);
    if (quorum !== null) this.quorum = quorum;
    this.#judge(answers.flatMap((answer): unknown[] => (answer.status === "rejected" ? [answer.reason] : [])));
  }

  #heard(node: NodeInfo): void {
    this.node = node;
    if (node.slot !== null && node.slot.slot > (this.phase?.slot ?? -1)) this.phase = node.slot;
    const newest = this.ledgers?.[0]?.sequence ?? 0;
    const unseen = this.closedAt === null || (node.ledger !== null && node.ledger.sequence > newest);
    if (node.ledger !== null && unseen) this.closedAt = performance.now() - node.ledger.ageMs;
  }

  #judge(failures: unknown[]): void {
    const [failure] = failures;
    if (failure === undefined) {
      this.error = null;
      this.heardAt = performance.now();
      return;
    }
    this.error = failure instanceof Error ? failure.message : String(failure);
    // A refusal is an answer. No answer at all is a connection that died without a word: the stream only looks open.
    const unanswered = failures.some((one) => !(one instanceof Refused));
    if (unanswered && this.connection === "live") this.#lost();
  }
}

function valueOf<T>(answer: PromiseSettledResult<T>): T | null {
  return answer.status === "fulfilled" ? answer.value : null;
}
