// Makes vectors.json: sessions of LoRaWAN 1.1 as lora-packet 0.9.3 (MIT), which
// shares no code with this repository, derives, encrypts and signs them.
//
//   npm install lora-packet@0.9.3 && node vectors.mjs > vectors.json
import lora from 'lora-packet'
import { createHash } from 'node:crypto'

let seed = 0
const random = n => createHash('sha256').update(`vector ${seed++}`).digest().subarray(0, n)
const hex = b => Buffer.from(b).toString('hex')
const reversed = b => Buffer.from(b).reverse()
const u16 = (n) => { const b = Buffer.alloc(2); b.writeUInt16LE(n); return b }

function session () {
  const appKey = random(16); const nwkKey = random(16); const devEUI = random(8); const joinEUI = random(8)
  const joinNonce = random(3); const devNonce = random(2); const devAddr = random(4); const netID = random(3)
  const k = lora.generateSessionKeys11(appKey, nwkKey, joinEUI, joinNonce, devNonce)
  const js = lora.generateJSKeys(nwkKey, devEUI)
  const v = {
    app_key: hex(appKey), nwk_key: hex(nwkKey), dev_eui: hex(devEUI), join_eui: hex(joinEUI), join_nonce: hex(joinNonce), dev_nonce: hex(devNonce),
    dev_addr: hex(devAddr), net_id: hex(netID), fnwksintkey: hex(k.FNwkSIntKey), snwksintkey: hex(k.SNwkSIntKey), nwksenckey: hex(k.NwkSEncKey),
    appskey: hex(k.AppSKey), jsintkey: hex(js.JSIntKey), jsenckey: hex(js.JSEncKey), frames: []
  }
  for (const up of [true, false]) {
    for (const [opts, payload, ack] of [[[0x02], 'data', false], [[0x0b, 1], 'acknowledged', true], [[], '', true], [[0x0d, 0x02], null, false]]) {
      const counter = random(4); const conf = random(2); const dr = random(1)[0] % 16; const channel = random(1)[0] % 80
      const high = reversed(counter.subarray(0, 2))
      const build = (opts, payload, mic) => Buffer.concat([
        Buffer.from([up ? 0x40 : 0x60]), reversed(devAddr), Buffer.from([(ack ? 0x20 : 0) | opts.length]), reversed(counter.subarray(2)), opts,
        payload === null ? Buffer.alloc(0) : Buffer.concat([Buffer.from([9]), payload]), mic])
      const none = Buffer.alloc(4)
      const plain = lora.fromWire(build(Buffer.from(opts), payload === null ? null : Buffer.from(payload), none))
      const secret = payload ? lora.decrypt(plain, k.AppSKey, null, high) : payload === null ? null : Buffer.alloc(0)
      const secretOpts = opts.length > 0 ? Buffer.from(plain.encryptFOpts(k.NwkSEncKey, undefined, high)) : Buffer.alloc(0)
      const frame = lora.fromWire(build(secretOpts, secret, none))
      const extra = up ? Buffer.concat([conf, Buffer.from([dr, channel])]) : ack ? reversed(conf) : Buffer.alloc(2) // of downlinks it is taken as it stands in the block
      const mic = lora.calculateMIC(frame, k.FNwkSIntKey, k.SNwkSIntKey, high, extra)
      const phy = build(secretOpts, secret, mic)
      v.frames.push({ up, counter: counter.readUInt32BE(), conf: conf.readUInt16BE(), dr, channel, ack, opts: hex(opts), payload, phy: hex(phy) })
    }
  }
  v.rejoins = [0, 1, 2].map(type => {
    const count = random(2)
    const body = Buffer.concat([Buffer.from([0xc0, type]), type === 1 ? reversed(joinEUI) : reversed(netID), reversed(devEUI), u16(count.readUInt16BE())])
    const p = lora.fromWire(Buffer.concat([body, Buffer.alloc(4)]))
    const mic = lora.calculateMIC(p, k.SNwkSIntKey, js.JSIntKey)
    return { type, count: count.readUInt16BE(), phy: hex(Buffer.concat([body, mic])) }
  })
  return v
}

console.log(JSON.stringify(Array.from({ length: 8 }, session), null, 1))
