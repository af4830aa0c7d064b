import { readdirSync, readlinkSync } from 'node:fs'
import { request } from 'node:http'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { LiveSession } from '../sessions/session.ts'
import { startWorld, type World } from './testing/world.ts'

let world: World
let session: LiveSession
beforeAll(async () => {
  world = await startWorld()
  session = await world.session('agent')
  session.recorder.append(...events)
})
afterAll(() => world[Symbol.asyncDispose]())

const bytes = { stdin: 0, stdout: 0, stderr: 0 }
const sha256 = { stdin: '', stdout: '', stderr: '' }
const command = (id: string, text: string): NewRecordingEvent => ({
  ...{ type: 'command', command: id, text, parameters: [], kind: 'exec', effects: [], digest: 'sha256:0' },
  verdict: { outcome: 'allow', policies: [] },
})
const events: NewRecordingEvent[] = [
  command('a', 'sftp'),
  { type: 'channel', channel: '1', command: 'a', kind: 'sftp' },
  command('b', 'uname -a'),
  { type: 'channel', channel: '2', command: 'b', kind: 'exec' },
  command('c', ''),
  { type: 'channel', channel: '3', command: 'c', kind: 'shell', terminal: { type: 'vt100', columns: 90, rows: 20 } },
  { type: 'output', channel: '2', stream: 'stdout', data: 'Linux\n' },
  { type: 'output', channel: '3', stream: 'stdout', data: '$ ' },
  { type: 'input', channel: '3', data: 'ls\r' },
  { type: 'exit', channel: '2', code: 1, bytes, sha256 },
]

/** [status, media type, lines] */
async function cast(query: string, accept?: string): Promise<[number, string | null, unknown[]]> {
  const headers = accept === undefined ? {} : { accept }
  const response = await world.call(`/v1/sessions/${session.id}/recording${query}`, 'rae', { headers })
  const text = await response.text()
  const lines = response.ok ? text.trimEnd().split('\n') : [text]
  return [response.status, response.headers.get('content-type'), lines.map((line) => JSON.parse(line))]
}

const type = 'application/x-asciicast'
const codes = (lines: unknown[]) => lines.slice(1).map((line) => (line as unknown[]).slice(1))
const second = [
  ['o', 'Linux\r\n'],
  ['x', '1'],
]
const third = [
  ['o', '$ '],
  ['i', 'ls\r'],
]

describe('a channel as asciicast', () => {
  it.each<[string, string, string | undefined, object, unknown[]]>([
    ['the first with a command', '?format=asciicast', undefined, { command: 'uname -a' }, second],
    ['one by its id', '?format=asciicast&channel=3', undefined, { term: { cols: 90, rows: 20, type: 'vt100' } }, third],
    ['by its media type', '?channel=3', `text/plain;q=0.1, ${type}`, {}, third],
  ])('%s', async (_, query, accept, header, expected) => {
    const [status, media, lines] = await cast(query, accept)
    expect([status, media]).toEqual([200, type])
    expect(lines[0]).toMatchObject({ version: 3, ...header })
    expect(codes(lines)).toEqual(expected)
  })

  it('is not what is asked for otherwise', async () => {
    for (const [query, accept] of [
      ['', '*/*'],
      ['', `${type};q=0`],
      ['?format=recording', type],
    ] as const)
      expect((await cast(query, accept))[1]).toMatch(/^application\/x-ndjson/)
  })

  it.each([
    ['?format=asciicast&channel=1', 404, /Channel 1 .* is sftp/],
    ['?format=asciicast&channel=9', 404, /no such channel .*: it has 1 \(sftp\), 2 \(exec\), 3 \(shell\)/],
    ['?format=gif', 400, /format/],
  ])('%s is refused: %i', async (query, expected, words) => {
    const [status, , [problem]] = await cast(query)
    expect(status).toBe(expected)
    expect(JSON.stringify(problem)).toMatch(words)
  })

  it('of a session without channels is refused', async () => {
    const other = await world.session('agent')
    const response = await world.call(`/v1/sessions/${other.id}/recording?format=asciicast`, 'rae')
    expect([response.status, await response.text()]).toEqual([404, expect.stringContaining('it has no channels')])
  })

  it('is for those who may see recordings, and leaves a trace', async () => {
    const path = `/v1/sessions/${session.id}/recording?format=asciicast`
    expect((await world.call(path, 'max')).status).toBe((await world.call(path.split('?')[0]!, 'max')).status)
    expect((await world.call(path, 'agent')).status).toBe(403)
    const other = await world.session('agent')
    other.recorder.append(...events)
    await other.close('closed', '')
    const closed = `/v1/sessions/${other.id}/recording?format=asciicast&channel=3`
    expect(
      codes(
        (await (await world.call(closed, 'aud')).text())
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line)),
      ),
    ).toEqual([...third, ['m', 'session closed: ']])
    const db = world.store.db as unknown as import('kysely').Kysely<{ playbacks: Record<string, string> }>
    const rows = await db.selectFrom('playbacks').selectAll().where('session', '=', other.id).execute()
    expect(rows.map((row) => [row.person_name, row.what])).toEqual([['aud', 'recording']])
  })

  it('lets go of the recording when the reader goes away', async () => {
    const other = await world.session('agent')
    other.recorder.append(...events.slice(0, 7))
    for (let i = 0; i < 200; i++)
      other.recorder.append({ type: 'output', channel: '2', stream: 'stdout', data: 'x'.repeat(100_000) })
    await other.close('closed', '')
    const headers = { authorization: `Bearer ${await world.token('rae')}` }
    await new Promise<void>((resolve) => {
      const url = `${world.url}/v1/sessions/${other.id}/recording?format=asciicast`
      const asked = request(url, { headers }, (response) => {
        response.once('data', () => asked.destroy())
        response.once('error', () => resolve())
      })
      asked.on('error', () => {})
      asked.end()
    })
    const isOpen = () =>
      readdirSync('/proc/self/fd').some((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).includes(other.id)
        } catch {
          return false
        }
      })
    await vi.waitFor(() => expect(isOpen()).toBe(false), { timeout: 10_000 })
  })
})
