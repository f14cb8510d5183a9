// Recordings of the air: pcap with LoRaTap headers for Wireshark, and the check
// of all MICs with lora-packet.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import lora from 'lora-packet'

const LINKTYPE_LORATAP = 270 // tcpdump.org/linktypes

// loratap puts the version 0 header (15 bytes, big endian) before a payload.
function loratap (frame) {
  const h = Buffer.alloc(15)
  h.writeUInt16BE(h.length, 2)
  h.writeUInt32BE(frame.freq_hz, 4)
  h.writeUInt8(frame.bw_hz / 125000, 8)
  h.writeUInt8(frame.sf, 9)
  h.writeUInt8(139 - 60, 10) // RSSI: dBm + 139
  h.writeUInt8(frame.sync_word ?? 0x34, 14)
  return Buffer.concat([h, Buffer.from(frame.payload, 'base64')])
}

// writePcap writes LoRa frames as they were on the air; start_us becomes the
// time stamp.
export function writePcap (file, onAir) {
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65535, 16)
  header.writeUInt32LE(LINKTYPE_LORATAP, 20)
  const records = onAir.filter(f => f.modulation === 'LORA').flatMap(f => {
    const data = loratap(f)
    const r = Buffer.alloc(16)
    r.writeUInt32LE(Math.floor(f.start_us / 1e6), 0)
    r.writeUInt32LE(f.start_us % 1e6, 4)
    r.writeUInt32LE(data.length, 8)
    r.writeUInt32LE(data.length, 12)
    return [r, data]
  })
  writeFileSync(file, Buffer.concat([header, ...records]))
}

// verifyAll asserts that the MIC of each frame is right under one of the keys
// {dev_addr, nwkskey, app_key}.
export function verifyAll (onAir, keys) {
  const hex = s => Buffer.from(s, 'hex')
  const roots = keys.filter(k => k.app_key).map(k => hex(k.app_key))
  const accepts = (packet, key) => {
    try {
      return lora.verifyMIC(lora.fromWire(lora.decryptJoinAccept(packet, key)), undefined, key)
    } catch { // under a wrong key it may look like LoRaWAN 1.1
      return false
    }
  }
  const good = frame => {
    let packet
    try {
      packet = lora.fromWire(Buffer.from(frame.payload, 'base64'))
    } catch { // too short, or of no kind
      return false
    }
    if (packet.isJoinRequestMessage()) return roots.some(key => lora.verifyMIC(packet, undefined, key))
    if (packet.isJoinAcceptMessage()) return roots.some(key => accepts(packet, key))
    const addr = packet.DevAddr.toString('hex')
    return keys.some(k => k.dev_addr === addr && lora.verifyMIC(packet, hex(k.nwkskey)))
  }
  onAir.forEach((frame, i) => assert.ok(good(frame), `no key fits the MIC of frame ${i + 1}, ${JSON.stringify(frame)}, after ${JSON.stringify(onAir[i - 1])}`))
  return `${onAir.length} frames`
}
