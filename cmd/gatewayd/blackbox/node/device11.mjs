// The same device of LoRaWAN 1.1: other keys and MICs, FOpts encrypted, two
// downlink counters, and RekeyInd until the network server has answered it.
import assert from 'node:assert/strict'
import lora from 'lora-packet'
import { CHANNELS, Device, hex } from './device.mjs'

const REKEY_IND = Buffer.from([0x0b, 1])
export const REKEY_CONF = '0b01'
const TX_DR = 5 // SF7
const HIGH = Buffer.alloc(2) // the upper half of all counters
const reversed = b => Buffer.from(b).reverse()
const u16 = n => { const b = Buffer.alloc(2); b.writeUInt16LE(n); return b }

export class Device11 extends Device {
  constructor (air, settings) {
    super(air, settings)
    this.nwkKey = hex(settings.nwk_key)
    this.jsIntKey = lora.generateJSKeys(this.nwkKey, hex(this.devEUI)).JSIntKey
  }

  get root () { return this.nwkKey }

  begin (packet) {
    assert.ok(packet.getDLSettingsOptNeg(), 'OptNeg of the join-accept')
    Object.assign(packet, { JoinReqType: Buffer.from([0xff]), JoinEUI: hex(this.appEUI), DevNonce: this.nonce })
    assert.ok(lora.verifyMIC(packet, this.jsIntKey), 'MIC of the join-accept')
    this.keys = lora.generateSessionKeys11(this.appKey, this.nwkKey, hex(this.appEUI), packet.AppNonce, this.nonce)
    this.rekeyed = false
    this.counters = { application: -1, network: -1 } // the last ones that were received
  }

  // mic signs a frame; extra is ConfFCnt, and of uplinks TxDr and TxCh.
  mic (packet, extra) { return lora.calculateMIC(packet, this.keys.FNwkSIntKey, this.keys.SNwkSIntKey, HIGH, extra) }

  async uplink (text, { port = 10, confirmed = false } = {}) {
    const opts = this.rekeyed ? Buffer.alloc(0) : REKEY_IND
    const build = (opts, payload, mic) => Buffer.concat([
      Buffer.from([confirmed ? 0x80 : 0x40]), reversed(this.devAddr), Buffer.from([opts.length]), u16(this.fcntUp), opts, Buffer.from([port]), payload, mic
    ])
    const none = Buffer.alloc(4)
    const plain = lora.fromWire(build(opts, Buffer.from(text), none))
    const sealed = [
      opts.length ? Buffer.from(plain.encryptFOpts(this.keys.NwkSEncKey, undefined, HIGH)) : opts,
      lora.decrypt(plain, this.keys.AppSKey, null, HIGH)
    ]
    const extra = Buffer.from([0, 0, TX_DR, this.fcntUp % CHANNELS.length])
    const phy = build(...sealed, this.mic(lora.fromWire(build(...sealed, none)), extra))
    const exchange = await this.exchange(phy, [1_000_000, 2_000_000])
    exchange.fcnt = this.fcntUp++
    return exchange
  }

  // open checks a downlink, whose ACK would be that of the uplink with the last
  // counter, and decrypts it.
  open (frame) {
    const packet = lora.fromWire(Buffer.from(frame.payload, 'base64'))
    assert.equal(packet.DevAddr.toString('hex'), this.devAddr.toString('hex'), 'DevAddr')
    const ack = packet.getFCtrlACK()
    const mic = this.mic(packet, ack ? u16(this.fcntUp - 1) : Buffer.alloc(2))
    assert.equal(packet.MIC.toString('hex'), mic.toString('hex'), 'MIC of the downlink')
    const port = packet.getFPort()
    const kind = port > 0 ? 'application' : 'network'
    const counter = packet.getFCnt()
    assert.ok(counter > this.counters[kind], `the ${kind}'s counter ${counter} after ${this.counters[kind]}: it was used twice`)
    this.counters[kind] = counter
    const opts = packet.FOpts?.length > 0 ? Buffer.from(packet.encryptFOpts(this.keys.NwkSEncKey, undefined, HIGH)).toString('hex') : '' // the same both ways
    this.rekeyed ||= opts.includes(REKEY_CONF)
    const sealed = packet.FRMPayload?.length > 0
    return { counter, kind, ack, port, opts, text: sealed ? lora.decrypt(packet, this.keys.AppSKey, null, HIGH).toString() : '' }
  }
}
