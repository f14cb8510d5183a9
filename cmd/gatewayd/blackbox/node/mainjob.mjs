// The main job, seen from both ends: a device in the air and an application
// server, neither of which shares code with gatewayd.
import assert from 'node:assert/strict'
import lora from 'lora-packet'
import { Air, Monitor } from './air.mjs'
import { AppServer, createDevice } from './as.mjs'
import { Device } from './device.mjs'
import { verifyAll, writePcap } from './pcap.mjs'
import { ask, capture, finish, step, witness } from './steps.mjs'

const { HTTP, AIR, TOKEN, PCAP } = process.env
const hex = s => Buffer.from(s, 'hex')

// at asserts the microsecond that a downlink began.
function at (frame, uplink, delay) {
  assert.ok(frame, `nothing was heard ${delay} µs after the uplink`)
  assert.equal(frame.start_us - uplink.end_us, delay, 'µs from the end of the uplink to the downlink')
}

const common = { activation: 'OTAA', dev_class: 'A', counters_size: 4, band: 'EU863-870', tags: ['blackbox'], adr: { mode: 'off' } }
const A = { ...common, encryption: 'NS', app_eui: '70b3d57ed0000001', dev_eui: '70b3d57ed00a0001', app_key: '2b7e151628aed2a6abf7158809cf4f3c' }
const B = { ...common, encryption: 'APP', app_eui: '70b3d57ed0000002', dev_eui: '70b3d57ed00b0002', app_key: '603deb1015ca71be2b73aef0857d7781' }

let as, air, monitor, a, b
const sessions = []
const heard = []

async function connect () {
  as = await AppServer.connect(HTTP, TOKEN)
  monitor = await Monitor.connect(AIR)
  air = await Air.connect(AIR, 'antenna of the test')
  if (a) a.air = b.air = air
}

// After a failure: all that both sides saw since the step began.
let marks = [0, 0]
witness.mark = () => { marks = [as?.mark ?? 0, monitor?.frames.length ?? 0] }
witness.seen = () => {
  const lines = list => list.map(m => '\n  ' + JSON.stringify(m)).join('') || ' (nothing)'
  return `at the application:${lines(as?.inbox.messages.slice(marks[0]) ?? [])}\non the air:${lines(monitor?.frames.slice(marks[1]) ?? [])}`
}

// talk has a device send, the AS answer the request, and returns the downlink.
async function talk (device, text, answer) {
  const mark = as.mark
  const x = await device.uplink(text)
  const up = await as.expect('uplink', device.devEUI, mark)
  assert.equal(Buffer.from(up.params.payload, 'base64').toString(), text, 'payload at the AS')
  assert.equal(up.params.counter_up, x.fcnt, 'counter_up at the AS')
  assert.equal(up.params.port, 10, 'port at the AS')
  const request = await as.expect('downlink_request', device.devEUI, mark)
  as.answer(request, answer)
  const frame = await x.rx1
  at(frame, x.up, 1_000_000)
  const down = device.open(frame)
  assert.equal(down.text, answer, 'payload at the device')
  assert.equal(down.counter, request.params.counter_down, 'the counter that the request promised')
  const sent = await as.expect('downlink', device.devEUI, mark)
  assert.equal(sent.params.counter_down, down.counter, 'counter_down of the downlink message')
  return { x, down, request }
}

await step('connect', connect)

await step('a device joins with its key at the network server', async () => {
  await createDevice(HTTP, TOKEN, A)
  a = new Device(air, A)
  const x = await a.joinRequest()
  const frame = await x.rx1
  at(frame, x.up, 5_000_000)
  a.accept(frame)
  sessions.push({ ...a.session, app_eui: A.app_eui, app_key: A.app_key })
  return `DevAddr ${a.session.dev_addr}`
})

let old
await step('the answer of the application goes out in RX1, to the microsecond', async () => {
  const { x, request } = await talk(a, 'hello', 'hi')
  old = x
  assert.ok(request.params.max_size >= 200 && request.params.max_size <= 242, `max_size ${request.params.max_size} at SF7`)
  const ahead = request.params.tx_time - request.meta.time
  assert.ok(ahead > 0.3 && ahead < 1.05, `tx_time is ${ahead} s after the request`)
})

await step('a confirmed uplink that nobody answers is acknowledged in RX1, to the microsecond', async () => {
  const x = await a.uplink('are you there?', { confirmed: true })
  const ack = await x.rx1
  at(ack, x.up, 1_000_000)
  assert.equal(a.open(ack).ack, true, 'ACK')
})

await step('an answer that misses RX1 goes out in RX2', async () => {
  const mark = as.mark
  const x = await a.uplink('slow?')
  const request = await as.expect('downlink_request', a.devEUI, mark)
  assert.equal(await x.rx1, null, 'in RX1, before there is an answer')
  as.answer(request, 'slow')
  const frame = await x.rx2
  at(frame, x.up, 2_000_000)
  assert.equal(a.open(frame).text, 'slow')
})

await step('an answer that misses RX2 gets an error that says so', async () => {
  const mark = as.mark
  const x = await a.uplink('slower?')
  const request = await as.expect('downlink_request', a.devEUI, mark)
  assert.equal(await x.rx1, null, 'RX1')
  assert.equal(await x.rx2, null, 'RX2')
  const since = as.mark
  as.answer(request, 'much too slow')
  const refusal = await as.inbox.first(m => ['error', 'warning'].includes(m.type) && /late|window|missed/i.test(m.params.message), 'an error about the late answer', { since })
  return `${refusal.params.code}: ${refusal.params.message}`
})

