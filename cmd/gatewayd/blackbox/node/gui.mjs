// The page that gatewayd serves, used as people do: in a browser, with a
// device in the air that shares no code with gatewayd.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import readline from 'node:readline'
import { Air } from './air.mjs'
import { AppServer } from './as.mjs'
import { Browser } from './browser.mjs'
import { Device } from './device.mjs'
import { ask, finish, step, witness } from './steps.mjs'
import { Inbox } from './wait.mjs'

const { HTTP, AIR } = process.env
const EMAIL = 'anna@example.org'
const PASSWORD = 'correct horse battery staple'
const byForm = { dev_eui: '70b3d57ed0060001', app_eui: '70b3d57ed0000001', app_key: '2b7e151628aed2a6abf7158809cf4f3c' }
const byFile = { dev_eui: '70b3d57ed0060002', app_eui: '70b3d57ed0000001', app_key: '603deb1015ca71be2b73aef0857d7781' }
const group = '70b3d57ed0061000'
const pages = ['live', 'timing', 'devices', 'devices/new', 'devices/group', 'devices/import', `devices/${byForm.dev_eui}`,
  'access/keys', 'access/filters', 'access/connections', 'access/users', 'radio', 'system', 'system/config', 'system/log', 'system/audit', 'system/backup', 'system/software']

let browser, page, air, device, as, terminal
let since = 0
witness.mark = () => { since = as?.mark ?? 0 }
witness.seen = () => [...browser?.complaints ?? [], ...as?.inbox.messages.slice(since).map(m => JSON.stringify(m)) ?? []].join('\n')

// paste runs the line that the page shows, as somebody in a terminal would,
// and keeps what it prints.
function paste (line) {
  const [, url] = line.match(/^npx wscat -c "(.*)"$/)
  const program = spawn(process.execPath, ['node_modules/wscat/bin/wscat', '-c', url], { stdio: ['pipe', 'pipe', 'inherit'] })
  const inbox = new Inbox()
  readline.createInterface({ input: program.stdout }).on('line', text => inbox.push(text))
  process.on('exit', () => program.kill())
  program.on('exit', code => inbox.fail(new Error(`wscat ended with ${code}`)))
  return { inbox, end: () => program.kill() }
}

// inAWindow is the frame in RX1 or, where the machine was too busy for it, RX2.
const inAWindow = async x => await x.rx1 ?? await x.rx2

// join tries again where a busy machine has missed both windows.
async function join (d) {
  for (let tries = 0; tries < 4; tries++) {
    const frame = await inAWindow(await d.joinRequest())
    if (frame) return d.accept(frame)
  }
  assert.fail(`${d.devEUI} was answered in no window`)
}

const button = name => page.getByRole('button', { name, exact: true })
const heading = name => page.getByRole('heading', { name, level: 1 })

await step('the page comes in less than 150 KiB and asks who looks after the gateway', async () => {
  browser = await Browser.open(HTTP)
  page = browser.page
  let bytes = 0
  const cdp = await browser.context.newCDPSession(page)
  await cdp.send('Network.enable')
  cdp.on('Network.loadingFinished', e => { bytes += e.encodedDataLength })
  await page.goto(HTTP)
  await button('Begin').waitFor()
  assert.ok(bytes > 10_000 && bytes < 150 * 1024, `${bytes} bytes`)
  await browser.accessible('the first start')
  return `${(bytes / 1024).toFixed(1)} KiB`
})

await step('the first visitor becomes the administrator; two passwords that differ are told', async () => {
  await page.getByLabel('Email').fill(EMAIL)
  await page.getByLabel('Password', { exact: false }).first().fill(PASSWORD)
  await page.getByLabel('The password again').fill('something else')
  await button('Begin').click()
  await page.getByText('The two passwords differ.').waitFor()
  await page.getByLabel('The password again').fill(PASSWORD)
  await browser.picture('first-start')
  await button('Begin').click()
  await heading('Welcome to gatewayd').waitFor()
  await page.getByText('EU868').first().waitFor()
  const cookie = (await browser.context.cookies()).find(c => c.name === 'session_token')
  assert.ok(cookie?.httpOnly, 'the cookie is for HTTP only')
  assert.equal(cookie.sameSite, 'Strict')
})

