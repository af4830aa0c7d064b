import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { temporaryFolder } from '../core/testing/console.ts'
import { keyFile } from './key-file.ts'
import { type BrowserShell, startBrowserShell } from './shell.ts'
import { systemBrowser } from './system-browser.ts'
import { longestFrame } from './wire.ts'

const folder = temporaryFolder()
let shell: BrowserShell
let base: URL
let cookie: string

beforeAll(async () => {
  const renderer = join(folder.path, 'renderer')
  mkdirSync(join(renderer, 'assets'), { recursive: true })
  writeFileSync(join(renderer, 'index.html'), '<!doctype html><html><head><title>C</title></head><body></body></html>')
  writeFileSync(join(renderer, 'assets/index-1.js'), 'export {}')
  writeFileSync(join(folder.path, 'secret.js'), 'secret')
  symlinkSync(join(folder.path, 'secret.js'), join(renderer, 'assets/link.js'))
  shell = await startBrowserShell({ folder: join(folder.path, 'console'), renderer })
  base = new URL('/', shell.url)
  cookie = (await get(new URL(shell.url).search)).cookie
})
afterAll(async () => {
  await shell.stop()
  folder[Symbol.dispose]()
})

/** Raw, since fetch won't send a Host or a path as they are. */
async function get(path: string, headers: Record<string, string> = {}, method = 'GET') {
  const asked = request({
    host: base.hostname,
    port: base.port,
    path: path.startsWith('?') ? `/${path}` : path,
    method,
    headers,
  })
  asked.end()
  const [answer] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
  const set = answer.headers['set-cookie']?.[0] ?? ''
  return {
    status: answer.statusCode,
    headers: answer.headers,
    set,
    cookie: set.split(';')[0]!,
    body: await text(answer),
  }
}

test('the token in the address becomes a cookie that no script and no other site can use', async () => {
  const { status, headers, set } = await get(new URL(shell.url).search)
  expect(status).toBe(303)
  expect(headers.location).toBe('/')
  expect(set).toMatch(/; HttpOnly; SameSite=Strict$/)
  expect(set).not.toContain(new URL(shell.url).searchParams.get('token'))
})

test.each([
  ['no cookie', '/', {}, 403],
  ['a guessed cookie', '/', { cookie: 'countersign=1' }, 403],
  ['a guessed token', '/?token=guess', {}, 403],
  ['an empty token', '/?token=', {}, 403],
  ['no cookie for the client', '/countersign-client.js', {}, 403],
  ['no cookie for a tab', '/open', {}, 403],
])('%s is refused', async (_what, path, headers, status) => {
  const answer = await get(path, headers)
  expect(answer.status).toBe(status)
  expect(answer.body.length).toBeGreaterThan(20)
})

test.each(['evil.example', 'evil.example:80', '127.0.0.1', '127.0.0.1.evil.example'])(
  'a Host of %s is refused, cookie or not (DNS rebinding)',
  async (host) => {
    expect((await get('/', { cookie, host })).status).toBe(421)
  },
)

test('every page carries the security headers, and the client before the renderer', async () => {
  const { status, headers, body } = await get('/queue/ap_1', { cookie })
  expect(status).toBe(200)
  expect(headers['content-security-policy']).toContain("script-src 'self';")
  expect(headers['x-frame-options']).toBe('DENY')
  expect(headers['cross-origin-opener-policy']).toBe('same-origin')
  expect(body).toContain('<script src="/countersign-client.js"></script>')
  const client = await get('/countersign-client.js', { cookie })
  expect(client.headers['content-type']).toContain('text/javascript')
  expect(() => new Function(client.body)).not.toThrow()
})

test.each([
  ['/assets/index-1.js', 200],
  ['/assets/link.js', 404],
  ['/../secret.js', 404],
  ['/..%2fsecret.js', 404],
  ['/%2e%2e/secret.js', 404],
  ['/assets/..%2f..%2fsecret.js', 404],
  ['/assets/..%5c..%5csecret.js', 404],
  ['/assets/index-1.js%00.html', 404],
  ['/%', 404],
  ['/index-1.exe', 404],
])('%s is answered with %d, and nothing outside is read', async (path, status) => {
  const answer = await get(path, { cookie })
  expect(answer.status).toBe(status)
  expect(answer.body).not.toContain('secret')
})

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is refused', async (method) => {
  expect((await get('/', { cookie }, method)).status).toBe(405)
})

function connect(headers: Record<string, string>, path = '/console'): Promise<WebSocket | number> {
  const socket = new WebSocket(`ws://${base.host}${path}`, { headers })
  return new Promise((resolve) => {
    socket.on('open', () => resolve(socket))
    socket.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode!))
    socket.on('error', () => {})
  })
}

