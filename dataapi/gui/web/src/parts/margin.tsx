// How much worse a device's link may get, as a line of its last uplinks.
import { number } from "../format";
import { linkMargin } from "../lora";
import type { Message } from "../types";

const shown = 30; // uplinks of a device

let cached: { of: readonly Message[]; margins: Map<string, number[]> } | undefined;

/** The last link margins of each device in dB, oldest first. */
export function marginsOf(all: readonly Message[]): Map<string, number[]> {
  if (cached?.of === all) return cached.margins;
  const margins = new Map<string, number[]>();
  for (let i = all.length - 1; i >= 0; i--) {
    const m = all[i]!;
    const v = m.type === "uplink" && !m.params.duplicate ? linkMargin(m) : null;
    if (v === null || !m.meta.device) continue;
    const list = margins.get(m.meta.device) ?? [];
    if (list.length < shown) margins.set(m.meta.device, [v, ...list]);
  }
  cached = { of: all, margins };
  return margins;
}

export function Margin(p: { of: number[] | undefined }) {
  if (!p.of?.length) return <span class="quiet">–</span>;
  const last = p.of.at(-1)!;
  const count = p.of.length;
  const x = (i: number) => (count === 1 ? 30 : (i / (count - 1)) * 58 + 1);
  const y = (v: number) => 17 - (Math.min(Math.max(v, 0), 40) / 40) * 15;
  const look = last < 3 ? "bad" : last < 8 ? "warn" : "good";
  return (
    <span class="row tight">
      <svg width="60" height="18" aria-hidden="true" class={look}>
        <polyline points={p.of.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(" ")} fill="none" stroke="currentColor" stroke-width="1.5" />
      </svg>
      <span class={look}>{number(last, 0)} dB</span>
    </span>
  );
}
