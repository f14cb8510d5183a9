// The same device of LoRaWAN 1.1: other keys and MICs, FOpts encrypted, two
// downlink counters, and RekeyInd until the network server has answered it.
import assert from 'node:assert/strict'
import lora from 'lora-packet'
import { CHANNELS, Device, hex } from './device.mjs'
import { Session } from './session.mjs'

const REKEY_IND = Buffer.from([0x0b, 1])
export const REKEY_CONF = '0b01'
const TX_DR = 5 // SF7

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
    this.data = new Session(packet.DevAddr, lora.generateSessionKeys11(this.appKey, this.nwkKey, hex(this.appEUI), packet.AppNonce, this.nonce))
    this.rekeyed = false
  }

  async uplink (text, { port = 10, confirmed = false } = {}) {
    const { phy, counter } = this.data.uplink({
      port, confirmed, payload: Buffer.from(text), opts: this.rekeyed ? undefined : REKEY_IND, dr: TX_DR, channel: this.data.fcntUp % CHANNELS.length
    })
    this.fcntUp = counter // exchange takes the channel from it
    const exchange = await this.exchange(phy, [1_000_000, 2_000_000])
    exchange.fcnt = counter
    return exchange
  }

  // open checks a downlink, whose ACK would be that of the uplink with the last
  // counter, and decrypts it.
  open (frame) {
    const down = this.data.open(Buffer.from(frame.payload, 'base64'))
    assert.equal(down.addr.toString('hex'), this.devAddr.toString('hex'), 'DevAddr')
    assert.ok(down.mic, 'MIC of the downlink')
    const opts = down.opts.toString('hex')
    this.rekeyed ||= opts.includes(REKEY_CONF)
    return { ...down, opts, text: down.payload.toString() }
  }
}