test.each([
  ['no cookie', () => ({ origin: base.origin })],
  ['no Origin', () => ({ cookie })],
  ['another site’s Origin', () => ({ cookie, origin: 'https://evil.example' })],
  ['another port’s Origin', () => ({ cookie, origin: 'http://127.0.0.1:1' })],
  ['Origin null', () => ({ cookie, origin: 'null' })],
  ['another Host', () => ({ cookie, origin: 'http://evil.example', host: 'evil.example' })],
])('a WebSocket with %s is refused', async (_what, headers) => {
  expect(await connect(headers())).toBe(403)
})

test.each([
  ['no JSON', '{', 1008],
  ['no call', '{"id":1}', 1008],
  ['more than a call', '{"id":1,"call":"snapshot","input":{},"extra":1}', 1008],
  ['bytes', Buffer.from('{"id":1,"call":"snapshot","input":{}}'), 1008],
  ['too much', 'x'.repeat(longestFrame + 1), 1009],
])('a frame with %s ends the connection', async (_what, frame, code) => {
  const socket = (await connect({ cookie, origin: base.origin })) as WebSocket
  socket.send(frame)
  expect((await once(socket, 'close'))[0]).toBe(code)
})

test('a page may have 64 calls waiting, and is told when it has more', async () => {
  const socket = (await connect({ cookie, origin: base.origin })) as WebSocket
  const answers: { id: number; error?: { code: string } }[] = []
  const all = new Promise<void>((resolve) => {
    socket.on('message', (bytes) => {
      const message = JSON.parse(String(bytes))
      if (message.id) answers.push(message)
      if (answers.length === 200) resolve()
    })
  })
  for (let id = 1; id <= 200; id++) socket.send(JSON.stringify({ id, call: 'snapshot', input: {} }))
  await all
  expect(new Set(answers.map(({ id }) => id)).size).toBe(200)
  for (const { error } of answers) expect(error === undefined || error.code === 'busy').toBe(true)
  socket.terminate()
})

test('the key file is for this account only, holds no secret in words, and outlives a start', async () => {
  using own = temporaryFolder()
  const path = join(own.path, 'deep/keys.json')
  const keys = keyFile(path)
  await Promise.all([keys.set('a', 'first secret'), keys.set('b', 'second secret'), keys.set('a', 'third secret')])
  expect(readFileSync(path, 'utf8')).not.toContain('secret')
  if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600)
  const again = keyFile(path)
  expect([await again.get('a'), await again.get('b'), await again.get('c')]).toEqual([
    'third secret',
    'second secret',
    undefined,
  ])
  await again.delete('a')
  expect(await keyFile(path).get('a')).toBeUndefined()
})

test('values of the key file can’t be swapped, and a broken file counts as empty', async () => {
  using own = temporaryFolder()
  const path = join(own.path, 'keys.json')
  const keys = keyFile(path)
  await keys.set('a', 'of a')
  await keys.set('b', 'of b')
  const kept = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({ ...kept, values: { a: kept.values.b, b: kept.values.b } }))
  expect([await keyFile(path).get('a'), await keyFile(path).get('b')]).toEqual([undefined, 'of b'])
  writeFileSync(path, '{')
  expect(await keyFile(path).get('b')).toBeUndefined()
})

test.each([
  ['%s alone', (file: string) => `"${process.execPath}" "${file}" %s`],
  ['no %s: the address comes last', (file: string) => `"${process.execPath}" '${file}'`],
])('$BROWSER with %s is run without a shell', async (_what, browser) => {
  using own = temporaryFolder()
  const program = join(own.path, 'my browser.mjs')
  const said = join(own.path, 'said')
  writeFileSync(
    program,
    `import { renameSync, writeFileSync } from 'node:fs'
    writeFileSync(${JSON.stringify(`${said}.part`)}, process.argv.at(-1)); renameSync(${JSON.stringify(`${said}.part`)}, ${JSON.stringify(said)})`,
  )
  const url = 'https://idp.example/?a=1&b=$(touch x)%20y'
  await systemBrowser({ BROWSER: browser(program) }).open(url)
  await expect.poll(() => readFileSync(said, 'utf8')).toBe(url)
})

test('only web pages are opened, and a missing browser is said with the address', async () => {
  await expect(systemBrowser({ BROWSER: 'x' }).open('file:///etc/passwd')).rejects.toThrow('only web pages')
  await expect(systemBrowser({ BROWSER: '/nowhere/x' }).open('https://a.example/')).rejects.toThrow(
    'https://a.example/',
  )
})
