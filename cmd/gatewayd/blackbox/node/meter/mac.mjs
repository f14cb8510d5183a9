// MAC commands of a class A device (LoRaWAN 1.0.4 section 5): obey reads those
// of a downlink, changes the session, and returns the answers.
import { MAX_CHANNELS, MAX_DR, MAX_POWER, RX2, inBand } from './eu868.mjs'

const SIZES = { 2: 2, 3: 4, 4: 1, 5: 4, 6: 0, 7: 5, 8: 1, 9: 1, 10: 4, 13: 5 }
const STICKY = new Set([5, 8, 10]) // answered in each uplink until the network is heard
const freqAt = b => b.readUIntLE(0, 3) * 100
const bits = (...ok) => ok.reduce((sum, x, i) => sum | (x ? 1 << i : 0), 0)

// parse splits commands up to the first that is unknown, whose size is, too.
function parse (bytes) {
  const out = []
  for (let i = 0; i < bytes.length;) {
    const size = SIZES[bytes[i]]
    if (size === undefined || i + 1 + size > bytes.length) break
    out.push({ cid: bytes[i], body: bytes.subarray(i + 1, i + 1 + size) })
    i += 1 + size
  }
  return out
}

export function obey (s, bytes, snr) {
  const commands = parse(bytes)
  const answers = []
  const say = (cid, ...body) => answers.push({ bytes: [cid, ...body], sticky: STICKY.has(cid) })
  for (let i = 0; i < commands.length; i++) {
    const { cid, body } = commands[i]
    if (cid === 3) { // a block of LinkADRReq is one request
      const block = []
      for (; i < commands.length && commands[i].cid === 3; i++) block.push(commands[i].body)
      i--
      const status = linkADR(s, block)
      for (let n = 0; n < block.length; n++) say(3, status)
    } else if (cid === 4) {
      s.maxDuty = body[0] & 15
      say(4)
    } else if (cid === 5) {
      say(5, rxParam(s, body))
    } else if (cid === 6) {
      say(6, 255, Math.max(-32, Math.min(31, Math.round(snr))) & 63)
    } else if (cid === 7) {
      say(7, newChannel(s, body))
    } else if (cid === 8) {
      s.rxDelay = Math.max(1, body[0] & 15)
      say(8)
    } else if (cid === 10) {
      say(10, dlChannel(s, body))
    }
  }
  return answers
}

function linkADR (s, block) {
  const on = s.channels.map(c => c?.on)
  let maskOK = true
  for (const body of block) {
    const mask = body.readUInt16LE(1)
    const cntl = body[3] >> 4 & 7
    if (cntl !== 0 && cntl !== 6) maskOK = false
    for (let i = 0; i < MAX_CHANNELS; i++) {
      if (cntl === 6) on[i] = s.channels[i] !== undefined
      else if (cntl === 0) on[i] = (mask >> i & 1) === 1
      if (on[i] && !s.channels[i]) maskOK = false
    }
  }
  if (!on.some(Boolean)) maskOK = false
  const last = block.at(-1)
  const dr = last[0] >> 4 === 15 ? s.dr : last[0] >> 4
  const power = (last[0] & 15) === 15 ? s.power : last[0] & 15
  const drOK = dr <= MAX_DR && s.channels.some((c, i) => c && on[i] && c.min <= dr && dr <= c.max)
  const powerOK = power <= MAX_POWER
  if (maskOK && drOK && powerOK) {
    s.channels.forEach((c, i) => { if (c) c.on = Boolean(on[i]) })
    Object.assign(s, { dr, power, nbTrans: (last[3] & 15) || s.nbTrans })
  }
  return bits(maskOK, drOK, powerOK)
}

function rxParam (s, body) {
  const offset = body[0] >> 4 & 7
  const dr = body[0] & 15
  const freq = freqAt(body.subarray(1))
  const status = bits(inBand(freq), dr <= 7, offset <= 5)
  if (status === 7) Object.assign(s, { rx1Offset: offset, rx2: { freq, dr } })
  return status
}

function newChannel (s, body) {
  const index = body[0]
  const freq = freqAt(body.subarray(1))
  const [min, max] = [body[4] & 15, body[4] >> 4]
  const mine = index >= 3 && index < MAX_CHANNELS
  const status = bits(mine && (freq === 0 || inBand(freq)), mine && (freq === 0 || (min <= max && max <= 7)))
  if (status === 3) s.channels[index] = freq === 0 ? undefined : { freq, down: freq, min, max, on: true }
  return status
}

function dlChannel (s, body) {
  const c = s.channels[body[0]]
  const freq = freqAt(body.subarray(1))
  const status = bits(inBand(freq), c !== undefined)
  if (status === 3) c.down = freq
  return status
}

// initial is what a session begins with.
export const initial = { power: 0, nbTrans: 1, maxDuty: 0, rx1Offset: 0, rx2: RX2, rxDelay: 1 }
