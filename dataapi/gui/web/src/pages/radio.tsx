// The concentrator: what it listens to, how it is, what it may still send.
import { useMemo, useState } from "preact/hooks";
import { del, get, post } from "../api";
import { micros, number, seconds, size } from "../format";
import { useAction, useLoad } from "../parts/hooks";
import { TextField } from "../parts/form";
import { Card, Facts, Problem } from "../parts/ui";
import { Plot } from "../parts/plot";
import { Spectrum, type Channel, type Front } from "../parts/spectrum";

interface Duty {
  band: string;
  from: number;
  to: number;
  used: number;
  allowed: number;
  free_at: number;
}

interface Radio {
  running: boolean;
  fault: string;
  eui: string;
  region: string;
  counter: number;
  celsius: number;
  celsius_assumed: boolean;
  channels: Channel[];
  radios: Front[];
  duty: Duty[];
  counters: Record<string, number>;
  network: Record<string, number>;
  can_scan: boolean;
  spi: { frames: number; bytes: number; failures: number; retries: number; start_frames: number; start_bytes: number; start_time: number; worst_lateness: number };
}

export function RadioPage() {
  const { value, error } = useLoad((s) => get<{ radio: Radio }>("/radio", s), [], 2000);
  const r = value?.radio;
  return (
    <>
      <h1>Radio</h1>
      <Problem text={error} />
      {r && !r.running && <Problem text={`The concentrator doesn't run: ${r.fault}`} />}
      {r && (
        <>
          <Card title="Channels">
            <Spectrum channels={r.channels} radios={r.radios} />
          </Card>
          <div class="cards packed">
            <Card title="Chip">
              <Facts
                of={[
                  ["State", r.running ? <span class="good">works</span> : <span class="bad">{r.fault}</span>],
                  ["EUI", <code>{r.eui}</code>],
                  ["Region", r.region],
                  ["Temperature", `${number(r.celsius, 1)} °C${r.celsius_assumed ? " (assumed, no thermometer)" : ""}`],
                  ["Counter", `${micros(r.counter)} µs`],
                  ["Radios", r.radios.map((f) => `${f.type} at ${f.freq.toFixed(4)} MHz`).join(", ")],
                ]}
              />
            </Card>
            <Card title="Bus">
              <Facts
                of={[
                  ["Transfers", micros(r.spi.frames)],
                  ["Bytes", size(r.spi.bytes)],
                  ["Failures", <span class={r.spi.failures ? "warn" : ""}>{r.spi.failures}, tried again {r.spi.retries}</span>],
                  ["Last start", `${seconds(r.spi.start_time)}, ${r.spi.start_frames} transfers, ${size(r.spi.start_bytes)}`],
                  ["Worst lateness", seconds(r.spi.worst_lateness)],
                ]}
              />
            </Card>
            <Ledger of={r.duty} />
            <Counters title="The driver's counters" of={r.counters} />
            <Counters title="The network server's counters" of={r.network} />
          </div>
          <p />
          {r.can_scan ? (
            <Scan channels={r.channels} />
          ) : (
            <Card title="Spectral scan">
              <p class="quiet">This board has no SX1261 for spectral scans.</p>
            </Card>
          )}
        </>
      )}
    </>
  );
}

function Ledger(p: { of: Duty[] }) {
  if (p.of.length === 0) return null;
  const now = Date.now() / 1000;
  return (
    <Card title="Duty cycle, within any hour">
      {p.of.map((d) => {
        const share = d.allowed ? d.used / d.allowed : 0;
        return (
          <div key={d.band + d.from}>
            <div class="row between tight">
              <span>
                {d.band} <span class="quiet">{d.from}–{d.to} MHz</span>
              </span>
              <span class="num">
                {seconds(d.used)} of {seconds(d.allowed)}
              </span>
            </div>
            <progress value={share} max={1} aria-label={`Duty cycle of ${d.band}`} />
            {d.free_at > now && <p class="warn">free in {seconds(d.free_at - now)}</p>}
          </div>
        );
      })}
    </Card>
  );
}

function Counters(p: { title: string; of: Record<string, number> }) {
  const list = Object.entries(p.of).filter(([, n]) => n !== 0);
  return (
    <Card title={p.title}>
      {list.length === 0 ? <p class="quiet">Nothing yet.</p> : <Facts of={list.map(([k, n]) => [k.replaceAll("_", " "), micros(n)] as [string, string])} />}
    </Card>
  );
}

interface Point {
  freq: number;
  samples: number;
  levels: { level: number; count: number }[];
}

interface Job {
  id: string;
  state: "running" | "done" | "failed" | "cancelled";
  done: number;
  of: number;
  error: string;
  result: Point[] | null;
}

/** The level that a share of the samples does not exceed, dBm. */
function quantile(p: Point, share: number): number | null {
  const sorted = p.levels.toSorted((a, b) => a.level - b.level);
  let n = 0;
  for (const l of sorted) {
    n += l.count;
    if (n >= share * p.samples) return l.level;
  }
  return null;
}

function Scan(p: { channels: Channel[] }) {
  const freqs = p.channels.map((c) => c.freq);
  const [from, setFrom] = useState((Math.min(...freqs) - 0.4).toFixed(1));
  const [to, setTo] = useState((Math.max(...freqs) + 0.4).toFixed(1));
  const [id, setId] = useState("");
  const [over, setOver] = useState(true);
  const job = useLoad(
    async (s) => {
      if (!id) return null;
      const { job: j } = await get<{ job: Job }>(`/jobs/${id}`, s);
      setOver(j.state !== "running");
      return j;
    },
    [id],
    over ? 0 : 700,
  );
  const begin = useAction(async () => {
    const answer = await post<{ job: Job }>("/radio/scan", { from: Number(from), to: Number(to), step: 0.1 });
    setOver(false);
    setId(answer.job.id);
  });
  const cancel = useAction(async () => del(`/jobs/${id}`));
  const j = job.value;
  const points = j?.result ?? [];
  const data = useMemo<[number[], (number | null)[], (number | null)[]]>(
    () => [points.map((x) => x.freq), points.map((x) => quantile(x, 0.5)), points.map((x) => quantile(x, 0.99))],
    [points.length, j?.state],
  );
  return (
    <Card title="Spectral scan">
      <p class="quiet">Listens with the SX1261 while the gateway goes on working.</p>
      <form
        class="row"
        onSubmit={(e) => {
          e.preventDefault();
          void begin.go();
        }}
      >
        <TextField label="From, MHz" value={from} onInput={setFrom} />
        <TextField label="To, MHz" value={to} onInput={setTo} />
        <button class="first" disabled={begin.busy || !over}>
          Scan
        </button>
        {!over && (
          <button type="button" onClick={() => void cancel.go()}>
            Cancel
          </button>
        )}
      </form>
      {j && !over && <progress value={j.done} max={Math.max(j.of, 1)} aria-label="Scanning" />}
      <Problem text={begin.error || cancel.error || job.error || j?.error || ""} />
      {points.length > 1 && (
        <Plot
          label="Noise by frequency: median and 99 % level in dBm"
          data={data}
          series={[
            { label: "median", colour: "accent", value: (n) => `${n} dBm` },
            { label: "99 % are below", colour: "warn" },
          ]}
          x={{ value: (f) => f.toFixed(1) }}
        />
      )}
    </Card>
  );
}
