// What a bystander hears and sees of "gatewayd demo".
import assert from 'node:assert/strict'
import { Monitor } from './air.mjs'
import { AppServer, listDevices } from './as.mjs'
import { verifyAll, writePcap } from './pcap.mjs'
import { capture, finish, step } from './steps.mjs'

const { HTTP, AIR, TOKEN, PCAP } = process.env
const DELAYS_US = [1_000_000, 2_000_000, 5_000_000, 6_000_000, 15_000_000, 16_000_000] // one device of the demo waits 15 s
const mtype = frame => Buffer.from(frame.payload, 'base64')[0] >> 5

let monitor, as

await step('connect', async () => {
  monitor = await Monitor.connect(AIR)
  as = await AppServer.connect(HTTP, TOKEN)
})

await step('three devices join, send, and are answered, within 60 s', async () => {
  const deadline = Date.now() + 60000
  const left = () => Math.max(1, deadline - Date.now())
  const sent = new Set()
  await as.inbox.first(m => m.type === 'uplink' && sent.add(m.meta.device).size >= 3, 'uplinks of three devices', { ms: left() })
  const answered = new Set()
  await as.inbox.first(m => m.type === 'downlink' && answered.add(m.meta.device).size >= 3, 'downlinks to three devices', { ms: left() })
  await monitor.air.inbox.first(m => m.op === 'on_air' && mtype(m) === 1, 'a join-accept', { ms: left() })
})

await step('every downlink starts in a receive window, 0 µs off', async () => {
  const ups = monitor.frames.filter(f => !f.iq_inverted)
  const downs = monitor.frames.filter(f => f.iq_inverted)
  assert.ok(downs.length >= 3, `${downs.length} downlinks`)
  for (const d of downs) {
    if (d.start_us < ups[0].end_us + 16_000_000 && !ups.some(u => DELAYS_US.includes(d.start_us - u.end_us))) continue // its uplink was before our time
    assert.ok(ups.some(u => DELAYS_US.includes(d.start_us - u.end_us)), `a downlink at ${d.start_us} µs belongs to no uplink: ${JSON.stringify(ups)}`)
  }
  return `${ups.length} uplinks, ${downs.length} downlinks`
})

await step('every frame on the air has a MIC that lora-packet verifies', async () => {
  const frames = monitor.frames
  writePcap(PCAP, frames)
  const devices = await listDevices(HTTP, TOKEN)
  const sessions = devices.filter(d => d.dev_addr && d.nwkskey).map(d => ({
    dev_addr: d.dev_addr, nwkskey: d.nwkskey, appskey: d.appskey ?? '0'.repeat(32), app_eui: d.app_eui ?? '', app_key: d.app_key ?? ''
  }))
  capture(PCAP, frames.length, sessions)
  return verifyAll(frames, sessions)
})

finish()
