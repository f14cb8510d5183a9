// A device of lora-packet without a radio: each line of JSON on standard input
// begins a session, asks for an uplink or brings a downlink; each line on
// standard output is the answer.
import readline from 'node:readline'
import { Session } from './session.mjs'

const hex = s => Buffer.from(s, 'hex')
let session

// begin takes the keys and the counters that come next.
function begin ({ addr, keys, up, down }) {
  session = new Session(hex(addr), Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, hex(key)])))
  Object.assign(session, { fcntUp: up, fcntDown: down })
  return {}
}

// uplink makes a frame after some that are lost.
function uplink ({ lost, payload, opts, ...rest }) {
  session.fcntUp += lost
  return session.uplink({ payload: hex(payload), opts: hex(opts), ...rest })
}

const act = { begin, uplink, downlink: ({ phy }) => session.open(hex(phy)) }

// Bytes are in hexadecimal digits.
const bytes = (_, v) => v?.type === 'Buffer' ? Buffer.from(v.data).toString('hex') : v

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { ask, ...what } = JSON.parse(line)
  process.stdout.write(JSON.stringify(act[ask](what), bytes) + '\n')
}
