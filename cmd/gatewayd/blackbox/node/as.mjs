// An application server: a WebSocket client of the Data API, and a client of
// the Management API.
import WebSocket from 'ws'
import { checkMessage } from './schema.mjs'
import { Inbox, within } from './wait.mjs'

export class AppServer {
  inbox = new Inbox()

  static async connect (http, token) {
    const as = new AppServer()
    const types = 'uplink,downlink,downlink_request,join_request,status_response,error,warning,info'
    const url = `${http.replace('http', 'ws')}/api/v1.0/data?access_token=${token}&types=${types}&radio=1&lora=1`
    as.ws = new WebSocket(url, { handshakeTimeout: 10000 })
    as.ws.on('message', data => as.inbox.push(checkMessage(JSON.parse(data))))
    as.ws.on('close', (code, why) => as.inbox.fail(new Error(`the Data API closed the connection: ${code} ${why}`)))
    await within(new Promise((resolve, reject) => {
      as.ws.on('open', resolve)
      as.ws.on('unexpected-response', (request, response) => reject(new Error(`the Data API answered ${response.statusCode}`)))
      as.ws.on('error', reject)
    }), 10000, 'the WebSocket')
    as.ws.on('error', e => as.inbox.fail(e))
    return as
  }

  get mark () { return this.inbox.mark }

  // expect resolves with the first message of a type about a device that came
  // after a mark.
  expect (type, device, since, { fits = () => true, ms } = {}) {
    const types = [type].flat()
    return this.inbox.first(m => types.includes(m.type) && m.meta?.device === device && fits(m), `a message ${types.join(' or ')} about ${device}`, { since, ms })
  }

  send (type, meta, params) { this.ws.send(JSON.stringify({ type, meta, params })) }

  // answer responds to a downlink_request.
  answer (request, text, more = {}) {
    this.send('downlink_response', request.meta, { payload: Buffer.from(text).toString('base64'), port: 10, ...more })
  }

  close () { this.ws.terminate() }
}

// createDevice registers a device.
export async function createDevice (http, token, device) {
  const response = await fetch(`${http}/api/v1.0/devices?access_token=${token}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(device),
    signal: AbortSignal.timeout(10000)
  })
  const body = await response.text()
  if (response.status !== 201) throw new Error(`POST /devices answered ${response.status}: ${body}`)
  return JSON.parse(body).device
}

// listDevices returns all registered devices.
export async function listDevices (http, token) {
  const response = await fetch(`${http}/api/v1.0/devices?access_token=${token}&limit=300`, { signal: AbortSignal.timeout(10000) })
  if (response.status !== 200) throw new Error(`GET /devices answered ${response.status}: ${await response.text()}`)
  return (await response.json()).devices
}
