// node main.mjs ADDRESS FILE: the device whose keys are in FILE, at the air on
// ADDRESS, which it waits for. Whoever closes the connection cuts its power; it
// starts anew until there is no air any more. SIGHUP is a power cut, too.
import fs from 'node:fs'
import { Device } from './device.mjs'
import { Radio } from './radio.mjs'

const [address, file] = process.argv.slice(2)
const keys = JSON.parse(fs.readFileSync(file))
const memory = { devNonce: 1, joinNonce: -1, chance: 1 }

let radio
let known = false // the air was there
process.on('SIGHUP', () => radio?.socket.destroy())

for (;;) {
  try {
    radio = await Radio.connect(address, keys.dev_eui)
  } catch (error) {
    if (known && ['ECONNREFUSED', 'ENOENT'].includes(error.code)) break
    await new Promise(resolve => setTimeout(resolve, 100))
    continue
  }
  if (!known) console.log('connected')
  known = true
  try {
    await new Device(radio, keys, memory).run()
  } catch (error) {
    if (!radio.failure) throw error
  }
  radio.socket.destroy()
}
