// Frames as they arrive and leave.
import { useState } from "preact/hooks";
import { get } from "../api";
import { clock, mhz, number } from "../format";
import { rate } from "../lora";
import { messages, tick } from "../live";
import { counter, FrameDetail, gist, kind, nameOf } from "../parts/frame";
import { useLoad } from "../parts/hooks";
import { Card } from "../parts/ui";
import { Waterfall } from "../parts/waterfall";
import type { Gateway, Message } from "../types";

const rows = 150; // shown at once

const groups = [
  ["frames", "Frames"],
  ["all", "Frames and decisions"],
  ["problems", "Errors and warnings"],
] as const;
type Group = (typeof groups)[number][0];

const isFrame = (m: Message) => m.type === "uplink" || m.type === "downlink" || m.type === "join_request";
const isProblem = (m: Message) => m.type === "error" || m.type === "warning";

function matches(m: Message, group: Group, words: string[]): boolean {
  if (group === "frames" && !isFrame(m) && !isProblem(m)) return false;
  if (group === "problems" && !isProblem(m)) return false;
  if (words.length === 0) return true;
  const hay = [kind(m).label, m.meta.device, m.meta.device_addr, m.meta.application, m.meta.gateway, ...(m.meta.tags ?? []), gist(m), rate(m.params.radio?.modulation), mhz(m.params.radio?.freq)]
    .join(" ")
    .toLowerCase();
  return words.every((w) => hay.includes(w));
}

export function Live() {
  tick.value; // draw again when there is something new
  const [frozen, setFrozen] = useState<{ at: number; list: readonly Message[] } | null>(null);
  const [group, setGroup] = useState<Group>("frames");
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState<Message | null>(null);
  const channels = useChannels();
  const source = frozen?.list ?? messages;
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const list: Message[] = [];
  for (let i = source.length - 1; i >= 0 && list.length < rows; i--) {
    if (matches(source[i]!, group, words)) list.push(source[i]!);
  }
  return (
    <>
      <div class="row between">
        <h1>Live air</h1>
        <div class="row">
          <button type="button" aria-pressed={frozen !== null} onClick={() => setFrozen(frozen ? null : { at: Date.now() / 1000, list: messages })}>
            {frozen ? "Go on" : "Pause"}
          </button>
        </div>
      </div>
      <Card class="scroll">
        <Waterfall channels={channels} frozen={frozen?.at ?? null} source={source} onPick={setChosen} />
        <p class="quiet">
          <span class="dot dir-up">uplink</span> &ensp; <span class="dot dir-down">downlink</span> &ensp; <span class="dot bad">collision</span>
        </p>
      </Card>
      <div class="row">
        <input class="grow" type="search" aria-label="Find frames" placeholder="device, address, tag, SF7, 868.1, error …" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
        <select aria-label="What is shown" style={{ width: "auto" }} value={group} onChange={(e) => setGroup(e.currentTarget.value as Group)}>
          {groups.map(([id, text]) => (
            <option key={id} value={id}>
              {text}
            </option>
          ))}
        </select>
      </div>
      <div class={`split ${chosen ? "open" : ""}`}>
        <Card class="scroll">
          <FrameTable of={list} chosen={chosen} onChoose={setChosen} />
        </Card>
        {chosen && <FrameDetail message={chosen} onClose={() => setChosen(null)} />}
      </div>
    </>
  );
}

export function FrameTable(p: { of: Message[]; chosen: Message | null; onChoose: (m: Message) => void }) {
  if (p.of.length === 0) return <p class="empty">Nothing heard yet. Frames appear here as they arrive.</p>;
  return (
    <table>
      <thead>
        <tr>
          <th>Time</th>
          <th>What</th>
          <th>Device</th>
          <th class="num">FCnt</th>
          <th class="hide-small">Data rate</th>
          <th class="num hide-small">MHz</th>
          <th class="num">RSSI</th>
          <th class="num hide-small">SNR</th>
          <th class="num hide-small">Bytes</th>
          <th>Content</th>
        </tr>
      </thead>
      <tbody>
        {p.of.map((m) => {
          const k = kind(m);
          const r = m.params.radio;
          return (
            <tr
              key={m.meta.packet_id}
              class="choose"
              tabIndex={0}
              aria-selected={p.chosen?.meta.packet_id === m.meta.packet_id}
              onClick={() => p.onChoose(m)}
              onKeyDown={(e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), p.onChoose(m))}
            >
              <td class="mono">{clock(m.meta.time)}</td>
              <td class={`dir-${k.look}`}>{k.label}</td>
              <td>{nameOf(m)}</td>
              <td class="num">{counter(m)}</td>
              <td class="hide-small">{r ? `DR${r.datarate} ${rate(r.modulation)}` : ""}</td>
              <td class="num hide-small">{mhz(r?.freq)}</td>
              <td class="num">{r?.hardware.rssi ?? ""}</td>
              <td class="num hide-small">{r?.hardware.snr !== undefined ? number(r.hardware.snr, 1) : ""}</td>
              <td class="num hide-small">{r?.size}</td>
              <td class="wrap">{gist(m)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** The gateway's uplink channels in MHz, so that silent ones have a row too. */
function useChannels(): number[] {
  const { value } = useLoad(async () => {
    const { gateways } = await get<{ gateways: Gateway[] }>("/gateways");
    const band = gateways[0]?.band;
    if (!band) return [];
    const { band: b } = await get<{ band: { channels: { frequency?: number; freq?: number }[] } }>(`/bands/${encodeURIComponent(band)}`);
    return b.channels.map((c) => c.freq ?? c.frequency ?? 0).filter((f) => f > 0 && f < 3000).slice(0, 16);
  });
  return value ?? [];
}
