// A LoRaWAN 1.0 class A device in EU868, made of npm's lora-packet. It opens
// its windows where the specification says, ± 10 ms, and nowhere else.
import assert from 'node:assert/strict'
import lora from 'lora-packet'

export const hex = s => Buffer.from(s, 'hex')
export const CHANNELS = [868_100_000, 868_300_000, 868_500_000]
const RX2 = { freq_hz: 869_525_000, sf: 12 } // RP002, EU863-870
const HALF_WINDOW_US = 10_000

export class Device {
  fcntUp = 0
  fcntDown = -1 // the last one that was received
  devNonce = 0x4200

  constructor (air, { dev_eui, app_eui, app_key }) {
    Object.assign(this, { air, devEUI: dev_eui, appEUI: app_eui, appKey: hex(app_key) })
  }

  get root () { return this.appKey } // signs join-requests

  uplinkFrame (payload, freq_hz) {
    return {
      freq_hz, modulation: 'LORA', sf: 7, bw_hz: 125000, cr: '4/5', preamble: 8, sync_word: 0x34,
      iq_inverted: false, crc: true, implicit_header: false, payload: payload.toString('base64')
    }
  }

  // exchange transmits a frame and opens both windows after it. rx1 and rx2
  // are promises of a frame or of null.
  async exchange (phy, delays) {
    const channel = CHANNELS[this.fcntUp % CHANNELS.length]
    const up = await this.air.transmit(this.uplinkFrame(phy, channel))
    const window = (name, where, delay) => {
      const at = up.end_us + delay
      const frame = this.air.receive({
        modulation: 'LORA', bw_hz: 125000, iq_inverted: true, sync_word: 0x34, ...where,
        from_us: at - HALF_WINDOW_US, until_us: at + HALF_WINDOW_US
      }, `${name} of ${this.devEUI}`, delay / 1000 + 5000)
      frame.catch(() => {}) // who awaits it sees the error
      return frame
    }
    return {
      up,
      phy,
      rx1: window('RX1', { freq_hz: channel, sf: 7 }, delays[0]),
      rx2: window('RX2', RX2, delays[1])
    }
  }

  // joinRequest sends a join-request with a fresh DevNonce, or that of before.
  async joinRequest ({ again = false } = {}) {
    if (!again) this.devNonce++
    const nonce = Buffer.alloc(2)
    nonce.writeUInt16BE(this.devNonce)
    this.nonce = nonce
    const packet = lora.fromFields({ MType: 'Join Request', AppEUI: hex(this.appEUI), DevEUI: hex(this.devEUI), DevNonce: nonce }, undefined, undefined, this.root)
    return this.exchange(packet.getPHYPayload(), [5_000_000, 6_000_000])
  }

  // accept takes a join-accept and starts the session.
  accept (frame) {
    const sealed = lora.fromWire(Buffer.from(frame.payload, 'base64'))
    const packet = lora.fromWire(lora.decryptJoinAccept(sealed, this.root))
    this.begin(packet)
    this.devAddr = packet.DevAddr
    this.joinNonce = packet.AppNonce.readUIntBE(0, 3)
    this.fcntUp = 0
    this.fcntDown = -1
    assert.equal(packet.getDLSettingsRxOneDRoffset(), 0, 'RX1DROffset of the join-accept')
    assert.equal(packet.getDLSettingsRxTwoDataRate(), 0, 'RX2 data rate of the join-accept')
    assert.ok(packet.getRxDelayDel() <= 1, 'RxDelay of the join-accept')
    return packet
  }

  // begin checks the MIC of a join-accept and derives the session's keys.
  begin (packet) {
    assert.ok(lora.verifyMIC(packet, undefined, this.appKey), 'MIC of the join-accept')
    const keys = lora.generateSessionKeys10(this.appKey, packet.NetID, packet.AppNonce, this.nonce)
    this.nwkSKey = keys.NwkSKey
    this.appSKey = keys.AppSKey
  }

  // uplink sends data with the next counter.
  async uplink (payload, { port = 10, confirmed = false } = {}) {
    const packet = lora.fromFields({
      MType: confirmed ? 'Confirmed Data Up' : 'Unconfirmed Data Up',
      DevAddr: this.devAddr, FCnt: this.fcntUp, FPort: port, payload: Buffer.from(payload)
    }, this.appSKey, this.nwkSKey)
    const exchange = await this.exchange(packet.getPHYPayload(), [1_000_000, 2_000_000])
    exchange.fcnt = this.fcntUp++
    return exchange
  }

  // repeat sends the very bytes of an earlier exchange.
  repeat (exchange) { return this.exchange(exchange.phy, [1_000_000, 2_000_000]) }

  // open checks a downlink's address, MIC and counter, and decrypts it.
  open (frame) {
    const packet = lora.fromWire(Buffer.from(frame.payload, 'base64'))
    assert.equal(packet.getDir(), 'down', 'direction')
    assert.equal(packet.DevAddr.toString('hex'), this.devAddr.toString('hex'), 'DevAddr')
    assert.ok(lora.verifyMIC(packet, this.nwkSKey), 'MIC of the downlink')
    const counter = packet.getFCnt()
    assert.ok(counter > this.fcntDown, `FCntDown ${counter} after ${this.fcntDown}: a counter was used twice`)
    this.fcntDown = counter
    const sealed = packet.FRMPayload?.length > 0
    return {
      counter,
      port: packet.getFPort(),
      ack: packet.getFCtrlACK(),
      confirmed: packet.isConfirmed(),
      text: sealed ? lora.decrypt(packet, this.appSKey, this.nwkSKey).toString() : ''
    }
  }

  // session is what a sniffer needs to verify the frames.
  get session () {
    return { dev_addr: this.devAddr.toString('hex'), nwkskey: this.nwkSKey.toString('hex'), appskey: this.appSKey.toString('hex') }
  }
}
