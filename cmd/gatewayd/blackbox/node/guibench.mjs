// What the page takes in a browser while 50 frames a second are on the air.
// Prints its figures as a JSON object: unit to value.
import lora from 'lora-packet'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Air } from './air.mjs'
import { createDevice } from './as.mjs'
import { Browser } from './browser.mjs'

const { HTTP, AIR } = process.env
const SECONDS = Number(process.env.SECONDS)
const WARM = 75 // s until all of the page's lists are full
const RATE = 50 // frames a second
const DEVICES = 40
const CHANNELS = [867.1, 867.3, 867.5, 867.7, 867.9, 868.1, 868.3, 868.5] // MHz, EU868
const EMAIL = 'anna@example.org'
const PASSWORD = 'correct horse battery staple'

const post = async (path, body) => (await fetch(`${HTTP}/api/v1.0${path}`, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } })).json()
const median = list => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]

// signIn opens the page in a browser without a cache, and returns the
// milliseconds from the request to the picture of its first page.
async function signIn () {
  const browser = await Browser.open(HTTP)
  await browser.context.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector('main h1')) return
      observer.disconnect()
      requestAnimationFrame(() => setTimeout(() => { globalThis.painted = performance.now() }))
    }).observe(document, { childList: true, subtree: true })
  })
  await browser.context.request.post(`${HTTP}/api/v1.0/auth`, { data: { email: EMAIL, password: PASSWORD } })
  await browser.goto('live')
  await browser.page.waitForFunction(() => globalThis.painted)
  return { browser, paint: await browser.page.evaluate(() => globalThis.painted) }
}

// sessions registers devices that need not join.
async function sessions (token) {
  const list = []
  for (let i = 0; i < DEVICES; i++) {
    const s = { dev_eui: `70b3d57ed008${String(i).padStart(4, '0')}`, dev_addr: `26008${String(i).padStart(3, '0')}`, nwkskey: randomBytes(16).toString('hex'), appskey: randomBytes(16).toString('hex') }
    await createDevice(HTTP, token, { ...s, app_eui: '70b3d57ed0000001', activation: 'ABP', tags: [`bench-${i}`] })
    list.push({ ...s, fcnt: 0 })
  }
  return list
}

// frame is the nth: four of five are of our devices, one of a stranger.
function frame (n, devices) {
  const own = n % 5 !== 4
  const d = own ? devices[n % devices.length] : { dev_addr: randomBytes(4).toString('hex'), nwkskey: '00'.repeat(16), appskey: '00'.repeat(16), fcnt: n & 0xffff }
  const packet = lora.fromFields({
    MType: 'Unconfirmed Data Up', DevAddr: Buffer.from(d.dev_addr, 'hex'), FCnt: own ? d.fcnt++ : d.fcnt, FPort: 1, payload: Buffer.from(`frame ${n}`)
  }, Buffer.from(d.appskey, 'hex'), Buffer.from(d.nwkskey, 'hex'))
  return {
    freq_hz: Math.round(CHANNELS[n % CHANNELS.length] * 1e6), modulation: 'LORA', sf: 7, bw_hz: 125000, cr: '4/5', preamble: 8, sync_word: 0x34,
    iq_inverted: false, crc: true, implicit_header: false, payload: packet.getPHYPayload().toString('base64')
  }
}

// transmit keeps the rate on the average until it is told to stop.
async function transmit (air, devices, stop) {
  const begin = performance.now()
  for (let n = 0; !stop.aborted; n++) {
    await sleep(Math.max(0, begin + n * 1000 / RATE - performance.now()))
    air.send({ op: 'tx', id: `f${n}`, power_dbm: 14, ...frame(n, devices) })
    air.inbox.messages.length = 0
  }
}

// cost is what the whole browser has taken until now.
async function cost (processes, cdp) {
  for (let i = 0; i < 2; i++) await cdp.send('HeapProfiler.collectGarbage')
  const { processInfo } = await processes.send('SystemInfo.getProcessInfo')
  const { metrics } = await cdp.send('Performance.getMetrics')
  const of = Object.fromEntries(metrics.map(m => [m.name, m.value]))
  return {
    time: performance.now() / 1000,
    cpu: processInfo.reduce((sum, p) => sum + p.cpuTime, 0),
    heap: of.JSHeapUsedSize,
    nodes: of.Nodes
  }
}

const { access_token: token } = await post('/setup', { email: EMAIL, password: PASSWORD })
const devices = await sessions(token)
const paints = []
let browser
for (let i = 0; i < 5; i++) {
  await browser?.close()
  const opened = await signIn()
  browser = opened.browser
  paints.push(opened.paint)
}
const air = await Air.connect(AIR, 'many devices')
const stop = new AbortController()
const sending = transmit(air, devices, stop.signal)
const processes = await browser.program.newBrowserCDPSession()
const cdp = await browser.context.newCDPSession(browser.page)
await cdp.send('Performance.enable')
await sleep(WARM * 1000)
const before = await cost(processes, cdp)
await sleep(SECONDS * 1000)
const after = await cost(processes, cdp)
stop.abort()
await sending
air.close()
if (process.env.PICTURES) await browser.picture('live-50-frames')
await browser.close()
const took = after.time - before.time
console.log(JSON.stringify({
  'ms-paint': median(paints),
  '%core': 100 * (after.cpu - before.cpu) / took,
  'MB-heap': after.heap / 1e6,
  'heap-growth': after.heap / before.heap,
  'node-growth': after.nodes / before.nodes
}))
process.exit(0)
