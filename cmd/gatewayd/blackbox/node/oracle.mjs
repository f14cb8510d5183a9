// A long-lived process: each line of JSON on standard input is a frame to make
// or to open with lora-packet, each line on standard output the result.
import readline from 'node:readline'
import loraPacket from 'lora-packet'

const lora = loraPacket.default ?? loraPacket
const hex = s => Buffer.from(s, 'hex')

// make composes an uplink.
function make ({ addr, nwk, app, fcnt, port, payload, confirmed, adr, ack }) {
  const packet = lora.fromFields({
    MType: confirmed ? 'Confirmed Data Up' : 'Unconfirmed Data Up', DevAddr: hex(addr), FCnt: fcnt & 0xffff, FPort: port,
    payload: hex(payload), FCtrl: { ADR: adr, ACK: ack, ADRACKReq: false, FPending: false }
  }, hex(app), hex(nwk), null, counterMSB(fcnt))
  return { phy: packet.getPHYPayload().toString('hex') }
}

function counterMSB (fcnt) {
  const b = Buffer.alloc(2)
  b.writeUInt16LE(fcnt >>> 16)
  return b
}

// open takes a downlink apart.
function open ({ phy, nwk, app, fcnt }) {
  const packet = lora.fromWire(hex(phy))
  const sealed = packet.FRMPayload?.length > 0
  return {
    mic: lora.verifyMIC(packet, hex(nwk), null, counterMSB(fcnt)),
    down: packet.getDir() === 'down', addr: packet.DevAddr.toString('hex'), fcnt: packet.getFCnt(), port: packet.getFPort() ?? -1,
    ack: packet.getFCtrlACK(), confirmed: packet.isConfirmed(), pending: packet.getFCtrlFPending(),
    payload: sealed ? lora.decrypt(packet, hex(app), hex(nwk), counterMSB(fcnt)).toString('hex') : ''
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line)
  process.stdout.write(JSON.stringify(ask.phy ? open(ask) : make(ask)) + '\n')
}