await step('the first key opens the Data API with the line that is shown', async () => {
  await button('Go on').click()
  await page.getByLabel('What is it for?').fill('the black box')
  await button('Make the key').click()
  const token = await page.locator('#token').innerText()
  assert.match(token, /^[0-9a-f]{32}$/)
  const line = await page.locator('#wscat').innerText()
  assert.match(line, new RegExp(`^npx wscat -c "ws://.*${token}`))
  terminal = paste(line)
  await browser.accessible('the welcome')
  await browser.picture('welcome')
  as = await AppServer.connect(HTTP, token)
  await browser.goto('access/keys')
  await page.getByText('the black box').waitFor()
  assert.ok(!(await page.content()).includes(token), 'the token is shown once')
})

await step('who signed out comes in with the right password only', async () => {
  await button('Sign out').click()
  await page.getByLabel('Email').fill(EMAIL)
  await page.getByLabel('Password').fill('not the password')
  await button('Sign in').click()
  await page.getByRole('alert').waitFor()
  await browser.accessible('the sign-in')
  await page.getByLabel('Password').fill(PASSWORD)
  await button('Sign in').click()
  await page.getByRole('navigation', { name: 'Pages' }).waitFor()
})

// stored is the only thing of a resource with this description, over REST.
async function stored (resource, description) {
  const response = await page.request.get(`${HTTP}/api/v1.0/${resource}`)
  const found = (await response.json())[resource].filter(x => x.description === description)
  assert.equal(found.length, 1, `${resource} described "${description}"`)
  return found[0]
}

// change opens the form of the thing in a table's row.
async function change (what) {
  await page.getByRole('row').filter({ hasText: what }).getByRole('button', { name: 'Change' }).click()
  return page.getByRole('dialog')
}

// saved sends the form, and waits until it has gone.
async function saved (form) {
  await form.getByRole('button', { name: 'Save' }).click()
  await form.waitFor({ state: 'detached' })
}

await step('keys, filters and users are changed; a wrong value is told beside its field', async () => {
  await browser.goto('access/keys')
  await page.getByLabel('What is it for?').fill('weather')
  await button('Make the key').click()
  await page.locator('#token').waitFor()
  await page.keyboard.press('Escape')
  const before = await stored('keys', 'weather')
  let form = await change('weather')
  await form.getByLabel('What is it for?').fill('the cellar')
  await form.getByLabel('Devices: list').check()
  await form.getByText('Confine it').click()
  await form.getByLabel('DevEUIs').fill('no EUI')
  await form.getByRole('button', { name: 'Save' }).click()
  await form.getByText('scope.devices: ').waitFor()
  assert.equal(await form.getByLabel('scope.devices: ').inputValue(), 'no EUI', 'the error stands at its field')
  await browser.accessible('a form with an error')
  await browser.picture('key-change')
  await page.setViewportSize({ width: 390, height: 844 })
  await browser.fits('a form on a phone')
  await browser.picture('key-change-phone')
  await page.setViewportSize({ width: 1280, height: 900 })
  await form.getByLabel('scope.devices: ').fill(byForm.dev_eui)
  await saved(form)
  const key = await stored('keys', 'the cellar')
  assert.equal(key.id, before.id)
  assert.deepEqual(key.rights, ['data', 'devices'])
  assert.deepEqual(key.scope, { applications: '', devices: byForm.dev_eui, gateways: '', tags: '', types: '' })

  await browser.goto('access/filters')
  await page.getByLabel('Description').fill('all of it')
  await page.getByLabel('Tags').fill('cellar')
  await button('Make the filter').click()
  form = await change('all of it')
  await form.getByLabel('Description').fill('joins')
  await form.getByLabel('Types').fill('join_request')
  await form.getByLabel('Tags').fill('')
  await saved(form)
  const filter = await stored('filters', 'joins')
  assert.deepEqual([filter.types, filter.tags], ['join_request', ''])
  await page.getByRole('cell', { name: 'types: join_request', exact: true }).waitFor()

  await browser.goto('access/users')
  form = await change(EMAIL)
  await form.getByLabel('Name').fill('Anna')
  await saved(form)
  await page.getByRole('cell', { name: 'Anna', exact: true }).waitFor()
})

