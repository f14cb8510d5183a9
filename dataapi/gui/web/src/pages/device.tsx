// One device: what is known of it, what it said, what can be done to it.
import { useState } from "preact/hooks";
import { ApiError, del, get, optional, patch, post } from "../api";
import { ago, date, isHex, mhz, number, seconds } from "../format";
import { messages, send, tick } from "../live";
import { FrameDetail } from "../parts/frame";
import { useAction, useLoad } from "../parts/hooks";
import { Card, Check, Choice, Copy, Facts, Problem, Sure, Tags, TextField } from "../parts/ui";
import type { Device, Message } from "../types";
import { Margin } from "./devices";
import { FrameTable } from "./live";

export function DevicePage(p: { eui: string }) {
  tick.value;
  const { value, error, reload } = useLoad((s) => get<{ device: Device }>(`/devices/${p.eui}`, s), [p.eui], 5000);
  const [chosen, setChosen] = useState<Message | null>(null);
  const d = value?.device;
  if (!d) return error ? <Problem text={error} /> : <p class="quiet">Loading …</p>;
  const own: Message[] = [];
  for (let i = messages.length - 1; i >= 0 && own.length < 60; i--) {
    if (messages[i]!.meta.device === d.dev_eui) own.push(messages[i]!);
  }
  return (
    <>
      <p>
        <a href="#/devices">Devices</a>
      </p>
      <div class="row between">
        <h1 class="mono">{d.dev_eui}</h1>
        <Tags of={d.tags} />
      </div>
      <div class="cards">
        <Card title="State">
          <Facts
            of={[
              ["Last heard", `${ago(d.last_activity)}`],
              ["Last join", d.activation === "OTAA" ? date(d.last_join) : undefined],
              ["Link margin", <Margin device={d.dev_eui} />],
              ["DevAddr", <code>{d.dev_addr || "none yet"}</code>],
              ["JoinEUI", <code>{d.app_eui}</code>],
              ["Activation", `${d.activation}, LoRaWAN ${d.lorawan_version}, class ${d.dev_class}`],
              ["Keys", d.encryption === "NS" ? "held by this gateway" : "held by the application"],
              ["Counters", `up ${d.counter_up}, down ${d.counter_down}, ${d.policy}`],
              ["ADR", d.adr.mode],
              ["RX1 delay", `${d.rx1.current_delay ?? (d.rx1.delay || "the region's")}${typeof (d.rx1.current_delay ?? (d.rx1.delay || "")) === "number" ? " s" : ""}`],
            ]}
          />
        </Card>
        <Explain eui={d.dev_eui} />
        <Send device={d} />
        <Settings device={d} onSaved={reload} />
        <Secrets device={d} />
        <Actions device={d} onDone={reload} />
      </div>
      <p />
      <div class={`split ${chosen ? "open" : ""}`}>
        <Card title="What it said, and what was said about it" class="scroll">
          <FrameTable of={own} chosen={chosen} onChoose={setChosen} />
        </Card>
        {chosen && <FrameDetail message={chosen} onClose={() => setChosen(null)} />}
      </div>
    </>
  );
}

interface Explanation {
  summary: string;
  windows: { name: string; start: number; deadline: number; freq: number; datarate: number; power: number; max_size: number; why: string; free_at: number | null }[] | null;
  mac: { asked: string[] | null; resting: string[] | null };
}

/** Why no downlink, why no join. */
function Explain(p: { eui: string }) {
  const { value } = useLoad((s) => optional<{ explanation: Explanation }>(`/devices/${p.eui}/explain`, s), [p.eui], 5000);
  const x = value?.explanation;
  const lastProblem = messages.findLast((m) => m.meta.device === p.eui && (m.type === "error" || m.type === "warning"));
  return (
    <Card title="Why?">
      {x && <p>{x.summary}</p>}
      {x?.windows?.map((w) => (
        <p key={w.name}>
          <strong>{w.name}</strong> {mhz(w.freq / 1e6)} MHz, DR{w.datarate}, {w.power} dBm, at most {w.max_size} bytes: {w.why ? <span class="warn">{w.why}</span> : <span class="good">can be used</span>}
          {w.free_at ? ` – free ${seconds(w.free_at - Date.now() / 1000)} from now` : ""}
        </p>
      ))}
      {x?.mac.asked?.length ? <p class="quiet">Asked of the device: {x.mac.asked.join("; ")}</p> : null}
      {x?.mac.resting?.length ? <p class="quiet">Refused by the device: {x.mac.resting.join("; ")}</p> : null}
      {lastProblem && (
        <p class="note warn">
          {ago(lastProblem.meta.time)}: {lastProblem.params.message}
        </p>
      )}
      {!x && !lastProblem && <p class="quiet">Nothing went wrong lately.</p>}
    </Card>
  );
}

