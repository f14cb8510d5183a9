// The proof that answers made their window: for each downlink the instant that
// was planned, when the chip was armed, when it fired, and what was to spare.
import { useMemo, useState } from "preact/hooks";
import { get } from "../api";
import { clock, micros, seconds } from "../format";
import { messages, tick } from "../live";
import { FrameDetail, nameOf } from "../parts/frame";
import { useLoad } from "../parts/hooks";
import { Card, Copy } from "../parts/ui";
import { Plot } from "../parts/plot";
import type { Message } from "../types";

const shown = 200;

/** A downlink that was on the air, or an answer that came too late. */
interface Line {
  m: Message;
  window: string;
  off?: number; // µs
  margin?: number; // s, between armed and start
  lead?: number; // s, between the answer and its cut-off; negative: late
  application: string;
}

function lines(all: readonly Message[]): Line[] {
  const cutoff = new Map<string, number>();
  const answered = new Map<string, number>();
  const list: Line[] = [];
  for (const m of all) {
    const hash = m.meta.packet_hash ?? "";
    const p = m.params;
    if (m.type === "downlink_request" && p.cutoff_time) cutoff.set(hash, p.cutoff_time);
    if (p.code === "downlink_received") answered.set(hash, m.meta.time);
    const t = p.timing;
    if (!t || (m.type !== "downlink" && m.type !== "error" && m.type !== "warning")) continue;
    const until = cutoff.get(hash);
    const came = answered.get(hash);
    list.push({
      m,
      window: t.window,
      off: t.started !== undefined && t.planned !== undefined ? t.started - t.planned : undefined,
      margin: t.margin,
      lead: t.lead ?? (until !== undefined && came !== undefined ? until - came : undefined),
      application: t.application ?? "",
    });
  }
  return list;
}

