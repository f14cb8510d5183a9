// The channel plan drawn on the spectrum, with what each radio can hear.

export interface Channel {
  index: number;
  kind: "multi-sf" | "lora" | "fsk";
  freq: number;
  bandwidth: number;
  radio: number;
  spreading: number[];
}

export interface Front {
  index: number;
  freq: number;
  type: string;
  transmit: boolean;
  tx_min: number;
  tx_max: number;
}

const width = 1000;
const height = 170;
const reach = 0.8; // MHz that a radio hears on each side of its centre (SX1302 datasheet: 1.6 MHz in all)

export function Spectrum(p: { channels: Channel[]; radios: Front[] }) {
  if (p.channels.length === 0) return <p class="quiet">No channels.</p>;
  const edges = [...p.channels.flatMap((c) => [c.freq - c.bandwidth / 2e6, c.freq + c.bandwidth / 2e6]), ...p.radios.flatMap((r) => [r.freq - reach, r.freq + reach])];
  const low = Math.min(...edges) - 0.1;
  const high = Math.max(...edges) + 0.1;
  const x = (f: number) => ((f - low) / (high - low)) * width;
  const looks = { "multi-sf": "var(--up)", lora: "var(--join)", fsk: "var(--warn)" };
  const step = [0.1, 0.2, 0.5, 1, 2, 5].find((s) => (high - low) / s <= 10) ?? 10;
  const ticks = Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, i) => Math.ceil(low / step) * step + i * step).filter((f) => f < high);
  return (
    <>
      <div class="scroll" tabIndex={0} role="group" aria-label="The channel plan">
        <svg viewBox={`0 0 ${width} ${height}`} style={{ minWidth: "38rem", width: "100%" }} role="img" aria-label={p.channels.map((c) => `${c.kind} ${c.freq} MHz`).join(", ")}>
          {p.radios.map((r, i) => (
            <g key={r.index}>
              <rect x={x(r.freq - reach)} y={12 + i * 16} width={x(r.freq + reach) - x(r.freq - reach)} height={12} fill="var(--line)" rx="3" />
              <text x={x(r.freq)} y={22 + i * 16} font-size="11" text-anchor="middle" fill="var(--text)">
                radio {r.index}: {r.type}, {r.freq.toFixed(3)} MHz
              </text>
            </g>
          ))}
          {p.channels.map((c) => {
            const w = Math.max(x(c.freq + c.bandwidth / 2e6) - x(c.freq - c.bandwidth / 2e6), 3);
            const top = c.kind === "multi-sf" ? 62 : 84;
            return (
              <g key={c.index}>
                <rect x={x(c.freq) - w / 2} y={top} width={w} height={140 - top} fill={looks[c.kind]} opacity="0.75" rx="2">
                  <title>
                    {c.kind} {c.freq} MHz, {c.bandwidth / 1000} kHz{c.spreading.length ? `, SF${c.spreading.join(" ")}` : ""}, radio {c.radio}
                  </title>
                </rect>
                <text x={x(c.freq)} y={top - 3} font-size="10" text-anchor="middle" fill="var(--quiet)">
                  {c.index}
                </text>
              </g>
            );
          })}
          <line x1="0" y1="140" x2={width} y2="140" stroke="var(--quiet)" />
          {ticks.map((f) => (
            <text key={f} x={x(f)} y="158" font-size="11" text-anchor="middle" fill="var(--quiet)">
              {f.toFixed(1)}
            </text>
          ))}
        </svg>
      </div>
      <p class="quiet">
        <span class="dot dir-up">eight channels of all spreading factors</span> &ensp; <span class="dot dir-join">LoRa service</span> &ensp; <span class="dot warn">FSK</span>
      </p>
    </>
  );
}