/** A downlink by hand: a claim, then the answer to the request that it brings. */
function Send(p: { device: Device }) {
  const [payload, setPayload] = useState("");
  const [asHex, setAsHex] = useState(false);
  const [port, setPort] = useState("1");
  const [confirmed, setConfirmed] = useState(false);
  const [state, setState] = useState("");
  const [error, setError] = useState("");
  const go = () => {
    setError("");
    const n = Number(port);
    if (!Number.isInteger(n) || n < 1 || n > 223) return setError(`Port ${port}: a whole number from 1 to 223 is allowed.`);
    const plain = payload.replace(/\s/g, "");
    if (asHex && (plain.length % 2 || !isHex(plain, plain.length))) return setError("Pairs of hex digits are wanted.");
    const data = asHex ? Uint8Array.from(plain.match(/../g) ?? [], (b) => parseInt(b, 16)) : new TextEncoder().encode(payload);
    const known = new Set(messages.map((m) => m.meta.packet_id));
    if (!send({ type: "downlink_claim", meta: { device: p.device.dev_eui } })) return setError("There is no live connection to the gateway.");
    setState("asking for a window …");
    answerNext(p.device.dev_eui, known, data, n, confirmed, setState);
  };
  return (
    <Card title="Send a downlink">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          go();
        }}
      >
        <TextField label={asHex ? "Payload, hex" : "Payload, text"} name="downlink" value={payload} onInput={setPayload} mono />
        <div class="row">
          <Check label="hex" checked={asHex} onChange={setAsHex} />
          <Check label="confirmed" checked={confirmed} onChange={setConfirmed} />
          <label class="row">
            <span>Port</span>
            <input style={{ width: "5rem" }} inputMode="numeric" value={port} onInput={(e) => setPort(e.currentTarget.value)} />
          </label>
          <button class="first">Send</button>
        </div>
      </form>
      <p class="quiet">{p.device.dev_class === "C" ? "It goes out at once." : "It goes out after the device's next uplink."}</p>
      <Problem text={error} />
      {state && <p role="status">{state}</p>}
    </Card>
  );
}

const giveUp = 30_000; // ms for the network server to offer a window

/** Answers the next request for this device, and tells what became of it. */
function answerNext(eui: string, known: Set<string | undefined>, data: Uint8Array, port: number, confirmed: boolean, tell: (s: string) => void) {
  let hash = "";
  const payload = btoa(String.fromCharCode(...data));
  const until = Date.now() + giveUp;
  const stop = tick.subscribe(() => {
    for (const m of messages) {
      if (m.meta.device !== eui || m.meta.history || known.has(m.meta.packet_id)) continue;
      known.add(m.meta.packet_id);
      if (!hash && m.type === "downlink_request") {
        hash = m.meta.packet_hash ?? "";
        send({ type: "downlink_response", meta: m.meta, params: { port, confirmed, payload } });
        tell("handed over; it waits for its window");
      } else if (hash && m.type === "downlink" && m.params.port === port && m.params.payload === payload) {
        // It carries the packet_hash of the uplink that it follows.
        tell(`on the air in ${m.params.timing?.window ?? "its window"}, ${m.params.timing?.margin !== undefined ? seconds(m.params.timing.margin) + " to spare" : ""}`);
        return queueMicrotask(stop);
      } else if (m.type === "error" && (!hash || m.meta.packet_hash === hash)) {
        tell(`refused: ${m.params.message}`);
        return queueMicrotask(stop);
      }
    }
    if (!hash && Date.now() > until) {
      tell("The network server offered no window; see “Why?”.");
      queueMicrotask(stop);
    }
  });
}