await step('a device joins with its key at the application', async () => {
  await createDevice(HTTP, TOKEN, { ...B, app_key: undefined })
  b = new Device(air, B)
  const mark = as.mark
  const x = await b.joinRequest()
  const { meta, params } = await as.expect('join_request', b.devEUI, mark)
  assert.equal(params.dev_eui, B.dev_eui)
  assert.equal(meta.application, B.app_eui)
  const [netID, devNonce, devAddr, joinNonce] = [hex(params.net_id), hex(params.dev_nonce), hex(params.dev_addr), hex('00a1b2')]
  const key = hex(B.app_key)
  const accept = lora.fromFields({
    MType: 'Join Accept', AppNonce: joinNonce, NetID: netID, DevAddr: devAddr, DLSettings: 0, RxDelay: 1,
    ...(params.cf_list ? { CFList: hex(params.cf_list) } : {})
  }, undefined, undefined, key).getPHYPayload()
  const { NwkSKey } = lora.generateSessionKeys10(key, netID, joinNonce, devNonce)
  as.send('join_response', meta, { nwkskey: NwkSKey.toString('hex'), accept_payload: accept.subarray(1).toString('base64') })
  const frame = await x.rx1
  at(frame, x.up, 5_000_000)
  b.accept(frame)
  assert.equal(b.nwkSKey.toString('hex'), NwkSKey.toString('hex'), 'both ends derive the same NwkSKey')
  assert.equal(b.session.dev_addr, params.dev_addr, 'the address that the network server assigned')
  sessions.push({ ...b.session, app_eui: B.app_eui, app_key: B.app_key })
})

// sealed encrypts a downlink as an AS does that holds the AppSKey.
function sealed (device, text, counter) {
  return lora.fromFields({ MType: 'Unconfirmed Data Down', DevAddr: device.devAddr, FCnt: counter, FPort: 7, payload: Buffer.from(text) },
    device.appSKey, device.nwkSKey).FRMPayload
}

await step('payloads of that device pass through encrypted, both ways', async () => {
  const mark = as.mark
  const x = await b.uplink('secret')
  const up = await as.expect('uplink', b.devEUI, mark)
  assert.equal(up.params.payload, undefined, 'the network server cannot know the plaintext')
  assert.equal(up.params.encrypted_payload, lora.fromWire(x.phy).FRMPayload.toString('base64'), 'FRMPayload as it was received')
  const request = await as.expect('downlink_request', b.devEUI, mark)
  as.send('downlink_response', request.meta, { encrypted_payload: sealed(b, 'also secret', request.params.counter_down).toString('base64'), port: 7 })
  const frame = await x.rx1
  at(frame, x.up, 1_000_000)
  const down = b.open(frame)
  assert.equal(down.text, 'also secret')
  assert.equal(down.port, 7)
})

// replay sends old bytes: an error about it, no uplink, no downlink.
async function replay (device, exchange) {
  const mark = as.mark
  const x = await device.repeat(exchange)
  const error = await as.expect('error', device.devEUI, mark)
  assert.match(error.params.message, /counter|replay/i)
  assert.equal(await x.rx1, null, 'a replay is answered in RX1')
  assert.equal(await x.rx2, null, 'a replay is answered in RX2')
  const uplinks = as.inbox.messages.slice(mark).filter(m => m.type === 'uplink' && m.meta.device === device.devEUI)
  assert.deepEqual(uplinks, [], 'the replay was delivered')
  return `${error.params.code}: ${error.params.message}`
}

await step('a replayed uplink is refused with an error message', () => replay(a, old))

await step('a replayed join-request is refused with an error message', async () => {
  const mark = as.mark
  const x = await a.joinRequest({ again: true })
  const error = await as.expect('error', a.devEUI, mark)
  assert.match(error.params.message, /DevNonce/i)
  assert.equal(await x.rx1, null, 'a replayed join is answered')
  return `${error.params.code}: ${error.params.message}`
})

await step('the daemon is killed at once after a delivered uplink', async () => {
  const mark = as.mark
  await a.uplink('the last before the crash')
  await as.expect('uplink', a.devEUI, mark)
  heard.push(...monitor.frames)
  await ask('restart') // SIGKILL, and up again
  for (const x of [as, air, monitor]) x.close()
  await connect()
})

await step('sessions outlive the crash, and no downlink counter is used twice', async () => {
  await talk(a, 'I am still here', 'so am I') // open() refuses a counter that was used
})

await step('so does the session whose keys the application holds', async () => {
  const mark = as.mark
  const x = await b.uplink('me too')
  const request = await as.expect('downlink_request', b.devEUI, mark)
  as.send('downlink_response', request.meta, { encrypted_payload: sealed(b, 'fine', request.params.counter_down).toString('base64'), port: 7 })
  at(await x.rx1, x.up, 1_000_000)
  assert.equal(b.open(await x.rx1).text, 'fine')
})

await step('the old replay is refused after the crash, too', () => replay(a, old))

await step('a used DevNonce is refused after the crash, too', async () => {
  const mark = as.mark
  const x = await a.joinRequest({ again: true })
  const error = await as.expect('error', a.devEUI, mark)
  assert.match(error.params.message, /DevNonce/i)
  assert.equal(await x.rx1, null, 'a replayed join is answered')
})

await step('a device may join anew, with a JoinNonce never used before', async () => {
  const before = a.joinNonce
  const x = await a.joinRequest()
  at(await x.rx1, x.up, 5_000_000)
  a.accept(await x.rx1)
  assert.notEqual(a.joinNonce, before, 'JoinNonce')
  sessions.push({ ...a.session, app_eui: A.app_eui, app_key: A.app_key })
  await talk(a, 'a new life', 'welcome')
})

if (monitor) {
  heard.push(...monitor.frames)
  await step('every frame on the air has a MIC that lora-packet verifies', () => verifyAll(heard, sessions))
  writePcap(PCAP, heard)
  capture(PCAP, heard.length, sessions)
}
finish()
