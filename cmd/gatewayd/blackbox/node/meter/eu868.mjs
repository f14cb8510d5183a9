// EU863-870 as a device must know it (RP002-1.0.4 section 2.4, EN 300 220).
export const DEFAULT_CHANNELS = [868_100_000, 868_300_000, 868_500_000]
export const RX2 = { freq: 869_525_000, dr: 0 }
export const MAX_DR = 5 // of uplinks on channels of 125 kHz
export const MAX_POWER = 7 // index
export const MAX_CHANNELS = 16
export const ROOM = [51, 51, 51, 115, 222, 222] // longest FRMPayload by data rate, without FOpts

// modulation of a data rate.
export function modulation (dr) {
  if (dr === 6) return { modulation: 'LORA', sf: 7, bw_hz: 250_000 }
  if (dr === 7) return { modulation: 'FSK', bitrate: 50_000 }
  return { modulation: 'LORA', sf: 12 - dr, bw_hz: 125_000 }
}

// symbol is the length of a symbol, or of a byte of FSK, in µs.
export function symbol (dr) {
  const m = modulation(dr)
  return m.sf ? 2 ** m.sf / m.bw_hz * 1e6 : 8e6 / m.bitrate
}

export const power = index => 16 - 2 * index // dBm EIRP

export const inBand = freq => freq >= 863_000_000 && freq <= 870_000_000

// band is the sub-band of a frequency and its share of the time.
export function band (freq) {
  for (const [from, to, share] of [[863e6, 865e6, 0.001], [865e6, 868e6, 0.01], [868e6, 868.6e6, 0.01], [868.7e6, 869.2e6, 0.001], [869.4e6, 869.65e6, 0.1], [869.7e6, 870e6, 0.01]]) {
    if (freq >= from && freq <= to) return { name: from, share }
  }
  return { name: 0, share: 0.001 }
}
