// A device of LoRaWAN 1.1, which shares no code with gatewayd, joins and gets its
// answers in RX1.
import assert from 'node:assert/strict'
import { Air } from './air.mjs'
import { AppServer, createDevice } from './as.mjs'
import { Device11, REKEY_CONF } from './device11.mjs'
import { finish, step } from './steps.mjs'

const { HTTP, AIR, TOKEN } = process.env
const device = {
  activation: 'OTAA', dev_class: 'A', counters_size: 4, band: 'EU863-870', tags: ['blackbox'], adr: { mode: 'off' }, encryption: 'NS', lorawan_version: '1.1',
  app_eui: '70b3d57ed0000011', dev_eui: '70b3d57ed00a0011', app_key: '2b7e151628aed2a6abf7158809cf4f3d', nwk_key: '603deb1015ca71be2b73aef0857d7782'
}

let as, air, d

await step('connect', async () => {
  as = await AppServer.connect(HTTP, TOKEN)
  air = await Air.connect(AIR, 'antenna of a device of 1.1')
})

await step('a device of LoRaWAN 1.1 joins', async () => {
  await createDevice(HTTP, TOKEN, device)
  d = new Device11(air, device)
  const x = await d.joinRequest()
  const frame = await x.rx1
  assert.equal(frame?.start_us - x.up.end_us, 5_000_000, 'µs from the join-request to the join-accept')
  d.accept(frame)
})

for (const text of ['hello', 'again']) {
  await step(`the answer to "${text}" goes out in RX1, to the microsecond`, async () => {
    const mark = as.mark
    const first = !d.rekeyed
    const x = await d.uplink(text)
    const up = await as.expect('uplink', d.devEUI, mark)
    assert.equal(Buffer.from(up.params.payload, 'base64').toString(), text, 'payload at the AS')
    const request = await as.expect('downlink_request', d.devEUI, mark)
    as.answer(request, 'hi')
    const frame = await x.rx1
    assert.equal(frame?.start_us - x.up.end_us, 1_000_000, 'µs from the uplink to the answer')
    const down = d.open(frame)
    assert.equal(down.text, 'hi')
    assert.equal(down.kind, 'application')
    assert.equal(down.counter, request.params.counter_down, 'AFCntDown')
    assert.equal(down.opts, first ? REKEY_CONF : '', 'FOpts')
  })
}

await step('an acknowledgement is signed with the counter of its uplink, and counts by itself', async () => {
  const x = await d.uplink('are you there?', { confirmed: true })
  const frame = await x.rx1
  assert.equal(frame?.start_us - x.up.end_us, 1_000_000, 'µs from the uplink to the acknowledgement')
  const down = d.open(frame)
  assert.ok(down.ack, 'ACK')
  assert.deepEqual([down.kind, down.counter], ['network', 0], 'NFCntDown')
})

finish()
