// Numbers, times and keys as people read them.

const grouped = new Intl.NumberFormat("en");

export function integer(value: number): string {
  return grouped.format(value);
}

/** A span of time with two or three significant digits: `240 ms`, `1.02 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`;
  return longSpan(ms);
}

/** The same in whole seconds, for what is counted up on the screen. */
export function longSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The reader's local time of day, `14:02:07`. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** What `timeOfDay` leaves out: `.045`. */
export function millis(ms: number): string {
  return `.${String(ms % 1_000).padStart(3, "0")}`;
}

export function utc(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

/** The first characters of a hash. */
export function shortHash(hash: string): string {
  return hash.slice(0, 8);
}

/** A node's key, short: keys of one kind share their first letter, so both ends are shown. */
export function shortKey(key: string): string {
  return key.length > 12 ? `${key.slice(0, 5)}…${key.slice(-4)}` : key;
}
