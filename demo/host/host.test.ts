import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningHost, startHost } from './host.ts'

let host: RunningHost
let folder: string
beforeAll(async () => {
  host = await startHost()
  folder = mkdtempSync(join(tmpdir(), 'countersign-host-'))
  writeFileSync(join(folder, 'key'), host.privateKey, { mode: 0o600 })
})
afterAll(async () => {
  await host?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const options = () => [
  '-F',
  '/dev/null',
  '-i',
  join(folder, 'key'),
  '-o',
  'StrictHostKeyChecking=no',
  '-o',
  `UserKnownHostsFile=${join(folder, 'known')}`,
  '-o',
  'IdentitiesOnly=yes',
  '-o',
  'LogLevel=ERROR',
]

function run(program: string, args: string[], input = ''): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(program, args)
  let out = ''
  let err = ''
  child.stdout.on('data', (text) => (out += text))
  child.stderr.on('data', (text) => (err += text))
  child.stdin.end(input)
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}
const ssh = (args: string[], input?: string) =>
  run('ssh', [...options(), '-p', String(host.port), `deploy@${host.host}`, ...args], input)

test.each([
  ['cat /etc/hostname', { code: 0, out: 'web-1\n', err: '' }],
  ['exit 7', { code: 7, out: '', err: '' }],
  ['systemctl restart shop && systemctl is-active shop', { code: 0, out: 'active\n', err: '' }],
  ['systemctl restart nothing', { code: 4, out: '', err: 'Unit nothing.service could not be found.\n' }],
  ['cat /nowhere', { code: 1, out: '', err: 'cat: /nowhere: No such file or directory\n' }],
  ['cat /etc/passwd | wc -l; ls /root', { code: 2, out: expect.any(String), err: expect.stringMatching(/\/root/) }],
])('%s', async (line, expected) => expect(await ssh([line])).toEqual(expected))

test('what is sent to it, it reads', async () =>
  expect(await ssh(['grep -c x'], 'x\ny\nx\n')).toEqual({ code: 0, out: '2\n', err: '' }))

test('a command ends although its input stays open, as rsync’s does where there is none', async () => {
  const child = spawn('ssh', [...options(), '-p', String(host.port), `deploy@${host.host}`, 'rsync --server'])
  const code = await new Promise((resolve) => child.on('close', resolve))
  expect(code).toBe(127)
})

test('nothing of this machine is there', async () => {
  writeFileSync(join(folder, 'own'), 'secret of this machine')
  expect((await ssh([`cat ${join(folder, 'own')}`])).out).toBe('')
  expect((await ssh(['node -e 1'])).code).toBe(127)
  expect((await ssh(['curl http://127.0.0.1'])).code).toBe(127)
})

test('at a terminal: echo, history, a password without an echo, and leaving with a status', async () => {
  const { code, out } = await ssh(['-tt'], 'cd /srv/shop/current\rcat VERSION\r\x1b[A\rsudo id\rhunter2\rexit 3\r')
  expect(code).toBe(3)
  expect(out.match(/2026\.11\.3/g)).toHaveLength(2)
  expect(out).toContain('[sudo] password for deploy:')
  expect(out).toContain('not in the sudoers file')
  expect(out).not.toContain('hunter2')
})

test('files by sftp: listed, fetched, put, renamed, removed', async () => {
  const put = join(folder, 'put')
  const got = join(folder, 'got')
  writeFileSync(put, 'x'.repeat(300_000))
  const batch = `ls -l /srv/shop\nput ${put} /tmp/put\nrename /tmp/put /tmp/put2\nchmod 600 /tmp/put2\nget /tmp/put2 ${got}\nmkdir /tmp/d\nrm /tmp/put2\nrmdir /tmp/d\n-rm /tmp/none\n`
  const { code, out } = await run(
    'sftp',
    [...options(), '-P', String(host.port), '-b', '-', `deploy@${host.host}`],
    batch,
  )
  expect(code).toBe(0)
  expect(out).toContain('current')
  expect(readFileSync(got, 'utf8')).toBe('x'.repeat(300_000))
  const fetched = await run('scp', [...options(), '-P', String(host.port), `deploy@${host.host}:/etc/hostname`, got])
  expect(fetched).toEqual({ code: 0, out: '', err: '' })
  expect(readFileSync(got, 'utf8')).toBe('web-1\n')
})
