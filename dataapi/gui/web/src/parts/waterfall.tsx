// Channels against time: each emission is a block as long as its time on air.
// Two of the same data rate on one channel at once are drawn as a collision.
import { useEffect, useRef } from "preact/hooks";
import { span, type Emission } from "../emissions";
import { emissions } from "../live";
import type { Message } from "../types";
import { kind } from "./frame";
import { colour } from "./plot";

const rowHeight = 22;
const left = 74;
const pace = 250; // ms between two pictures

interface Props {
  channels: number[]; // MHz
  still: { at: number; emissions: readonly Emission[] } | null; // null: as it goes on
  onPick: (m: Message) => void;
}

/** What was drawn where. */
interface Drawn {
  list: readonly Emission[];
  rows: number[]; // MHz, top to bottom
  x: (unix: number) => number;
}

export function Waterfall(p: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef<Drawn | undefined>(undefined);
  const props = useRef(p);
  props.current = p;

  useEffect(() => {
    const element = canvas.current!;
    let ink = inks();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const turned = () => (ink = inks());
    scheme.addEventListener("change", turned);
    const draw = () => {
      if (document.hidden) return;
      const { still, channels } = props.current;
      drawn.current = paint(element, still?.at ?? Date.now() / 1000, still?.emissions ?? emissions, channels, ink);
    };
    draw();
    const timer = setInterval(() => requestAnimationFrame(draw), pace);
    return () => {
      clearInterval(timer);
      scheme.removeEventListener("change", turned);
    };
  }, []);

  const pick = (e: MouseEvent) => {
    const d = drawn.current;
    const row = d?.rows[Math.floor(e.offsetY / rowHeight)];
    const hit = d?.list.findLast((b) => b.freq === row && d.x(b.from) - 4 <= e.offsetX && e.offsetX <= d.x(b.to) + 4);
    if (hit) p.onPick(hit.m);
  };
  return <canvas ref={canvas} onClick={pick} role="img" aria-label="Frames of the last minute: channels against time. The table below has the same frames." />;
}

type Inks = ReturnType<typeof inks>;

function inks() {
  const names = ["line", "quiet", "up", "down", "join", "foreign", "warn", "bad"] as const;
  return Object.fromEntries(names.map((n) => [n, colour(n)])) as Record<(typeof names)[number], string>;
}

function inkOf(e: Emission, ink: Inks): string {
  if (e.collides) return ink.bad;
  const { look } = kind(e.m);
  return look === "warning" ? ink.warn : (ink[look as keyof Inks] ?? ink.quiet);
}

function paint(element: HTMLCanvasElement, now: number, all: readonly Emission[], channels: number[], ink: Inks): Drawn {
  const list = all.filter((e) => e.to > now - span && e.from < now);
  const rows = [...new Set([...channels, ...list.map((e) => e.freq)])].sort((a, b) => a - b);
  const width = element.clientWidth;
  const height = Math.max(rows.length, 1) * rowHeight + 18;
  const g = fit(element, width, height);
  const x = (t: number) => left + ((t - (now - span)) / span) * (width - left);
  g.fillStyle = ink.quiet;
  rows.forEach((f, i) => g.fillText(f.toFixed(3), 4, (i + 0.5) * rowHeight));
  for (let s = 0; s < span; s += 10) g.fillText(s ? `−${s} s` : "now", x(now - s) - 28, height - 8);
  g.fillStyle = ink.line;
  rows.forEach((_, i) => g.fillRect(left, (i + 1) * rowHeight - 1, width - left, 1));
  const place = new Map(rows.map((f, i) => [f, i * rowHeight + 3]));
  for (const e of list) {
    const from = Math.max(x(e.from), left);
    g.fillStyle = inkOf(e, ink);
    g.fillRect(from, place.get(e.freq)!, Math.max(x(e.to) - from, 3), rowHeight - 7);
  }
  return { list, rows, x };
}

/** Empties the canvas, in the size that its place and the screen want. */
function fit(element: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (element.width !== w || element.height !== h) {
    element.width = w;
    element.height = h;
    element.style.height = `${height}px`;
  }
  const g = element.getContext("2d")!;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "middle";
  return g;
}
