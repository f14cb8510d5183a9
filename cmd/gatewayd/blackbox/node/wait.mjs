// Waiting with a deadline and a name, so that what is missing can be read.

// PATIENCE times all deadlines: for a gateway whose own clock is slower.
const patience = +(process.env.PATIENCE ?? 1)

// within rejects when a promise takes longer than ms.
export function within (promise, ms, what) {
  ms *= patience
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// Inbox keeps all messages; waiters look for the first one that fits.
export class Inbox {
  messages = []
  waiting = new Set()
  failure = null

  push (message) {
    this.messages.push(message)
    for (const check of [...this.waiting]) check()
  }

  // fail makes all waits fail: nothing more will come.
  fail (error) {
    this.failure ??= error
    for (const check of [...this.waiting]) check()
  }

  get mark () { return this.messages.length }

  // first resolves with the first message from index since on that fits.
  first (fits, what, { since = 0, ms = 10000 } = {}) {
    let check
    const found = new Promise((resolve, reject) => {
      let next = since
      check = () => {
        for (; next < this.messages.length; next++) {
          if (fits(this.messages[next])) return resolve(this.messages[next])
        }
        if (this.failure) reject(new Error(`${what}: ${this.failure.message}`))
      }
      this.waiting.add(check)
      check()
    })
    return within(found, ms, what)
      .catch(error => {
        const seen = this.messages.slice(since).map(m => JSON.stringify(m)).join('\n  ')
        throw new Error(`${error.message}; what came instead:\n  ${seen || '(nothing)'}`)
      })
      .finally(() => this.waiting.delete(check))
  }
}
