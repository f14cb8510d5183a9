// Frames as they arrive and leave.
import { useCallback, useState } from "preact/hooks";
import { get } from "../api";
import type { Emission } from "../emissions";
import { mhz } from "../format";
import { rate } from "../lora";
import { emissions, messages, tick } from "../live";
import { FrameDetail, gist, kind } from "../parts/frame";
import { FrameTable } from "../parts/frametable";
import { useLoad } from "../parts/hooks";
import { Card } from "../parts/ui";
import { Waterfall } from "../parts/waterfall";
import type { Gateway, Message } from "../types";

const rows = 80; // shown at once

const isFrame = (m: Message) => ["uplink", "downlink", "join_request", "frame"].includes(m.type);
const isProblem = (m: Message) => m.type === "error" || m.type === "warning";

const groups = {
  frames: { text: "All frames", has: (m: Message) => isFrame(m) || isProblem(m) },
  own: { text: "Frames of this network", has: (m: Message) => (isFrame(m) && m.type !== "frame") || isProblem(m) },
  all: { text: "Frames and decisions", has: () => true },
  problems: { text: "Errors and warnings", has: isProblem },
};
type Group = keyof typeof groups;

/** What is shown while the page is paused. */
interface Still {
  at: number; // unix seconds
  messages: readonly Message[];
  emissions: readonly Emission[];
}

export function Live() {
  tick.value; // draw again when there is something new
  const [still, setStill] = useState<Still | null>(null);
  const [group, setGroup] = useState<Group>("frames");
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState<Message | null>(null);
  const channels = useChannels();
  const close = useCallback(() => setChosen(null), []);
  const shown = still ?? { messages, emissions };
  const list = newest(shown.messages, group, search);
  const collided = new Set(shown.emissions.filter((e) => e.collides).map((e) => e.m));
  return (
    <>
      <div class="row between">
        <h1>Live air</h1>
        <button type="button" aria-pressed={still !== null} onClick={() => setStill(still ? null : { at: Date.now() / 1000, messages, emissions })}>
          {still ? "Go on" : "Pause"}
        </button>
      </div>
      <Card class="scroll">
        <Waterfall channels={channels} still={still} onPick={setChosen} />
        <p class="quiet legend">
          <span class="dot dir-up">uplink</span>
          <span class="dot dir-down">downlink</span>
          <span class="dot dir-join">join-request</span>
          <span class="dot dir-foreign">another network's</span>
          <span class="dot warn">damaged</span>
          <span class="dot bad">collision</span>
        </p>
      </Card>
      <div class="row">
        <input class="grow" type="search" aria-label="Find frames" placeholder="device, address, tag, SF7, 868.1, foreign …" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
        <select aria-label="What is shown" class="auto" value={group} onChange={(e) => setGroup(e.currentTarget.value as Group)}>
          {Object.entries(groups).map(([id, g]) => (
            <option key={id} value={id}>
              {g.text}
            </option>
          ))}
        </select>
      </div>
      <div class={`split ${chosen ? "open" : ""}`}>
        <Card class="scroll">
          <FrameTable of={list} collided={collided} chosen={chosen} onChoose={setChosen} empty={search ? "No frame has all of these words." : undefined} />
        </Card>
        {chosen && <FrameDetail message={chosen} onClose={close} />}
      </div>
    </>
  );
}

/** The newest messages of a group that have all words. */
function newest(all: readonly Message[], group: Group, search: string): Message[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const { has } = groups[group];
  const list: Message[] = [];
  for (let i = all.length - 1; i >= 0 && list.length < rows; i--) {
    const m = all[i]!;
    if (has(m) && (words.length === 0 || hasWords(m, words))) list.push(m);
  }
  return list;
}

function hasWords(m: Message, words: string[]): boolean {
  const { device, device_addr, application, gateway, tags = [] } = m.meta;
  const { radio } = m.params;
  const text = [kind(m).label, device, device_addr, application, gateway, ...tags, gist(m), rate(radio?.modulation), mhz(radio?.freq)].join(" ").toLowerCase();
  return words.every((w) => text.includes(w));
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
