// Channels against time: each emission is a block as long as its time on air.
// Two of the same data rate on one channel at once are drawn as a collision.
import { useEffect, useRef } from "preact/hooks";
import { emission, rate } from "../lora";
import { messages } from "../live";
import type { Message } from "../types";
import { colour } from "./plot";

const span = 60; // seconds shown
const rowHeight = 22;
const left = 74;

interface Block {
  m: Message;
  from: number;
  to: number;
  freq: number;
  collides: boolean;
}

function blocks(all: readonly Message[], from: number): Block[] {
  const list: Block[] = [];
  for (const m of all) {
    if (m.type !== "uplink" && m.type !== "downlink") continue;
    if (m.params.duplicate || !m.params.radio) continue;
    const e = emission(m);
    if (e && e.to >= from) list.push({ m, ...e, freq: m.params.radio.freq, collides: false });
  }
  for (let i = 0; i < list.length; i++) {
    for (let k = i + 1; k < list.length; k++) {
      const a = list[i]!;
      const b = list[k]!;
      if (a.freq === b.freq && a.from < b.to && b.from < a.to && rate(a.m.params.radio!.modulation) === rate(b.m.params.radio!.modulation)) {
        a.collides = b.collides = true;
      }
    }
  }
  return list;
}

export function Waterfall(p: { channels: number[]; frozen: number | null; source: readonly Message[]; onPick: (m: Message) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef<{ list: Block[]; x: (t: number) => number; rows: number[] } | undefined>(undefined);
  const props = useRef(p);
  props.current = p;

  useEffect(() => {
    const element = canvas.current!;
    const ink = { line: colour("line"), quiet: colour("quiet"), up: colour("up"), down: colour("down"), bad: colour("bad"), join: colour("join") };
    const draw = () => {
      if (document.hidden) return;
      const { frozen, source, channels } = props.current;
      const now = frozen ?? Date.now() / 1000;
      const list = blocks(frozen ? source : messages, now - span);
      const rows = [...new Set([...channels, ...list.map((b) => b.freq)])].sort((a, b) => a - b);
      const ratio = devicePixelRatio;
      const width = element.clientWidth;
      const height = Math.max(rows.length, 1) * rowHeight + 18;
      if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
        element.width = Math.round(width * ratio);
        element.height = Math.round(height * ratio);
        element.style.height = `${height}px`;
      }
      const g = element.getContext("2d")!;
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, width, height);
      g.font = "12px system-ui, sans-serif";
      g.textBaseline = "middle";
      const x = (t: number) => left + ((t - (now - span)) / span) * (width - left);
      rows.forEach((f, i) => {
        g.fillStyle = ink.quiet;
        g.fillText(f.toFixed(3), 4, i * rowHeight + rowHeight / 2);
        g.fillStyle = ink.line;
        g.fillRect(left, (i + 1) * rowHeight - 1, width - left, 1);
      });
      g.fillStyle = ink.quiet;
      for (let s = 0; s < span; s += 10) g.fillText(s ? `−${s} s` : "now", x(now - s) - 28, height - 8);
      for (const b of list) {
        const y = rows.indexOf(b.freq) * rowHeight + 3;
        g.fillStyle = b.collides ? ink.bad : b.m.type === "downlink" ? ink.down : ink.up;
        g.fillRect(x(b.from), y, Math.max(x(b.to) - x(b.from), 3), rowHeight - 7);
      }
      drawn.current = { list, x, rows };
    };
    draw();
    const timer = setInterval(draw, 200);
    return () => clearInterval(timer);
  }, []);

  const pick = (e: MouseEvent) => {
    const d = drawn.current;
    if (!d) return;
    const row = d.rows[Math.floor(e.offsetY / rowHeight)];
    const hit = d.list.find((b) => b.freq === row && d.x(b.from) - 4 <= e.offsetX && e.offsetX <= d.x(b.to) + 4);
    if (hit) p.onPick(hit.m);
  };
  return (
    <canvas
      ref={canvas}
      onClick={pick}
      role="img"
      aria-label="Frames of the last minute: channels against time. The table below has the same frames."
    />
  );
}
