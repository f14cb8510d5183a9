// The little that the page must know of LoRa: time on air, names of frames.
import type { Message, Modulation } from "./types";

/** Time on air in seconds (SX1276 datasheet 4.1.1.7; CRC on uplinks only). */
export function airtime(m: Modulation, size: number): number {
  if (m.type === "FSK") return ((5 + 3 + 1 + size + 2) * 8) / (m.bitrate ?? 50000);
  const sf = m.spreading ?? 7;
  const bw = m.bandwidth ?? 125000;
  const symbol = 2 ** sf / bw;
  const low = symbol > 0.016 ? 1 : 0;
  const rate = Number((m.coderate ?? "4/5").slice(2)) - 4;
  const crc = m.inverted ? 0 : 16;
  const blocks = Math.max(Math.ceil((8 * size - 4 * sf + 28 + crc) / (4 * (sf - 2 * low))), 0);
  return (8 + 4.25 + 8 + blocks * (rate + 4)) * symbol;
}

/** A data rate as frames heard carry it: SF7BW125, FSK50000. */
export function modulation(datr: string): Modulation {
  const lora = /^SF(\d+)BW(\d+)$/.exec(datr);
  if (lora) return { type: "LORA", spreading: Number(lora[1]), bandwidth: Number(lora[2]) * 1000 };
  return { type: "FSK", bitrate: Number(datr.replace("FSK", "")) || 50000 };
}

const mtypes = ["join-request", "join-accept", "uplink", "downlink", "confirmed uplink", "confirmed downlink", "rejoin-request", "proprietary"];

export const mtype = (n: number | undefined) => (n === undefined ? "" : (mtypes[n] ?? `MType ${n}`));

export function rate(m: Modulation | undefined): string {
  if (!m) return "";
  return m.type === "FSK" ? `FSK ${(m.bitrate ?? 50000) / 1000}k` : `SF${m.spreading}BW${(m.bandwidth ?? 0) / 1000}`;
}

export const macNames = (m: Message) => (m.params.lora?.mac_commands ?? []).map((c) => Object.keys(c)[0] ?? "?");

/** SNR that the demodulator needs, dB (SX1276 datasheet table 13). */
export const neededSNR = (sf: number) => -7.5 - 2.5 * (sf - 7);

/** dB above what this data rate needs: how much worse it may get. */
export function linkMargin(m: Message): number | null {
  const r = m.params.radio;
  if (!r || r.modulation.type !== "LORA" || r.hardware.snr === undefined) return null;
  return r.hardware.snr - neededSNR(r.modulation.spreading ?? 7);
}

/** Emission on the air: start and end, unix seconds. */
export function emission(m: Message): { from: number; to: number } | null {
  const r = m.params.radio;
  if (!r) return null;
  const air = airtime(r.modulation, r.size);
  return m.type === "downlink" ? { from: r.time, to: r.time + air } : { from: r.time - air, to: r.time };
}