export function TimingPage() {
  tick.value;
  const [chosen, setChosen] = useState<Message | null>(null);
  const [only, setOnly] = useState("");
  const all = lines(messages);
  const devices = [...new Map(all.map((l) => [l.m.meta.device ?? "", nameOf(l.m)]))].filter(([id]) => id);
  const list = only ? all.filter((l) => l.m.meta.device === only) : all;
  const sent = list.filter((l) => l.off !== undefined);
  const late = list.filter((l) => l.off === undefined);
  const worst = sent.reduce((w, l) => Math.max(w, Math.abs(l.off!)), 0);
  const windows = Map.groupBy(sent, (l) => l.window);
  return (
    <>
      <div class="row between">
        <h1>Timing</h1>
        <label class="row">
          <span>Device</span>
          <select class="auto" value={only} onChange={(e) => setOnly(e.currentTarget.value)}>
            <option value="">all</option>
            {devices.map(([id, name]) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="cards">
        <Card title="On the air">
          <p class="big">{sent.length}</p>
          <p class="quiet">{[...windows].map(([w, l]) => `${l.length} in ${w}`).join(", ") || "no downlink yet"}</p>
        </Card>
        <Card title="Furthest off the plan">
          <p class={`big ${worst === 0 ? "good" : "warn"}`}>{sent.length ? `${worst} µs` : "–"}</p>
          <p class="quiet">between the planned microsecond and the one that the chip reports</p>
        </Card>
        <Card title="Missed">
          <p class={`big ${late.length ? "bad" : ""}`}>{late.length}</p>
          <p class="quiet">windows that a frame came too late for; RX2 may have followed</p>
        </Card>
      </div>
      <Leads device={only} />
      <div class={`split ${chosen ? "open" : ""}`}>
        <Card title="Downlinks" class="scroll" action={<Copy label="Copy as CSV" text={csv(list)} />}>
          {list.length === 0 ? (
            <p class="empty">No downlink yet. An application's answer, an acknowledgement or a join-accept appears here once it was on the air.</p>
          ) : (
            <table>
              <thead>
                <tr>
                  <th>Time</th>
                  <th>Device</th>
                  <th>Window</th>
                  <th class="num">Planned µs</th>
                  <th class="num hide-small">Armed µs</th>
                  <th class="num hide-small">On air µs</th>
                  <th class="num">Off by</th>
                  <th class="num">Margin</th>
                  <th class="num">Answer's lead</th>
                </tr>
              </thead>
              <tbody>
                {list
                  .slice(-shown)
                  .reverse()
                  .map((l) => (
                    <tr key={l.m.meta.packet_id} class="choose" tabIndex={0} aria-selected={chosen === l.m} onClick={() => setChosen(l.m)} onKeyDown={(e) => e.key === "Enter" && setChosen(l.m)}>
                      <td class="mono">{clock(l.m.meta.time)}</td>
                      <td>{nameOf(l.m)}</td>
                      <td>{l.window}</td>
                      <td class="num">{micros(l.m.params.timing!.planned)}</td>
                      <td class="num hide-small">{micros(l.m.params.timing!.armed)}</td>
                      <td class="num hide-small">{micros(l.m.params.timing!.started)}</td>
                      <td class={`num ${l.off === undefined ? "bad" : l.off === 0 ? "good" : "warn"}`}>{l.off === undefined ? "too late" : `${l.off} µs`}</td>
                      <td class="num">{l.off === undefined ? "–" : seconds(l.margin)}</td>
                      <td class={`num ${l.lead !== undefined && l.lead < 0 ? "bad" : ""}`}>{seconds(l.lead)}</td>
                    </tr>
                  ))}
              </tbody>
            </table>
          )}
        </Card>
        {chosen && <FrameDetail message={chosen} onClose={() => setChosen(null)} />}
      </div>
    </>
  );
}

interface Lead {
  id: string;
  description?: string;
  answers: number;
  late: number;
  least: number;
  mean: number;
  histogram: number[];
}

interface Leads {
  buckets: number[]; // upper ends in seconds; the last count is of what is more
  applications: Lead[];
  devices: Lead[];
}

/** How long before its deadline each answer was here, since gatewayd started. */
function Leads(p: { device: string }) {
  const { value } = useLoad((s) => get<Leads>(`/answers${p.device ? `?devices=${p.device}` : ""}`, s), [p.device], 3000);
  const leads = (p.device ? value?.devices.filter((d) => d.id === p.device) : value?.applications) ?? [];
  if (leads.length === 0) return null;
  return (
    <div class="cards apart">
      {leads.map((l) => (
        <Card key={l.id} title={p.device ? "Lead of the answers to it" : `Lead of the answers of ${l.description || l.id}`}>
          <p class="quiet">
            time left until the deadline: least {seconds(l.least)}, mean {seconds(l.mean)}, of {l.answers} answers; <span class={l.late ? "bad" : ""}>{l.late} late</span>
          </p>
          <Histogram of={l} buckets={value!.buckets} />
        </Card>
      ))}
    </div>
  );
}

const short = (s: number) => (s === 0 ? "0" : s < 1 ? `${+(s * 1e3).toPrecision(3)} ms` : `${s} s`);

function Histogram(p: { of: Lead; buckets: number[] }) {
  const counts = p.of.histogram.join();
  const data = useMemo<[number[], number[]]>(() => [p.of.histogram.map((_, i) => i), p.of.histogram], [counts]);
  const end = (i: number) => (i <= 0 ? "late" : i <= p.buckets.length ? `≥ ${short(p.buckets[i - 1]!)}` : "");
  return (
    <Plot
      label={`Histogram of the answers' lead: least ${seconds(p.of.least)}, mean ${seconds(p.of.mean)}`}
      data={data}
      series={[{ label: "answers", colour: "accent", bars: true }]}
      x={{ value: (i) => (Number.isInteger(i) ? end(i) : "") }}
      height={170}
    />
  );
}

function csv(list: Line[]): string {
  const head = "time,device,window,planned_us,armed_us,started_us,off_us,margin_s,lead_s";
  return [head, ...list.map((l) => [l.m.meta.time, l.m.meta.device, l.window, l.m.params.timing!.planned, l.m.params.timing!.armed, l.m.params.timing!.started, l.off, l.margin, l.lead].map((v) => v ?? "").join(","))].join("\n");
}
