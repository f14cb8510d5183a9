// Numbers, times and bytes as people read them.

export function bytes(base64 = ""): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

export const hex = (b: Uint8Array) => [...b].map((x) => x.toString(16).padStart(2, "0")).join("");

/** The bytes as text, if all of them can be read as such. */
export function text(b: Uint8Array): string | null {
  if (b.length === 0) return null;
  try {
    const s = new TextDecoder("utf-8", { fatal: true }).decode(b);
    // eslint-disable-next-line no-control-regex
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(s) ? null : s;
  } catch {
    return null;
  }
}

const cut = (s: string, limit: number) => (s.length > limit ? s.slice(0, limit - 1) + "…" : s);

/** Bytes in one line of hex. */
export const hexOf = (base64?: string, limit = 34) => cut(hex(bytes(base64)), limit);

/** A payload in one line: text in quotes, else hex. */
export function short(base64?: string, limit = 24): string {
  const t = text(bytes(base64));
  return t !== null ? cut(`“${t}”`, limit) : hexOf(base64, limit);
}

/** Sixteen bytes a line: offset, hex, characters. */
export function dump(b: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < b.length; at += 16) {
    const row = b.slice(at, at + 16);
    const chars = [...row].map((c) => (c >= 0x20 && c < 0x7f ? String.fromCharCode(c) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${[...row].map((c) => c.toString(16).padStart(2, "0")).join(" ").padEnd(47)}  ${chars}`);
  }
  return lines.join("\n");
}

export function clock(unix: number, digits = 3): string {
  const d = new Date(unix * 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const fraction = digits ? (unix % 1).toFixed(digits).slice(1) : "";
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}${fraction.startsWith(".") ? fraction : ""}`;
}

export const date = (unix: number | null | undefined) => (unix ? new Date(unix * 1000).toLocaleString() : "never");

export function ago(unix: number | null | undefined, now = Date.now() / 1000): string {
  if (!unix) return "never";
  const s = Math.max(0, now - unix);
  if (s < 90) return `${Math.round(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} days ago`;
}

/** Seconds with the unit that fits: 12.3 µs, 4.56 ms, 7.89 s. */
export function seconds(s: number | undefined): string {
  if (s === undefined || !Number.isFinite(s)) return "–";
  const a = Math.abs(s);
  if (a < 1e-3) return `${(s * 1e6).toFixed(0)} µs`;
  if (a < 1) return `${(s * 1e3).toFixed(1)} ms`;
  if (a < 120) return `${s.toFixed(2)} s`;
  if (a < 7200) return `${(s / 60).toFixed(1)} min`;
  return `${(s / 3600).toFixed(1)} h`;
}

export const micros = (n: number | undefined) => (n === undefined ? "–" : n.toLocaleString("en").replaceAll(",", " "));

export const mhz = (f: number | undefined) => (f === undefined ? "" : f.toFixed(f * 1e3 % 100 === 0 ? 1 : 3));

export const number = (n: number | undefined | null, digits = 0, unit = "") =>
  n === undefined || n === null || !Number.isFinite(n) ? "–" : `${n.toFixed(digits)}${unit ? " " + unit : ""}`;

export function size(b: number | undefined): string {
  if (b === undefined) return "–";
  if (b < 1024) return `${b} B`;
  if (b < 1 << 20) return `${(b / 1024).toFixed(1)} KiB`;
  if (b < 1 << 30) return `${(b / (1 << 20)).toFixed(1)} MiB`;
  return `${(b / (1 << 30)).toFixed(2)} GiB`;
}

export const isHex = (s: string, digits: number) => new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(s);

/** An EUI as people paste it: with dashes, colons or blanks. */
export const plainHex = (s: string) => s.replace(/[\s:.-]/g, "").toLowerCase();
