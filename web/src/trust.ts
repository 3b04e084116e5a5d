// What a quorum set needs, and how near it is to not being satisfied, as this node sees the others.

import type { Agreement, Quorum, QuorumNode, QuorumSet } from "./api";

export type Known = Map<string, QuorumNode>;

export function knownNodes(quorum: Quorum): Known {
  return new Map(quorum.nodes.map((node) => [node.node, node]));
}

/** The state of a member. A node that nothing was heard from is missing. */
export function memberState(known: Known, node: string): Agreement {
  return known.get(node)?.state ?? "missing";
}

export function size(set: QuorumSet): number {
  return set.validators.length + set.innerSets.length;
}

/** How many of the set's members are satisfied: validators that agree, inner sets that reach their own threshold. */
export function agreeing(known: Known, set: QuorumSet): number {
  const validators = set.validators.filter((node) => memberState(known, node) === "agree").length;
  return validators + set.innerSets.filter((inner) => satisfied(known, inner)).length;
}

export function satisfied(known: Known, set: QuorumSet): boolean {
  return agreeing(known, set) >= set.threshold;
}

/** The organisation that all validators of a set without inner sets belong to, if there is one. */
export function organizationOf(known: Known, set: QuorumSet): string | null {
  const names = new Set(set.validators.map((node) => known.get(node)?.organization ?? ""));
  const [only] = names;
  return set.innerSets.length === 0 && names.size === 1 && only ? only : null;
}

/** What the counts mean, in words. */
export function margin(known: Known, set: QuorumSet): string {
  const spare = agreeing(known, set) - set.threshold;
  if (spare < 0) return `${-spare} more needed`;
  return spare === 0 ? "none may fail" : `${spare} may fail`;
}
