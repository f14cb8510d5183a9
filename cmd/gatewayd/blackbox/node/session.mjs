// What a device keeps of a session, of LoRaWAN 1.0 or 1.1, and its data frames;
// lora-packet encrypts and signs them.
import loraPacket from 'lora-packet'

const lora = loraPacket.default ?? loraPacket
const reversed = b => Buffer.from(b).reverse()
const u16 = n => { const b = Buffer.alloc(2); b.writeUInt16LE(n & 0xffff); return b }
const high = counter => u16(counter >>> 16)
const UNSIGNED = Buffer.alloc(4)

export class Session {
  fcntUp = 0 // the next one
  fcntDown = { network: 0, application: 0 } // the next ones; 1.0 counts all in network

  // keys are NwkSKey and AppSKey, or AppSKey and the three network keys of 1.1.
  constructor (devAddr, keys) {
    Object.assign(this, { devAddr, keys, v11: keys.SNwkSIntKey !== undefined })
  }

  mic (packet, counter, extra) {
    const k = this.keys
    return this.v11
      ? lora.calculateMIC(packet, k.FNwkSIntKey, k.SNwkSIntKey, high(counter), extra)
      : lora.calculateMIC(packet, k.NwkSKey, null, high(counter))
  }

  // cryptOpts and cryptPayload encrypt or decrypt, which are the same.
  cryptOpts (packet, counter) {
    const opts = packet.FOpts ?? Buffer.alloc(0)
    return this.v11 && opts.length > 0 ? Buffer.from(packet.encryptFOpts(this.keys.NwkSEncKey, undefined, high(counter))) : opts
  }

  cryptPayload (packet, counter) {
    const network = this.v11 ? this.keys.NwkSEncKey : this.keys.NwkSKey
    return packet.FRMPayload?.length > 0 ? lora.decrypt(packet, this.keys.AppSKey, network, high(counter)) : Buffer.alloc(0)
  }

  // uplink makes the next frame; dr and channel are those on which it will be
  // sent. It acknowledges the last downlink if that was confirmed.
  uplink ({ port, payload, opts = Buffer.alloc(0), confirmed = false, adr = false, dr, channel }) {
    const counter = this.lastUp = this.fcntUp++
    const ack = this.owed !== undefined
    const build = (opts, payload, mic) => Buffer.concat([
      Buffer.from([confirmed ? 0x80 : 0x40]), reversed(this.devAddr), Buffer.from([(adr ? 0x80 : 0) | (ack ? 0x20 : 0) | opts.length]),
      u16(counter), opts, Buffer.from([port]), payload, mic
    ])
    const plain = lora.fromWire(build(opts, payload, UNSIGNED))
    const secret = this.cryptPayload(plain, counter)
    const sealed = [this.cryptOpts(plain, counter), secret]
    // lora-packet wants ConfFCnt of uplinks the other way round.
    const extra = Buffer.concat([reversed(u16(this.owed ?? 0)), Buffer.from([dr, channel])])
    const phy = build(...sealed, this.mic(lora.fromWire(build(...sealed, UNSIGNED)), counter, extra))
    this.owed = undefined
    return { phy, counter, ack }
  }

  // open takes a downlink apart that answers the last uplink. Its whole counter
  // is the first one, from the next on, that ends as the frame says.
  open (phy) {
    const packet = lora.fromWire(phy)
    const port = packet.getFPort() ?? -1
    const kind = this.v11 && port > 0 ? 'application' : 'network'
    const ahead = (packet.getFCnt() - this.fcntDown[kind]) & 0xffff
    const counter = this.fcntDown[kind] + ahead
    const ack = packet.getFCtrlACK()
    const mic = this.mic(packet, counter, ack ? u16(this.lastUp) : Buffer.alloc(2)).equals(packet.MIC)
    if (mic) this.fcntDown[kind] = counter + 1
    this.owed = packet.isConfirmed() ? counter : undefined
    const payload = this.cryptPayload(packet, counter)
    return {
      mic, kind, counter, port, ack, payload, opts: this.cryptOpts(packet, counter),
      down: packet.getDir() === 'down', addr: packet.DevAddr, confirmed: packet.isConfirmed(), pending: packet.getFCtrlFPending()
    }
  }
}
