// One message of the stream as a line, and as everything there is.
import { useEffect, useRef } from "preact/hooks";
import { bytes, clock, dump, hex, hexOf, mhz, micros, number, seconds, short, text } from "../format";
import { airtime, linkMargin, macNames, mtype, rate } from "../lora";
import { messages } from "../live";
import type { Message, Radio } from "../types";
import { Card, Code, Facts, Tags } from "./ui";

export const nameOf = (m: Message) => m.meta.tags?.find((t) => !["demo"].includes(t)) ?? m.meta.device ?? m.meta.device_addr ?? "";

export function kind(m: Message): { label: string; look: string } {
  if (m.type === "uplink") return { label: m.params.duplicate ? "copy" : "uplink", look: "up" };
  if (m.type === "downlink") return { label: m.params.lora?.header.type === 1 ? "join-accept" : "downlink", look: "down" };
  if (m.type === "join_request" || m.params.code === "join_request") return { label: "join-request", look: "join" };
  if (m.type === "frame") return { label: m.params.code ?? "frame", look: m.params.code === "damaged" ? "warning" : "foreign" };
  if (m.type === "downlink_request") return { label: "window", look: "info" };
  return { label: m.type.replace("_", " "), look: ["error", "warning"].includes(m.type) ? m.type : "info" };
}

/** What a line says beside its figures. */
export function gist(m: Message): string {
  const p = m.params;
  if (p.message) return p.message;
  if (m.type === "downlink_request") return `an answer of at most ${p.max_size} bytes is taken until ${clock(p.cutoff_time ?? p.tx_time ?? 0)}`;
  if (m.type === "status_response") return `battery ${p.battery}, SNR margin ${p.snr} dB`;
  if (m.type === "join_request") return `DevNonce ${p.dev_nonce}`;
  if (m.type === "frame") return hexOf(p.phy_payload);
  const mac = macNames(m);
  return [short(p.payload ?? p.encrypted_payload), mac.join(", ")].filter(Boolean).join("  ");
}

export const dataRate = (r: Radio) => [r.datarate !== undefined && `DR${r.datarate}`, rate(r.modulation)].filter(Boolean).join(" ");

/** Why a frame was heard and no more. */
const heardWords: Record<string, string> = {
  foreign: "No device of this network has this address and key, or the frame was sent again; nobody is told of it.",
  damaged: "Its checksum is wrong: it was too weak, or another frame was on the channel.",
  join_request: "What became of it follows in the list: a join-accept, or a warning with the reason.",
};

export const counter = (m: Message) => m.params.counter_up ?? m.params.counter_down;

