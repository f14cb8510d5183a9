// The dialogue with the Go test that started this program: a JSON object a
// line. Each step becomes a subtest there; "ask" wants something done.
import readline from 'node:readline'
import { within } from './wait.mjs'

const say = message => process.stdout.write(JSON.stringify(message) + '\n')
const replies = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
let failed = false

// witness is set by scenarios: mark is called before each step, seen returns
// what is worth reading after a failure.
export const witness = { mark () {}, seen: () => '' }

// step runs f and reports; after a failure the others are not tried.
export async function step (name, f) {
  if (failed) return say({ step: name, skipped: true })
  const start = performance.now()
  witness.mark()
  try {
    const note = await f()
    say({ step: name, note: note ?? '', ms: Math.round(performance.now() - start) })
  } catch (error) {
    failed = true
    say({ step: name, error: `${error.stack}\n${witness.seen()}` })
  }
}

// ask has the Go test do something, for so long at most, and returns its answer.
export async function ask (what, ms = 60000) {
  say({ ask: what })
  const { value, done } = await within(replies.next(), ms, `the test's answer to "${what}"`)
  if (done) throw new Error('the test has gone away')
  const reply = JSON.parse(value)
  if (reply.error) throw new Error(`${what}: ${reply.error}`)
  return reply
}

// capture hands over a recording with the keys to it.
export function capture (file, frames, keys) { say({ capture: { file, frames, keys } }) }

// finish ends the program with the exit code that fits.
export function finish () {
  process.exit(failed ? 1 : 0)
}

process.on('unhandledRejection', error => {
  say({ step: 'unexpected', error: error?.stack ?? String(error) })
  process.exit(1)
})
