// How the server's word for its sync state is shown.

import type { Sync } from "./api";

export type Tone = "good" | "warn" | "bad" | "muted";

const IN_SYNC = ["synced", "in_sync", "in sync", "tracking"];
const TROUBLE = ["diverged", "stuck", "not_voting", "stopped"];

export function syncTone(sync: Sync): Tone {
  if (IN_SYNC.includes(sync.state)) return "good";
  return TROUBLE.includes(sync.state) ? "bad" : "warn";
}

export function syncWord(sync: Sync): string {
  return IN_SYNC.includes(sync.state) ? "in sync" : sync.state.replaceAll("_", " ");
}