await step("a connection's secret stays, but goes to no other server", async () => {
  await browser.goto('access/connections')
  await page.getByLabel('URL').fill('http://127.0.0.1:9/{device}')
  await page.getByLabel('Authorization header').fill('Bearer secret')
  await page.getByLabel('Description').fill('the weather service')
  await button('Connect').click()
  let form = await change('the weather service')
  await form.getByLabel('copies that other gateways heard').check()
  await saved(form)
  const connection = await stored('connections', 'the weather service')
  assert.deepEqual([connection.duplicate, connection.radio, connection.authorization], [true, true, '(secret)'])
  form = await change('the weather service')
  await form.getByLabel('URL').fill('http://127.0.0.2:9/{device}')
  await form.getByRole('button', { name: 'Save' }).click()
  await form.getByText('authorization: give it again').waitFor()
  await browser.picture('connection-change')
  await form.getByLabel('Authorization header').fill('Bearer other')
  await saved(form)
  assert.equal((await stored('connections', 'the weather service')).url, 'http://127.0.0.2:9/{device}')
  await button('Delete').click()
  await button('Yes, delete').click()
  await page.getByText('None. The gateway can').waitFor()
})

await step('a form with a wrong DevEUI says so; the right one makes a device that joins', async () => {
  await browser.goto('devices/new')
  await page.getByLabel('DevEUI', { exact: false }).first().waitFor()
  await page.locator('[name=dev_eui]').fill('70b3d5')
  await page.locator('[name=app_eui]').fill(byForm.app_eui)
  await page.locator('[name=app_key]').fill(byForm.app_key)
  await button('Add the device').click()
  await page.getByText('16 hex digits are wanted, here are 6 characters').waitFor()
  await page.getByLabel('Text of the QR code').fill(`LW:D0:${byForm.app_eui}:${byForm.dev_eui}:00010001`.toUpperCase())
  assert.equal(await page.locator('[name=dev_eui]').inputValue(), byForm.dev_eui)
  await button('Add the device').click()
  await heading(byForm.dev_eui).waitFor()
  air = await Air.connect(AIR, 'antenna of the test')
  device = new Device(air, byForm)
  await join(device)
})

await step('the live view shows its frames, and everything about one', async () => {
  await browser.goto('live')
  const x = await device.uplink('from the cellar')
  const line = page.getByRole('row').filter({ hasText: 'from the cellar' })
  await line.first().click()
  const detail = page.getByRole('complementary', { name: 'The frame' })
  await detail.getByRole('link', { name: byForm.dev_eui }).waitFor()
  await detail.getByText('0000  66 72 6f 6d 20 74 68 65').waitFor() // the hex dump
  await detail.getByRole('heading', { name: 'What happened to it' }).waitFor()
  await terminal.inbox.first(text => text.includes('"uplink"') && text.includes(byForm.dev_eui), 'the uplink in wscat')
  terminal.end()
  await x.rx2 // what is claimed now would still go out after this uplink
  assert.equal(await page.getByRole('row').filter({ hasText: 'foreign' }).count(), 0, 'own frames are no strangers')
})

await step("frames of strangers are shown, and those that collide are marked", async () => {
  const stranger = (byte, size) => device.uplinkFrame(Buffer.concat([Buffer.from([0x40, byte, 2, 3, 4, 0, 1, 0, 1]), Buffer.alloc(size)]), 867_100_000)
  const { end_us: end } = await air.transmit(stranger(0xaa, 4))
  const line = page.getByRole('row').filter({ hasText: '040302aa' })
  await line.filter({ hasText: 'foreign' }).waitFor()
  assert.equal(await line.filter({ hasText: 'collided' }).count(), 0, 'it was alone on its channel')
  // A long one, hit in its payload by one that is stronger.
  air.send({ op: 'tx', id: 'weak', power_dbm: 4, ...stranger(0xbb, 200), at_us: end + 3_000_000 })
  air.send({ op: 'tx', id: 'strong', power_dbm: 14, ...stranger(0xcc, 4), at_us: end + 3_150_000 })
  await page.getByRole('row').filter({ hasText: 'collided' }).first().waitFor()
  await page.getByRole('row').filter({ hasText: 'damaged' }).first().waitFor()
  await page.getByLabel('What is shown').selectOption('own')
  await line.waitFor({ state: 'detached' })
})

