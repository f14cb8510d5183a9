// A device and an application at a gateway whose power is cut again and again.
import { setTimeout as pause } from 'node:timers/promises'
import { Air } from './air.mjs'
import { AppServer, createDevice } from './as.mjs'
import { Device } from './device.mjs'
import { ask, finish, step } from './steps.mjs'

const { HTTP, AIR, TOKEN, CUTS } = process.env
const CUT_MS = 60_000 // until the machine is up again, times PATIENCE
const EUI = '70b3d57ed00c0001'
const keys = {
  activation: 'OTAA', dev_class: 'A', counters_size: 4, band: 'EU863-870', encryption: 'NS', adr: { mode: 'off' },
  app_eui: '70b3d57ed0000003', dev_eui: EUI, app_key: '2b7e151628aed2a6abf7158809cf4f3c'
}
let as, air, device

async function connect () {
  as = await AppServer.connect(HTTP, TOKEN)
  air = await Air.connect(AIR, 'antenna of the test')
  if (device) device.air = air
}

// stubborn tries as often as a device may that isn't heard: the emulated
// machine of a busy host misses a window now and then.
async function stubborn (f) {
  for (let attempt = 1; ; attempt++) {
    try {
      return `${await f()}, attempt ${attempt}`
    } catch (error) {
      if (attempt === 8 || /twice/.test(error.message)) throw error
    }
  }
}

const join = () => stubborn(async () => {
  const x = await device.joinRequest()
  const frame = await x.rx1 ?? await x.rx2
  if (!frame) throw new Error('no join-accept was heard')
  device.accept(frame)
  return `DevAddr ${device.session.dev_addr}`
})

// talk sends an uplink that the application gets and answers; open() refuses
// a counter that was used before.
const talk = text => stubborn(async () => {
  const mark = as.mark
  const x = await device.uplink(text)
  const up = await as.expect('uplink', EUI, mark, { ms: 10_000 })
  if (up.params.counter_up !== x.fcnt) throw new Error(`counter ${up.params.counter_up}, not ${x.fcnt}`)
  as.answer(await as.expect('downlink_request', EUI, mark, { ms: 10_000 }), 'answer')
  const frame = await x.rx1 ?? await x.rx2
  if (!frame) throw new Error('no answer was heard in RX1 and RX2')
  return `FCntDown ${device.open(frame).counter}`
})

await step('a device joins', async () => {
  await connect()
  await createDevice(HTTP, TOKEN, keys)
  device = new Device(air, keys)
  return join()
})

await step('an application answers', () => talk('hello'))

for (let i = 1; i <= +CUTS; i++) {
  await step(`power cut ${i} under load: the session goes on and no counter is used twice`, async () => {
    const mark = as.mark
    const busy = (async () => { for (;;) { await device.uplink('load'); await pause(400) } })().catch(() => {})
    await as.expect('uplink', EUI, mark, { ms: 60_000 })
    await ask('cut', CUT_MS)
    as.close(); air.close()
    await busy
    const up = Date.now()
    device.fcntUp++ // the last one may have been heard
    await connect()
    return `${await talk('still here')}, ${Date.now() - up} ms after the gateway's first answer`
  })
}

finish()
