// The radio of a device: a client of the air protocol that has no clock but
// the air's. It says "idle" whenever it waits, so that it lives in virtual
// time as well as in real time (docs/air.md).
import net from 'node:net'
import readline from 'node:readline'

export class Radio {
  seen = 0
  next = 1
  waiting = new Map() // by id, what is done with the answer
  alarms = [] // { at, done }, those of this device
  now = 0 // the last time that the air told

  // connect resolves when the air has said welcome. address is HOST:PORT or
  // unix:PATH.
  static connect (address, name) {
    return new Promise((resolve, reject) => {
      const radio = new Radio()
      const colon = address.lastIndexOf(':')
      const to = address.startsWith('unix:') ? { path: address.slice(5) } : { host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true }
      radio.fail = reject
      radio.waiting.set('welcome', () => resolve(radio))
      radio.socket = net.connect(to)
      radio.socket.on('error', error => radio.lost(error))
      radio.socket.on('close', () => radio.lost(new Error('the air has closed the connection')))
      readline.createInterface({ input: radio.socket }).on('line', line => radio.heard(line)).on('error', () => {})
      radio.send({ op: 'hello', name })
    })
  }

  send (message) { if (!this.failure) this.socket.write(JSON.stringify(message) + '\n') }

  // lost ends everything that waits, for good.
  lost (error) {
    this.failure ??= error
    this.fail(this.failure)
    for (const done of this.waiting.values()) done({ op: 'lost' })
    for (const alarm of this.alarms) alarm.done()
  }

  heard (line) {
    const m = JSON.parse(line)
    this.seen++
    this.now = Math.max(this.now, m.now_us ?? m.end_us ?? 0)
    if (m.op === 'time') this.ring()
    else this.waiting.get(m.op === 'welcome' ? m.op : m.op + (m.id ?? m.ref))?.(m)
    setImmediate(() => this.idle()) // when everything that the line set off waits again
  }

  // idle says that the device waits, and until when.
  idle () {
    const at = Math.min(...this.alarms.map(a => a.at))
    this.send({ op: 'idle', seen: this.seen, ...(Number.isFinite(at) && { until_us: at }) })
  }

  ring () {
    const due = this.alarms.filter(a => a.at <= this.now)
    this.alarms = this.alarms.filter(a => a.at > this.now)
    for (const alarm of due) alarm.done()
  }

  // answer waits for one of the ops about an id.
  answer (id, ...ops) {
    return new Promise((resolve, reject) => {
      if (this.failure) return reject(this.failure)
      const keys = [...ops, 'error'].map(op => op + id)
      const done = m => {
        for (const key of keys) this.waiting.delete(key)
        if (m.op === 'lost') reject(this.failure)
        else if (m.op === 'error') reject(new Error(`the air: ${m.message}`))
        else resolve(m)
      }
      for (const key of keys) this.waiting.set(key, done)
    })
  }

  // until resolves at an air time.
  async until (at) {
    if (at > this.now) await new Promise(resolve => { this.alarms.push({ at: Math.ceil(at), done: resolve }) })
    if (this.failure) throw this.failure
  }

  // transmit resolves with start_us and end_us when the frame has been sent.
  async transmit (frame) {
    const id = `tx${this.next++}`
    this.send({ op: 'tx', id, ...frame })
    const times = await this.answer(id, 'tx_started')
    await this.answer(id, 'tx_done')
    return times
  }

  // receive resolves with the first frame of a window, or null.
  async receive (window) {
    const id = `rx${this.next++}`
    this.send({ op: 'rx', id, ...window })
    const m = await this.answer(id, 'rx_frame', 'rx_timeout')
    this.now = Math.max(this.now, window.until_us)
    return m.op === 'rx_frame' ? m : null
  }
}
