// An application server that answers each uplink within the receive window
// that it opened:
//
//     node answer.mjs "ws://127.0.0.1:8080/api/v1.0/data?access_token=TOKEN"
//
// With Node.js 22 it needs nothing else; older ones need "npm install ws". The
// function serve runs in browsers, too.

// serve connects, and connects again when the connection breaks: what was
// missed meanwhile comes out of the server's history.
export function serve (url, tell, WebSocket = globalThis.WebSocket) {
  const uplinks = new Map() // counter of the last one, by device
  const seen = new Set() // packet_ids: the history may repeat what came already
  let newest = 0 // everything up to this time has come
  let replaying
  let pause = 100
  let closed = false
  let socket

  function connect () {
    const address = new URL(url)
    address.searchParams.set('history_end', 1)
    if (newest) address.searchParams.set('from_unixtime', (newest - 5).toFixed(6))
    replaying = true
    socket = new WebSocket(address.href)
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      pause = 100
      const { packet_id: id, time, history } = message.meta
      if (message.params.code === 'history_end') replaying = false
      if (history || !replaying) newest = Math.max(newest, time) // new messages overtake replayed ones
      if (id && seen.has(id)) return
      if (id) seen.add(id)
      if (seen.size > 10000) seen.delete(seen.values().next().value)
      handle(message)
    }
    socket.onclose = ({ code, reason }) => {
      if (closed) return
      tell(`connection closed: ${code} ${reason}`)
      setTimeout(connect, pause)
      pause = Math.min(2 * pause, 30000)
    }
    socket.onerror = () => {} // onclose follows
  }

  function handle ({ type, meta, params }) {
    switch (type) {
      case 'uplink':
        uplinks.set(meta.device, params.counter_up)
        tell(`uplink ${meta.device} #${params.counter_up} port ${params.port}`)
        break
      case 'downlink_request':
        if (meta.history) return // its window is over
        socket.send(JSON.stringify({ type: 'downlink_response', meta, params: { payload: btoa(`got ${uplinks.get(meta.device)}`), port: 10 } }))
        break
      case 'downlink':
        tell(`downlink ${meta.device} ${params.timing.window} "${atob(params.payload ?? '')}", armed ${(params.timing.margin * 1e3).toFixed(1)} ms before its start`)
        break
      case 'error':
        tell(`error ${params.message}`)
    }
  }

  connect()
  return () => { closed = true; socket.close() }
}

if (globalThis.process?.argv[1]?.endsWith('answer.mjs')) {
  if (process.argv.length !== 3) {
    console.error('usage: node answer.mjs URL, as gatewayd demo prints it')
    process.exit(2)
  }
  serve(process.argv[2], console.log, globalThis.WebSocket ?? (await import('ws')).default)
}
