// What was on the air, and what of it collided.
import { emission, rate } from "./lora";
import type { Message } from "./types";

export const span = 60; // seconds that are kept
const most = 6000; // emissions

export interface Emission {
  m: Message;
  from: number; // unix seconds
  to: number;
  freq: number; // MHz
  /** Another one of the same data rate was on the same channel meanwhile. */
  collides: boolean;
}

export class Air {
  private all: Emission[] = [];

  clear() {
    this.all = [];
  }

  /** Adds what these messages tell of, forgets what is old, and returns the rest, oldest first. */
  add(fresh: readonly Message[]): readonly Emission[] {
    const added = fresh.flatMap(emissionOf);
    const now = Math.max(...added.map((e) => e.to), this.all.at(-1)?.to ?? 0);
    const near = this.all.concat(added).filter((e) => e.to > now - span);
    near.sort((a, b) => a.from - b.from);
    this.all = near.slice(-most);
    markCollisions(this.all, new Set(added));
    return this.all;
  }
}

function emissionOf(m: Message): Emission[] {
  const { radio, duplicate } = m.params;
  if (!radio || duplicate || !["uplink", "downlink", "frame"].includes(m.type)) return [];
  const e = emission(m);
  return e ? [{ m, ...e, freq: radio.freq, collides: false }] : [];
}

/** Emissions collide on one channel with one data rate; up and down don't hear each other (inverted IQ). */
const lane = (e: Emission) => `${e.freq} ${rate(e.m.params.radio!.modulation)} ${e.m.type === "downlink"}`;

/** `sorted` by start. Only what touches a fresh one is looked at. */
function markCollisions(sorted: Emission[], fresh: Set<Emission>) {
  const last = new Map<string, Emission>(); // in its lane, the one that ends last
  const from = Math.min(...[...fresh].map((e) => e.from)) - 5; // no frame is longer
  for (const e of sorted) {
    if (e.to < from) continue;
    const name = lane(e);
    const before = last.get(name);
    if (before && e.from < before.to) e.collides = before.collides = true;
    if (!before || e.to > before.to) last.set(name, e);
  }
}
