// docs/examples/answer.mjs with the package ws, or in a page of Chromium:
//   node example.mjs URL [browser]
import fs from 'node:fs'
import WebSocket from 'ws'
import { serve } from '../../../../docs/examples/answer.mjs'
import { Browser } from './browser.mjs'

const [url, where] = process.argv.slice(2)
if (where === 'browser') {
  const { page } = await Browser.open('') // about:blank: a foreign origin
  await page.exposeFunction('tell', line => console.log(line))
  const source = fs.readFileSync(new URL('../../../../docs/examples/answer.mjs', import.meta.url), 'utf8')
  await page.addScriptTag({ type: 'module', content: `${source}\nserve(${JSON.stringify(url)}, tell)` })
} else {
  serve(url, console.log, WebSocket)
}
