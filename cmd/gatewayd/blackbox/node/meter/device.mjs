// A LoRaWAN 1.0.4 device of class A in EU868, as somebody else would build it:
// its frames are npm's lora-packet's, its MAC layer shares nothing with
// gatewayd. It joins, sends "0", "1", "2"… every 5 to 7 s, each fourth one
// confirmed, and does what the network asks of it.
import lora from 'lora-packet'
import * as eu868 from './eu868.mjs'
import { initial, obey } from './mac.mjs'

const hex = s => Buffer.from(s, 'hex')
const SECOND = 1_000_000
const ADR_ACK_LIMIT = 64
const ADR_ACK_DELAY = 32
const TRIES = 8 // of a confirmed uplink
const LATE_SYMBOLS = 3 // that a preamble may be late

export class Device {
  // memory survives power cycles: DevNonce, JoinNonce, and where the chance is.
  constructor (radio, { dev_eui, join_eui, app_key }, memory) {
    Object.assign(this, { radio, memory, devEUI: hex(dev_eui), joinEUI: hex(join_eui), appKey: hex(app_key) })
    this.free = {} // when a sub-band may be used again
    this.quiet = 0 // when DutyCycleReq lets it send again
  }

  // random is a number from 0 to 1, always the same after the same start.
  random () {
    const m = this.memory
    m.chance = (Math.imul(m.chance, 1664525) + 1013904223) >>> 0 // Numerical Recipes' generator
    return m.chance / 2 ** 32
  }

  // run goes on until the power is cut.
  async run () {
    await this.radio.until(this.radio.now + this.random() * SECOND)
    await this.join()
    for (let n = 0; ; n++) {
      const begin = this.radio.now
      await this.send(Buffer.from(String(n)), n % 4 === 3)
      await this.radio.until(begin + (5 + 2 * this.random()) * SECOND)
    }
  }

  // emit waits for a channel and transmits; it returns where and when.
  async emit (phy, dr, channels, power) {
    const usable = channels.filter(c => c && c.on && c.min <= dr && dr <= c.max)
    const ready = c => Math.max(this.quiet, this.free[eu868.band(c.freq).name] ?? 0)
    const earliest = Math.min(...usable.map(ready))
    await this.radio.until(earliest)
    const open = usable.filter(c => ready(c) <= this.radio.now)
    const channel = open[Math.floor(this.random() * open.length)]
    const up = await this.radio.transmit({ ...eu868.modulation(dr), freq_hz: channel.freq, power_dbm: eu868.power(power), payload: phy.toString('base64') })
    const airtime = up.end_us - up.start_us
    const { name, share } = eu868.band(channel.freq)
    this.free[name] = up.end_us + airtime * (1 / share - 1)
    if (this.session?.maxDuty) this.quiet = up.end_us + airtime * (2 ** this.session.maxDuty - 1)
    return { ...up, channel, airtime }
  }

  // listen opens both windows; take tells whether a frame ends that.
  async listen (up, dr, delay, { rx1Offset, rx2 }, take) {
    const rx1 = { freq: up.channel.down, dr: Math.max(dr - rx1Offset, 0) }
    for (const [where, at] of [[rx1, up.end_us + delay], [rx2, up.end_us + delay + SECOND]]) {
      const until = at + Math.floor(LATE_SYMBOLS * eu868.symbol(where.dr))
      for (let from = at; from <= until;) {
        const frame = await this.radio.receive({ ...eu868.modulation(where.dr), freq_hz: where.freq, iq_inverted: true, from_us: from, until_us: until })
        if (!frame) break
        if (take(frame)) return true
        from = frame.end_us
      }
    }
    return false
  }

  async join () {
    const channels = eu868.DEFAULT_CHANNELS.map(freq => ({ freq, down: freq, min: 0, max: eu868.MAX_DR, on: true }))
    this.session = null
    for (let dr = eu868.MAX_DR; !this.session; dr = (dr + eu868.MAX_DR) % (eu868.MAX_DR + 1)) {
      const nonce = Buffer.alloc(2)
      nonce.writeUInt16BE(this.memory.devNonce++)
      const packet = lora.fromFields({ MType: 'Join Request', AppEUI: this.joinEUI, DevEUI: this.devEUI, DevNonce: nonce }, undefined, undefined, this.appKey)
      const up = await this.emit(packet.getPHYPayload(), dr, channels, 0)
      this.quiet = up.end_us + up.airtime * 99 // 1 % of the time, section 7
      await this.listen(up, dr, 5 * SECOND, initial, frame => this.accept(frame, nonce, channels))
    }
    this.quiet = 0
  }

