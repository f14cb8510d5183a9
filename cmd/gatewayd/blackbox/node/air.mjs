// A client of the air protocol: the antenna of a radio that gatewayd does not
// know.
import net from 'node:net'
import readline from 'node:readline'
import { Inbox } from './wait.mjs'

export class Air {
  inbox = new Inbox()
  next = 1

  // connect says hello under a name; address is HOST:PORT.
  static async connect (address, name) {
    const air = new Air()
    const [host, port] = [address.slice(0, address.lastIndexOf(':')), Number(address.slice(address.lastIndexOf(':') + 1))]
    air.socket = net.connect({ host, port, noDelay: true })
    air.socket.on('error', e => air.inbox.fail(e))
    air.socket.on('close', () => air.inbox.fail(new Error('the air closed the connection')))
    readline.createInterface({ input: air.socket }).on('line', line => air.inbox.push(JSON.parse(line)))
    air.send({ op: 'hello', name })
    const welcome = await air.inbox.first(m => m.op === 'welcome' || m.op === 'error', 'the welcome of the air')
    if (welcome.op !== 'welcome' || welcome.version !== 1) throw new Error(`no welcome: ${JSON.stringify(welcome)}`)
    return air
  }

  send (message) { this.socket.write(JSON.stringify(message) + '\n') }

  close () { this.socket.destroy() }

  // answer waits for one of the ops about an id; an error about it fails.
  async answer (id, ops, what, ms) {
    const m = await this.inbox.first(m => (m.id === id && ops.includes(m.op)) || (m.op === 'error' && m.ref === id), what, { ms })
    if (m.op === 'error') throw new Error(`${what}: the air refused it: ${m.message}`)
    return m
  }

  // transmit starts now and resolves as soon as the times are known.
  async transmit (frame) {
    const id = `tx${this.next++}`
    this.send({ op: 'tx', id, power_dbm: 14, ...frame })
    return this.answer(id, ['tx_started'], 'the start of a transmission')
  }

  // receive resolves with the first frame that begins in the window, or null.
  async receive (window, what, ms) {
    const id = `rx${this.next++}`
    this.send({ op: 'rx', id, ...window })
    const m = await this.answer(id, ['rx_frame', 'rx_timeout'], what, ms)
    return m.op === 'rx_frame' ? m : null
  }
}

// Monitor records all that anyone transmits but beacons, which a gateway sends
// every 128 s of GPS time: they have no header and no MIC.
export class Monitor {
  static async connect (address) {
    const monitor = new Monitor()
    monitor.air = await Air.connect(address, 'monitor')
    monitor.air.send({ op: 'monitor' })
    return monitor
  }

  get frames () { return this.air.inbox.messages.filter(m => m.op === 'on_air' && !m.implicit_header) }

  close () { this.air.close() }
}
