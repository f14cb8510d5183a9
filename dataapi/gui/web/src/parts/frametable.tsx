// Messages as lines, newest first. Many come in a second, so a line is drawn
// once and again only when it is chosen or turns out to have collided.
import { Component } from "preact";
import { clock, mhz, number } from "../format";
import type { Message } from "../types";
import { counter, dataRate, gist, kind, nameOf } from "./frame";

export function FrameTable(p: { of: Message[]; collided?: ReadonlySet<Message>; chosen: Message | null; onChoose: (m: Message) => void; empty?: string }) {
  if (p.of.length === 0) return <p class="empty">{p.empty ?? "Nothing heard yet. Frames appear here as they arrive."}</p>;
  return (
    <table class="frames">
      <thead>
        <tr>
          <th>Time</th>
          <th>What</th>
          <th>Device</th>
          <th class="num hide-small hide-split">FCnt</th>
          <th class="hide-small hide-split">Data rate</th>
          <th class="num hide-small hide-split">MHz</th>
          <th class="num">RSSI</th>
          <th class="num hide-small hide-split">SNR</th>
          <th class="num hide-small hide-split">Bytes</th>
          <th>Content</th>
        </tr>
      </thead>
      <tbody>
        {p.of.map((m) => (
          <Line key={m.meta.packet_id} of={m} chosen={p.chosen === m} collided={p.collided?.has(m) ?? false} onChoose={p.onChoose} />
        ))}
      </tbody>
    </table>
  );
}

interface LineProps {
  of: Message;
  chosen: boolean;
  collided: boolean;
  onChoose: (m: Message) => void;
}

class Line extends Component<LineProps> {
  override shouldComponentUpdate(next: LineProps) {
    return next.of !== this.props.of || next.chosen !== this.props.chosen || next.collided !== this.props.collided;
  }

  override render({ of: m, chosen, collided, onChoose }: LineProps) {
    const k = kind(m);
    const r = m.params.radio;
    return (
      <tr
        class="choose"
        tabIndex={0}
        aria-selected={chosen}
        onClick={() => onChoose(m)}
        onKeyDown={(e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), onChoose(m))}
      >
        <td class="mono">{clock(m.meta.time)}</td>
        <td class={`dir-${k.look}`}>
          {k.label}
          {collided && <span class="bad"> collided</span>}
        </td>
        <td>{nameOf(m)}</td>
        <td class="num hide-small hide-split">{counter(m)}</td>
        <td class="hide-small hide-split">{r ? dataRate(r) : ""}</td>
        <td class="num hide-small hide-split">{mhz(r?.freq)}</td>
        <td class="num">{r?.hardware.rssi !== undefined ? number(r.hardware.rssi) : ""}</td>
        <td class="num hide-small hide-split">{r?.hardware.snr !== undefined ? number(r.hardware.snr, 1) : ""}</td>
        <td class="num hide-small hide-split">{r?.size}</td>
        <td class="wrap">{gist(m)}</td>
      </tr>
    );
  }
}
