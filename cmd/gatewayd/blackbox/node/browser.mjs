// A real browser, steered from outside: Debian's Chromium.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export class Browser {
  complaints = [] // what the console says that it shouldn't

  static async open (base, options = {}) {
    const b = new Browser()
    b.base = base
    b.program = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: flags })
    b.context = await b.program.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options })
    b.page = await b.context.newPage()
    b.page.setDefaultTimeout(15000)
    b.page.on('pageerror', e => b.complaints.push(`an error in the page: ${e.message}`))
    b.page.on('console', m => { if (/Content.Security.Policy/i.test(m.text())) b.complaints.push(m.text()) })
    b.page.on('request', r => { if (!r.url().startsWith(base) && !/^(data|blob|ws):/.test(r.url())) b.complaints.push(`a request to ${r.url()}`) })
    return b
  }

  goto (route) { return this.page.goto(`${this.base}/#/${route}`) }

  // accessible asserts that axe-core finds nothing serious on the page, by all
  // rules or by those that are named.
  async accessible (what, rules) {
    await this.page.evaluate(axe)
    const { violations } = await this.page.evaluate(runOnly => globalThis.axe.run(runOnly ? { runOnly } : {}), rules)
    const bad = violations.filter(v => v.impact === 'serious' || v.impact === 'critical')
      .map(v => `${v.id}: ${v.help}\n    ${v.nodes.slice(0, 3).map(n => n.html).join('\n    ')}`)
    assert.deepEqual(bad, [], `what axe-core finds on ${what}`)
  }

  // fits asserts that nothing is wider than the screen.
  async fits (what) {
    const over = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    assert.ok(over <= 0, `${what} is ${over} px wider than the screen`)
  }

  async picture (name) {
    if (process.env.PICTURES) await this.page.screenshot({ path: `${process.env.PICTURES}/${name}.png` })
  }

  close () { return this.program.close() }
}