await step('a downlink by hand is heard by the device', async () => {
  await browser.goto(`devices/${byForm.dev_eui}`)
  for (let tries = 0; tries < 4; tries++) {
    await page.locator('[name=downlink]').fill('open the window')
    await button('Send').click()
    await page.getByText('it waits for its window').waitFor()
    const frame = await inAWindow(await device.uplink('now?'))
    if (!frame) continue // a busy machine has missed both
    assert.equal(device.open(frame).text, 'open the window')
    return page.getByText(/^on the air in RX[12]/).waitFor()
  }
  assert.fail('the device heard nothing in any window')
})

await step('the timing view has its microsecond and its margin', async () => {
  await browser.goto('timing')
  const line = page.getByRole('row').filter({ hasText: /RX[12].*0 µs/ }).first()
  const text = await line.innerText()
  assert.match(text, /0 µs/, text)
  assert.match(text, /\d+(\.\d+)? ms/, text)
})

await step('a file of devices is tried first, then taken, and its device joins', async () => {
  await browser.goto('devices/import')
  const csv = `dev_eui,app_eui,activation,app_key\n${byFile.dev_eui},${byFile.app_eui},OTAA,${byFile.app_key}\n`
  await page.getByLabel('File of devices').setInputFiles({ name: 'devices.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) })
  await button('Try it (dry run)').click()
  await page.getByRole('heading', { name: 'What would happen' }).waitFor()
  await button('Import').click()
  await page.getByRole('heading', { name: 'What happened' }).waitFor()
  await page.getByText('1 created').waitFor()
  const second = new Device(air, byFile)
  await join(second)
})

await step('a multicast group is made, found in the list, and sent to', async () => {
  await browser.goto('devices/group')
  await page.locator('[name=dev_eui]').fill(group)
  await button('Add the group').click()
  await heading(group).waitFor()
  await browser.goto('devices')
  await page.getByLabel('What is shown').selectOption('groups')
  await page.getByRole('row').filter({ hasText: byForm.dev_eui }).waitFor({ state: 'detached' })
  await page.getByRole('link', { name: group }).click()
  for (let tries = 0; tries < 4; tries++) {
    await page.locator('[name=downlink]').fill('all together')
    await button('Send').click()
    const told = page.getByText(/^on the air in ClassC|was not sent/)
    await told.waitFor()
    if ((await told.innerText()).startsWith('on the air')) return
  }
  assert.fail('nothing was sent to the group')
})

await step('an upload that hangs is cancelled', async () => {
  await page.route('**/devices/import*', () => {}) // never answered
  await browser.goto('devices/import')
  await page.getByLabel('File of devices').setInputFiles({ name: 'devices.csv', mimeType: 'text/csv', buffer: Buffer.from('dev_eui\n') })
  await button('Try it (dry run)').click()
  await page.getByRole('progressbar', { name: 'Importing' }).waitFor()
  await button('Cancel').click()
  await page.getByRole('alert').filter({ hasText: 'Cancelled' }).waitFor()
  await page.unrouteAll()
})

// The simulated board has no SX1261, so what the gateway says of a scan is
// made up here.
await step('a spectral scan shows how far it is, and is cancelled', async () => {
  const levels = [{ level: -90, count: 100 }, { level: -110, count: 1900 }]
  const job = { id: '1', kind: 'radio scan', state: 'running', done: 2, of: 10, started: 0, ended: null, error: '', result: [867.1, 867.2].map(freq => ({ freq, samples: 2000, levels })) }
  await page.route('**/api/v1.0/radio', async route => {
    const response = await route.fetch()
    const { radio } = await response.json()
    await route.fulfill({ response, json: { radio: { ...radio, can_scan: true } } })
  })
  await page.route('**/api/v1.0/radio/scan', route => route.fulfill({ status: 202, json: { job } }))
  await page.route('**/api/v1.0/jobs/1', route => {
    if (route.request().method() !== 'DELETE') return route.fulfill({ json: { job } })
    job.state = 'cancelled'
    return route.fulfill({ status: 204 })
  })
  await browser.goto('radio')
  await button('Scan').click()
  await page.getByRole('img', { name: /^Noise by frequency/ }).waitFor()
  const progress = page.getByRole('progressbar', { name: 'Scanning' })
  assert.equal(await progress.getAttribute('value'), '2')
  await button('Cancel').click()
  await progress.waitFor({ state: 'detached' })
  await page.unrouteAll()
})

// A simulated concentrator never has the host's clock set, so what the gateway
// says of its clock is replaced here.
await step('a clock that nobody keeps is set from the browser', async () => {
  await page.route('**/api/v1.0/system', async route => {
    const response = await route.fetch()
    const { system } = await response.json()
    Object.assign(system.time, { now: system.time.now - 3600, quality: 'host', settable: true })
    await route.fulfill({ response, json: { system } })
  })
  const request = page.waitForRequest('**/api/v1.0/system/time')
  await browser.goto('system')
  await page.getByText('60.0 min behind this computer').waitFor()
  await button("Take this computer's time").click()
  const { time } = (await request).postDataJSON()
  assert.ok(Math.abs(time - Date.now() / 1000) < 60, `${time}`)
  await page.unrouteAll()
})

await step('a backup is saved, and opens with its passphrase alone', async () => {
  await browser.goto('system/backup')
  await page.getByLabel('Passphrase', { exact: true }).fill('a long passphrase')
  await page.getByLabel('The passphrase again').fill('a long passphrase')
  const saved = page.waitForEvent('download')
  await button('Save the backup').click()
  const path = await (await saved).path()
  await page.getByLabel('Backup file').setInputFiles(path)
  await page.getByLabel('Its passphrase').fill('another one')
  await button('Look into it').click()
  await page.getByRole('alert').waitFor()
  await page.getByLabel('Its passphrase').fill('a long passphrase')
  await button('Look into it').click()
  await page.getByText('"devices": 3').waitFor()
})

await step('the page lives on through a restart of the daemon', async () => {
  await browser.goto('live')
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor()
  as.close()
  await ask('restart')
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor()
  air = await Air.connect(AIR, 'antenna of the test')
  device.air = air
  await device.uplink('still here')
  await page.getByRole('row').filter({ hasText: 'still here' }).first().waitFor()
})

await step('a hidden tab closes its connections, and fetches what it missed', async () => {
  const hide = hidden => page.evaluate(h => {
    Object.defineProperty(document, 'hidden', { value: h, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
  }, hidden)
  await hide(true)
  await page.getByRole('status').filter({ hasText: 'away' }).waitFor()
  await device.uplink('while away')
  await hide(false)
  await page.getByRole('row').filter({ hasText: 'while away' }).first().waitFor()
})

// Each page is opened once and looked at in light, in dark and as on a phone.
for (const name of pages) {
  await step(`${name}: nothing serious for axe-core, fits on a phone`, async () => {
    const picture = name.replace(byForm.dev_eui, 'one').replaceAll('/', '-')
    await page.setViewportSize({ width: 1280, height: 900 })
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
    await browser.goto(name)
    await page.locator('main .card').first().waitFor()
    await browser.accessible(`${name}, light`)
    await browser.picture(`${picture}-light`)
    await page.emulateMedia({ colorScheme: 'dark' })
    await browser.accessible(`${name}, dark`, ['color-contrast'])
    await browser.picture(`${picture}-dark`)
    await page.emulateMedia({ colorScheme: 'light' })
    await page.setViewportSize({ width: 390, height: 844 })
    await browser.fits(name)
    await browser.picture(`${picture}-phone`)
  })
}

await step('the browser had nothing to complain about', async () => {
  assert.deepEqual(browser.complaints, [])
  await browser.close()
})

finish()
