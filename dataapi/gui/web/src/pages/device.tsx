// One device or group: what is known of it, what it said, what can be done to it.
import { useState } from "preact/hooks";
import { get } from "../api";
import { ago, date } from "../format";
import { messages, tick } from "../live";
import { FrameDetail } from "../parts/frame";
import { FrameTable } from "../parts/frametable";
import { useLoad } from "../parts/hooks";
import { Margin, marginsOf } from "../parts/margin";
import { Card, Facts, Problem, Tags } from "../parts/ui";
import type { Device, Message } from "../types";
import { Actions } from "./device/actions";
import { Explain } from "./device/explain";
import { Send } from "./device/send";
import { JoinsCard, SessionCard, useDeviceState } from "./device/session";
import { Secrets, Settings } from "./device/settings";

const shown = 60; // messages
const quiet = ["info", "location", "downlink_request"]; // a frame's details have them

export function DevicePage(p: { eui: string }) {
  tick.value;
  const { value, error, reload } = useLoad((s) => get<{ device: Device }>(`/devices/${p.eui}`, s), [p.eui], 5000);
  const state = useDeviceState(p.eui);
  const [chosen, setChosen] = useState<Message | null>(null);
  const d = value?.device;
  if (!d) return error ? <Problem text={error} /> : <p class="quiet">Loading …</p>;
  return (
    <>
      <p>
        <a href="#/devices">Devices</a>
      </p>
      <div class="row between">
        <h1 class="mono">{d.dev_eui}</h1>
        <span>
          <Tags of={d.tags} />
        </span>
      </div>
      <div class="cards packed">
        {d.multicast ? <Group of={d} /> : <Facet of={d} />}
        <Send device={d} />
        <Explain eui={d.dev_eui} />
        {!d.multicast && <SessionCard of={state} />}
        {d.activation === "OTAA" && <JoinsCard of={state?.joins} />}
        <Settings device={d} onSaved={reload} />
        <Secrets device={d} />
        <Actions device={d} onDone={reload} />
      </div>
      <div class={`split ${chosen ? "open" : ""}`}>
        <Card title={d.multicast ? "What was sent to it" : "What it said, and what was said to it"} class="scroll">
          <FrameTable of={newestOf(d.dev_eui)} chosen={chosen} onChoose={setChosen} />
        </Card>
        {chosen && <FrameDetail message={chosen} onClose={() => setChosen(null)} />}
      </div>
    </>
  );
}

function newestOf(eui: string): Message[] {
  const list: Message[] = [];
  for (let i = messages.length - 1; i >= 0 && list.length < shown; i--) {
    const m = messages[i]!;
    if (m.meta.device === eui && !quiet.includes(m.type)) list.push(m);
  }
  return list;
}

function Facet(p: { of: Device }) {
  const d = p.of;
  return (
    <Card title="State">
      <Facts
        of={[
          ["Last heard", ago(d.last_activity)],
          ["Last join", d.activation === "OTAA" ? date(d.last_join) : undefined],
          ["Link margin", <Margin of={marginsOf(messages).get(d.dev_eui)} />],
          ["JoinEUI", <code>{d.app_eui}</code>],
          ["Activation", `${d.activation}, LoRaWAN ${d.lorawan_version}, class ${d.dev_class}`],
          ["Keys", d.encryption === "NS" ? "held by this gateway" : "held by the application"],
        ]}
      />
    </Card>
  );
}

function Group(p: { of: Device }) {
  const d = p.of;
  const slots = d.ping_slot;
  return (
    <Card title="Multicast group">
      <p class="quiet">Many devices hear what is sent to it. They have its address and keys; nobody sends as it.</p>
      <Facts
        of={[
          ["Address", <code>{d.dev_addr}</code>],
          ["Class", d.dev_class],
          ["Ping slots", d.dev_class === "B" && slots?.periodicity !== undefined ? `each ${2 ** slots.periodicity} s` : undefined],
          ["Listens at", d.dev_class === "C" ? (d.rx2.freq ? `${d.rx2.freq / 1e6} MHz` : "the region's RX2") : slots?.freq ? `${slots.freq / 1e6} MHz` : "the region's ping slots"],
          ["Next counter", d.counter_down],
          ["Each frame", d.repeat ? `${d.repeat + 1} times` : "once"],
        ]}
      />
    </Card>
  );
}