function Settings(p: { device: Device; onSaved: () => void }) {
  const d = p.device;
  const [tags, setTags] = useState(d.tags.join(", "));
  const { go, busy, error } = useAction(async (change: object) => {
    await patch(`/devices/${d.dev_eui}`, change);
    p.onSaved();
  });
  return (
    <Card title="Settings">
      <form
        class="row"
        onSubmit={(e) => {
          e.preventDefault();
          void go({ tags: tags.split(/[,\s]+/).filter(Boolean) });
        }}
      >
        <div class="grow">
          <TextField label="Tags" value={tags} onInput={setTags} />
        </div>
        <button disabled={busy}>Save</button>
      </form>
      <div class="pair">
        <Choice label="Class" value={d.dev_class} of={[["A", "A"], ["B", "B"], ["C", "C"]]} onChange={(v) => void go({ dev_class: v })} />
        <Choice
          label="Counter policy"
          value={d.policy}
          of={[["strict", "strict"], ["relaxed", "relaxed"], ["lab", "lab"]]}
          onChange={(v) => void go({ policy: v })}
          hint="strict refuses each repeated nonce and counter"
        />
        <Choice label="ADR" value={d.adr.mode} of={[["on", "on"], ["off", "off"], ["static", "static"]]} onChange={(v) => void go({ adr: { mode: v } })} />
      </div>
      <Check label="Block its uplinks" checked={d.block_uplink} onChange={(v) => void go({ block_uplink: v })} />
      <Check label="Block its downlinks" checked={d.block_downlink} onChange={(v) => void go({ block_downlink: v })} />
      <Check label="Answer in RX2 only" checked={d.rx2.force} onChange={(v) => void go({ rx2: { force: v } })} />
      <Problem text={error} />
    </Card>
  );
}

function Secrets(p: { device: Device }) {
  const [show, setShow] = useState(false);
  const keys = (["app_key", "nwk_key", "nwkskey", "appskey"] as const).filter((k) => p.device[k]);
  if (keys.length === 0) return null;
  return (
    <Card title="Keys" action={<button onClick={() => setShow(!show)}>{show ? "Hide" : "Show"}</button>}>
      {show ? (
        keys.map((k) => (
          <div class="row between" key={k}>
            <span class="quiet">{k}</span> <code>{p.device[k]}</code> <Copy text={p.device[k]!} />
          </div>
        ))
      ) : (
        <p class="quiet">{keys.join(", ")}</p>
      )}
    </Card>
  );
}

function Actions(p: { device: Device; onDone: () => void }) {
  const [done, setDone] = useState("");
  const { go, busy, error } = useAction(async (run: () => Promise<string>) => {
    setDone(await run());
    p.onDone();
  });
  const eui = p.device.dev_eui;
  const reset = async () => {
    await post(`/devices/${eui}/reset`);
    return "The counters are reset.";
  };
  const status = async () => {
    if (!send({ type: "status_request", meta: { device: eui } })) throw new ApiError(0, "", "There is no live connection to the gateway.");
    return "Asked; the answer comes with one of its next uplinks.";
  };
  const remove = async () => {
    await del(`/devices/${eui}`);
    location.hash = "#/devices";
    return "";
  };
  return (
    <Card title="Actions">
      <div class="row">
        <button disabled={busy} onClick={() => void go(status)}>
          Ask for its status
        </button>
        <Sure label="Reset" question="Counters start afresh, an old frame could be replayed." onSure={() => void go(reset)} disabled={busy} />
        <Sure label="Delete" question={`Delete ${eui}?`} onSure={() => void go(remove)} disabled={busy} />
      </div>
      {done && <p role="status">{done}</p>}
      <Problem text={error} />
      <StatusLine eui={eui} />
    </Card>
  );
}

function StatusLine(p: { eui: string }) {
  const m = messages.findLast((x) => x.meta.device === p.eui && x.type.startsWith("status"));
  if (!m) return null;
  const b = m.params.battery;
  return (
    <p class="quiet">
      {ago(m.meta.time)}: battery {b === 0 ? "external power" : b === 255 ? "unknown" : `${number(((b ?? 0) / 254) * 100)} %`}, SNR at the device {m.params.snr} dB
    </p>
  );
}