  // accept takes a join-accept and begins the session.
  accept (frame, nonce, channels) {
    const sealed = lora.fromWire(Buffer.from(frame.payload, 'base64'))
    if (!sealed.isJoinAcceptMessage()) return false
    const packet = lora.fromWire(lora.decryptJoinAccept(sealed, this.appKey))
    if (!lora.verifyMIC(packet, undefined, this.appKey)) return false
    const joinNonce = packet.AppNonce.readUIntBE(0, 3)
    if (joinNonce <= this.memory.joinNonce) return false
    this.memory.joinNonce = joinNonce
    const list = packet.CFList?.length === 16 && packet.CFList[15] === 0 ? packet.CFList : Buffer.alloc(0)
    for (let i = 0; i + 3 < list.length; i += 3) {
      const freq = list.readUIntLE(i, 3) * 100
      if (freq) channels[3 + i / 3] = { freq, down: freq, min: 0, max: eu868.MAX_DR, on: true }
    }
    const keys = lora.generateSessionKeys10(this.appKey, packet.NetID, packet.AppNonce, nonce)
    this.session = {
      ...initial, ...keys, channels, devAddr: packet.DevAddr, dr: eu868.MAX_DR, up: 0, down: -1, unheard: 0, ack: false, answers: [],
      rx1Offset: packet.getDLSettingsRxOneDRoffset(), rxDelay: Math.max(1, packet.getRxDelayDel()),
      rx2: { ...eu868.RX2, dr: packet.getDLSettingsRxTwoDataRate() }
    }
    return true
  }

  // send transmits data as often as it takes.
  async send (payload, confirmed) {
    const s = this.session
    this.backOff(s)
    const { dr } = s
    const phy = this.compose(payload, confirmed)
    const times = confirmed ? Math.max(TRIES, s.nbTrans) : s.nbTrans
    for (let n = 0; n < times; n++) {
      const up = await this.emit(phy, dr, s.channels, s.power)
      let over = false
      await this.listen(up, dr, s.rxDelay * SECOND, s, frame => {
        const down = this.receive(frame)
        over ||= down && (!confirmed || down.ack)
        return down
      })
      if (over) return
      await this.radio.until(this.radio.now + (1 + 2 * this.random()) * SECOND)
    }
  }

  compose (payload, confirmed) {
    const s = this.session
    const options = Buffer.from(s.answers.flatMap(a => a.bytes)).subarray(0, 15)
    s.answers = s.answers.filter(a => a.sticky)
    const packet = lora.fromFields({
      MType: confirmed ? 'Confirmed Data Up' : 'Unconfirmed Data Up', DevAddr: s.devAddr, FCnt: s.up & 0xffff, FPort: 1, payload, FOpts: options,
      FCtrl: { ADR: true, ACK: s.ack, ADRACKReq: s.unheard >= ADR_ACK_LIMIT }
    }, s.AppSKey, s.NwkSKey, undefined, this.high(s.up))
    s.up++
    s.unheard++
    s.ack = false
    return packet.getPHYPayload()
  }

  // high are the upper bytes of a counter.
  high (counter) {
    const b = Buffer.alloc(2)
    b.writeUInt16LE(counter >>> 16)
    return b
  }

  // receive takes a downlink; undefined if it is not for this device, or wrong.
  receive (frame) {
    const s = this.session
    let packet
    try {
      packet = lora.fromWire(Buffer.from(frame.payload, 'base64'))
    } catch {
      return undefined // noise
    }
    if (packet.getDir() !== 'down' || !packet.DevAddr?.equals(s.devAddr)) return undefined
    let counter = (s.down + 1 & ~0xffff) + packet.getFCnt()
    if (counter <= s.down) counter += 0x10000
    if (!lora.verifyMIC(packet, s.NwkSKey, undefined, this.high(counter))) return undefined
    Object.assign(s, { down: counter, unheard: 0, answers: s.answers.filter(a => !a.sticky), ack: s.ack || packet.isConfirmed() })
    const sealed = packet.FRMPayload?.length > 0
    const plain = sealed ? lora.decrypt(packet, s.AppSKey, s.NwkSKey, this.high(counter)) : Buffer.alloc(0)
    const options = packet.getFPort() === 0 && sealed ? plain : packet.FOpts
    s.answers.push(...obey(s, options ?? Buffer.alloc(0), frame.snr_db))
    return { ack: packet.getFCtrlACK() }
  }

  // backOff makes itself heard when nobody answers (section 4.3.1.1).
  backOff (s) {
    const over = s.unheard - ADR_ACK_LIMIT
    if (over < ADR_ACK_DELAY || over % ADR_ACK_DELAY) return
    if (s.power > 0) s.power = 0
    else if (s.dr > 0) s.dr--
    else for (const c of s.channels.slice(0, 3)) c.on = true
  }
}
