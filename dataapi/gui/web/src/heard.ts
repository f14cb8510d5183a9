// Frames that the radio heard, whosever they are (GET /radio/frames). Those of
// this network come as messages, too; what is left are frames of other
// networks, damaged ones, and join-requests.
import { base } from "./api";
import { modulation } from "./lora";
import type { Message } from "./types";

const patience = 600; // ms until a frame's message must have come
const most = 1000; // frames that wait, and that are remembered

interface Frame {
  number: number;
  time: number;
  counter: number;
  freq: number;
  datr: string;
  channel: number;
  chain: number;
  status: 1 | 0 | -1;
  rssi: number;
  snr: number;
  size: number;
  payload: string;
  type: string;
  device_addr: string | null;
  device: string | null;
  fcnt: number | null;
  port: number | null;
}

export class Heard {
  private source: EventSource | null = null;
  private frames: { key: string; since: number; m: Message }[] = [];
  private claimed = new Set<string>();

  /** `news` is called when a frame has come. */
  constructor(private news: () => void) {}

  get waiting() {
    return this.frames.length > 0;
  }

  open() {
    this.close();
    this.source = new EventSource(`${base}/radio/frames`);
    this.source.addEventListener("frame", (e) => {
      const f = JSON.parse(e.data as string) as Frame;
      this.frames.push({ key: key(f.counter, f.freq), since: performance.now(), m: message(f) });
      if (this.frames.length > most) this.frames.shift();
      this.news();
    });
  }

  close() {
    this.source?.close();
    this.source = null;
    this.frames = [];
    this.claimed.clear();
  }

  /** The frames that no message came for, in their order. `fresh` are the messages since the last call. */
  unclaimed(fresh: Message[]): Message[] {
    for (const m of fresh) {
      const r = m.params.radio;
      if (m.type === "uplink" && r?.hardware.tmst !== undefined) this.claimed.add(key(r.hardware.tmst, r.freq));
    }
    const due = performance.now() - patience;
    const out: Message[] = [];
    this.frames = this.frames.filter((f) => {
      if (this.claimed.delete(f.key)) return false;
      if (f.since > due) return true;
      out.push(f.m);
      return false;
    });
    if (this.claimed.size > most) this.claimed.clear(); // of messages whose frame came before this page
    return out;
  }
}

const key = (counter: number, freq: number) => `${counter % 2 ** 32} ${freq}`;

/** The frame as a message, so that lists and details take it like any other. */
function message(f: Frame): Message {
  const kind = f.status === -1 ? "damaged" : f.type === "join_request" ? "join_request" : "foreign";
  return {
    type: "frame",
    meta: { time: f.time, device: f.device ?? undefined, device_addr: f.device_addr ?? undefined, packet_id: `frame-${f.number}-${f.counter}` },
    params: {
      code: kind,
      counter_up: f.fcnt ?? undefined,
      port: f.port ?? undefined,
      phy_payload: f.payload,
      radio: {
        freq: f.freq,
        time: f.time,
        size: f.size,
        modulation: modulation(f.datr),
        hardware: { tmst: f.counter % 2 ** 32, channel: f.channel, chain: f.chain, status: f.status, rssi: f.rssi, snr: f.snr },
      },
    },
  };
}
