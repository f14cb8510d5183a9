// A downlink by hand.
import { useState } from "preact/hooks";
import { isHex, seconds } from "../../format";
import { messages, send, tick } from "../../live";
import { Check, Form, TextField } from "../../parts/form";
import { Card } from "../../parts/ui";
import type { Device } from "../../types";

/** A downlink by hand: a claim, then the answer to the request that it brings. */
export function Send(p: { device: Device }) {
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
      <Form class="" submit="Send" onSubmit={go} error={error}>
        <TextField label={asHex ? "Payload, hex" : "Payload, text"} name="downlink" value={payload} onInput={setPayload} mono />
        <div class="row">
          <Check label="hex" checked={asHex} onChange={setAsHex} />
          {!p.device.multicast && <Check label="confirmed" checked={confirmed} onChange={setConfirmed} />}
          <label class="row">
            <span>Port</span>
            <input class="tiny" inputMode="numeric" value={port} onInput={(e) => setPort(e.currentTarget.value)} />
          </label>
        </div>
      </Form>
      <p class="quiet">{whenItGoes(p.device)}</p>
      {state && <p role="status">{state}</p>}
    </Card>
  );
}

function whenItGoes(d: Device): string {
  if (d.dev_class === "C") return d.multicast ? "It goes out at once, for all of the group." : "It goes out at once.";
  if (d.dev_class === "B") return d.multicast ? "It goes out in the group's next ping slot." : "It goes out in the next ping slot while the device is in class B, else after its next uplink.";
  return "It goes out after the device's next uplink.";
}

const giveUp = 30_000; // ms for the network server to offer a window
const longest = 600_000; // ms that a frame may wait for its ping slot

/** Answers the next request for this device, and tells what became of it. */
function answerNext(eui: string, known: Set<string | undefined>, data: Uint8Array, port: number, confirmed: boolean, tell: (s: string) => void) {
  let hash = "";
  const payload = btoa(String.fromCharCode(...data));
  let until = Date.now() + giveUp;
  const stop = tick.subscribe(() => {
    for (const m of messages) {
      if (m.meta.device !== eui || m.meta.history || known.has(m.meta.packet_id)) continue;
      known.add(m.meta.packet_id);
      if (!hash && m.type === "downlink_request") {
        hash = m.meta.packet_hash ?? "";
        send({ type: "downlink_response", meta: m.meta, params: { port, confirmed, payload } });
        until = Date.now() + longest;
        tell("handed over; it waits for its window");
      } else if (hash && m.type === "downlink" && m.params.port === port && m.params.payload === payload) {
        // It carries the packet_hash of the uplink that it follows.
        tell(`on the air in ${m.params.timing?.window ?? "its window"}, ${m.params.timing?.margin !== undefined ? seconds(m.params.timing.margin) + " to spare" : ""}`);
        return queueMicrotask(stop);
      } else if (m.type === "error" && (!hash || m.meta.packet_hash === hash)) {
        tell(m.params.message ?? ""); // it may go out in another window yet
      }
    }
    if (Date.now() < until) return;
    if (!hash) tell("The network server offered no window; see “Why?”.");
    queueMicrotask(stop);
  });
}