/** Everything about a message, and what else belongs to the same exchange. */
export function FrameDetail(p: { message: Message; onClose: () => void }) {
  const m = p.message;
  const { radio, lora, timing } = m.params;
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [m]); // on a small screen it is above the list
  const k = kind(m);
  const header = lora?.header;
  const flags = header && (["confirmed", "adr", "adr_ack_req", "ack", "class_b", "pending"] as const).filter((f) => header[f]).join(", ");
  const plain = bytes(m.params.payload);
  const cipher = bytes(m.params.encrypted_payload);
  const raw = bytes(m.params.phy_payload);
  return (
    <aside ref={place} aria-label="The frame">
      <Card
        title={
          <span class={`dir-${k.look}`}>
            {k.label} {counter(m) !== undefined ? `#${counter(m)}` : ""}
          </span>
        }
        action={
          <button type="button" onClick={p.onClose} aria-label="Close the frame">
            ×
          </button>
        }
      >
        {m.params.message && <p class={`note ${m.type === "error" ? "bad" : m.type === "warning" ? "warn" : ""}`}>{m.params.message}</p>}
        <Facts
          of={[
            ["Time", clock(m.meta.time, 6)],
            ["Device", m.meta.device ? <a href={`#/devices/${m.meta.device}`}>{m.meta.device}</a> : undefined],
            ["Address", m.meta.device_addr],
            ["Tags", m.meta.tags?.length ? <Tags of={m.meta.tags} /> : undefined],
            ["Code", m.params.code],
            ["Type", header && `${mtype(header.type)}${flags ? ` (${flags})` : ""}`],
            ["Port", m.params.port],
            ["Frequency", radio && `${mhz(radio.freq)} MHz`],
            ["Data rate", radio && `${dataRate(radio)} ${radio.modulation.coderate ?? ""}`],
            ["Size", radio && `${radio.size} bytes, ${seconds(airtime(radio.modulation, radio.size))} on air`],
            ["RSSI / SNR", radio?.hardware.rssi !== undefined ? `${radio.hardware.rssi} dBm / ${number(radio.hardware.snr, 1)} dB` : undefined],
            ["Link margin", linkMargin(m) !== null ? `${number(linkMargin(m), 1)} dB` : undefined],
            ["Power", radio?.hardware.power !== undefined ? `${radio.hardware.power} dBm` : undefined],
            ["Concentrator", radio?.hardware.tmst !== undefined ? `${micros(radio.hardware.tmst)} µs, channel ${radio.hardware.channel}, chain ${radio.hardware.chain}` : undefined],
          ]}
        />
        {timing && (
          <>
            <h3>Timing</h3>
            <Facts
              of={[
                ["Window", timing.window],
                ["Planned", timing.planned !== undefined ? `${micros(timing.planned)} µs` : undefined],
                ["Armed", timing.armed !== undefined ? `${micros(timing.armed)} µs` : undefined],
                ["On air", timing.started !== undefined ? `${micros(timing.started)} µs` : undefined],
                ["Off by", timing.started !== undefined && timing.planned !== undefined ? `${timing.started - timing.planned} µs` : undefined],
                ["Margin", timing.margin !== undefined ? seconds(timing.margin) : undefined],
                ["Late", timing.late],
              ]}
            />
          </>
        )}
        {(lora?.mac_commands.length ?? 0) > 0 && (
          <>
            <h3>MAC commands</h3>
            <pre tabIndex={0}>{lora!.mac_commands.map((c) => JSON.stringify(c)).join("\n")}</pre>
          </>
        )}
        {plain.length > 0 && (
          <>
            <h3>Payload, {plain.length} bytes</h3>
            {text(plain) !== null && <p>“{text(plain)}”</p>}
            <Code text={dump(plain)} copy={false} />
          </>
        )}
        {cipher.length > 0 && plain.length === 0 && (
          <>
            <h3>Encrypted payload, {cipher.length} bytes</h3>
            <Code text={dump(cipher)} copy={false} />
            <p class="quiet">The application holds its key, not this gateway: {hex(cipher).length / 2} bytes as they came.</p>
          </>
        )}
        {raw.length > 0 && (
          <>
            <h3>As it was heard</h3>
            <Code text={dump(raw)} copy={false} />
            <p class="quiet">{heardWords[m.params.code ?? ""]}</p>
          </>
        )}
        <Why of={m} />
        <details>
          <summary>As JSON</summary>
          <Code text={JSON.stringify(m, null, 1)} />
        </details>
      </Card>
    </aside>
  );
}

/** The decisions about this frame: what else carries its packet_hash. */
function Why(p: { of: Message }) {
  const hash = p.of.meta.packet_hash;
  const others = messages.filter((m) => m !== p.of && hash && m.meta.packet_hash === hash);
  if (others.length === 0) return null;
  return (
    <>
      <h3>What happened to it</h3>
      <table>
        <tbody>
          {others.map((m) => (
            <tr key={m.meta.packet_id}>
              <td class="num">{seconds(m.meta.time - p.of.meta.time)}</td>
              <td class={`dir-${kind(m).look}`}>{kind(m).label}</td>
              <td class="wrap">{gist(m)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
