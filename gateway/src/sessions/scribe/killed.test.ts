import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { zstdDecompressSync } from 'node:zlib'
import type { FeedMessage } from '@countersign/contract/feed'
import type { RecordingEvent } from '@countersign/contract/recording'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../../demo/issuer.ts'
import { type RunningPostgres, startPostgres } from '../../../../demo/postgres.ts'
import { FeedClient } from '../../api/testing/world.ts'
import { verify } from '../../verify/testing/world.ts'
import { placeOf } from '../recording.ts'
import { entriesIn, type ReadEntry } from './testing/read.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

const bin = join(import.meta.dirname, '..', '..', '..', 'bin', 'countersign-gateway.js')
const policy = `permit (principal, action, resource);
@id("deletes") @hold("dba") forbid (principal, action == Action::"sql:write", resource)
when { context.command.kind == "delete" } unless { context has approval };`

let people: RunningIssuer
let agents: RunningIssuer
let server: RunningPostgres
/** Between gateway and server: told of all bytes before the server gets them. */
let wire: { server: Server; port: number; told: (bytes: Buffer) => void }
let folder: string
let children: ChildProcess[]
beforeAll(async () => {
  ;[people, agents, server] = await Promise.all([startIssuer(), startIssuer(), startPostgres()])
  await server.query('create table seen (k text primary key); create table victims (k text primary key)')
  const between = createServer((client) => {
    const upstream = createConnection({ host: server.host, port: server.port })
    client.on('data', (bytes) => {
      wire.told(bytes)
      upstream.write(bytes)
    })
    upstream.pipe(client)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const)
      one.on('error', () => {}).on('close', () => other.destroy())
  })
  await once(between.listen(0, '127.0.0.1'), 'listening')
  wire = { server: between, port: (between.address() as { port: number }).port, told: () => {} }
})
afterAll(async () => {
  wire?.server.close()
  await Promise.all([people, agents, server].map((started) => started?.stop()))
})
beforeEach(() => {
  children = []
  folder = mkdtempSync(join(tmpdir(), 'countersign-killed-'))
  mkdirSync(join(folder, 'policy'))
  writeFileSync(join(folder, 'policy', 'all.cedar'), policy)
  writeFileSync(join(folder, 'password'), server.password, { mode: 0o600 })
  const orders = { kind: 'postgres', host: '127.0.0.1', port: wire.port, database: 'postgres', user: server.user }
  const config = {
    data: './data',
    api: { listen: '127.0.0.1:0' },
    postgres: { listen: '127.0.0.1:0' },
    identity: {
      issuers: [
        { issuer: agents.url, for: 'agents', audience: 'countersign' },
        { issuer: people.url, for: 'people', audience: 'countersign', client_id: 'console' },
      ],
      roles: { approver: ['dba'] },
    },
    connections: { orders: { ...orders, password: { file: './password' } } },
  }
  writeFileSync(join(folder, 'gateway.json'), JSON.stringify(config))
})
afterEach(async () => {
  wire.told = () => {}
  for (const child of children) await killed(child)
  rmSync(folder, { recursive: true, force: true })
})

const data = () => join(folder, 'data')

async function killed(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

async function serve(): Promise<{ child: ChildProcess; api: string; port: number }> {
  const child = spawn(process.execPath, [bin, 'serve', '--config', join(folder, 'gateway.json')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  children.push(child)
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
  const [, api, port] = /ready api=(\S+) postgres=\S+:(\d+)/.exec(line)!
  return { child, api: `http://${api}`, port: Number(port) }
}

async function agent(port: number): Promise<pg.Client> {
  const password = await agents.agentToken({ subject: 'deployer', groups: [] })
  const client = new pg.Client({ host: '127.0.0.1', port, database: 'orders', user: 'x', password })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Approves all that is held from now on. */
async function approve(api: string): Promise<void> {
  const token = await people.personToken({ subject: 'ada', name: 'Ada', groups: ['dba'] })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const feed = await FeedClient.connect(`${api.replace('http', 'ws')}/v1/feed`, token)
  feed.socket.on('message', (text) => {
    const { type, data } = JSON.parse(String(text)) as FeedMessage
    if (type !== 'approval.opened') return
    const body = JSON.stringify({ verdict: 'approve', reason: 'yes', digest: data.command.digest })
    fetch(`${api}/v1/approvals/${data.id}/decisions`, { method: 'POST', headers, body }).catch(() => {})
  })
}

/** What the ledger has of each command: its text comes from the recording, by the command's id. */
function commandsByText(all: ReadEntry[]): Map<string, ReadEntry[]> {
  const byText = new Map<string, ReadEntry[]>()
  for (const opened of all.filter(({ type }) => type === 'session.opened')) {
    const { session } = opened.payload
    const { plain, sealed } = placeOf(data(), session, opened.at)
    const text = existsSync(plain) ? readFileSync(plain) : zstdDecompressSync(readFileSync(sealed))
    const ids = new Map<string, string>()
    for (const line of text.toString().split('\n').slice(1, -1)) {
      const event = JSON.parse(line) as RecordingEvent
      if (event.type === 'command') ids.set(event.command, event.text)
    }
    for (const entry of all)
      if (entry.type === 'command' && entry.payload.session === session) {
        const text = ids.get(entry.payload.command)!
        byText.set(text, [...(byText.get(text) ?? []), entry])
      }
  }
  return byText
}

describe('a gateway that is killed', () => {
  it('has in its ledger, after the next start, all that the server has seen, and each of it once', async () => {
    const random = mulberry(7)
    let next = 0
    for (let round = 0; round < 3; round++) {
      const { child, api, port } = await serve()
      const clients = await Promise.all([0, 1, 2].map(() => agent(port)))
      await approve(api)
      const work = clients.map(async (client, at) => {
        try {
          for (;;) {
            const k = `k${next++}`
            await client.query(`insert into seen values ('${k}')`)
            if (at === 0) await client.query(`delete from victims where k = '${k}'`)
          }
        } catch {
          // The gateway is gone.
        }
      })
      // At some moment of its work: after so many commands.
      const until = next + 1 + Math.floor(random() * 150)
      await vi.waitUntil(() => next >= until, { timeout: 30_000, interval: 1 })
      await killed(child)
      await Promise.all(work)
    }
    const { child } = await serve()
    await killed(child, 'SIGTERM')

    const report = await verify(data())
    expect(report.findings).toEqual([])
    expect(report.outcome).toBe('whole')
    const all = entriesIn(data())
    const commands = commandsByText(all)
    const seen = await server.query('select k from seen')
    expect(seen.length).toBeGreaterThan(20)
    for (const { k } of seen) expect(commands.get(`insert into seen values ('${k}')`), String(k)).toHaveLength(1)
    const ids = all.flatMap(({ type, payload }) => (type === 'command' ? [payload.command] : []))
    expect(new Set(ids).size).toBe(ids.length)
    expect(all.filter(({ type }) => type === 'gateway.started')).toHaveLength(4)
    expect(all.filter(({ type }) => type === 'gateway.stopped')).toHaveLength(1)
  })

  it('has the entry of an approved command on disk when the server gets it', async () => {
    const { api, port } = await serve()
    const client = await agent(port)
    await approve(api)
    const looked: { commands: ReadEntry[]; all: ReadEntry[] }[] = []
    wire.told = (bytes) => {
      if (!bytes.includes('delete from victims')) return
      const all = entriesIn(data())
      looked.push({ all, commands: all.filter(({ type, payload }) => type === 'command' && payload.kind === 'delete') })
    }
    for (let i = 1; i <= 5; i++) {
      await client.query(`delete from victims where k = 'x${i}'`)
      expect(looked).toHaveLength(i)
      const { commands, all } = looked.at(-1)!
      expect(commands).toHaveLength(i)
      const { approval } = commands.at(-1)!.payload
      // With all that led to it.
      const types = all.filter(({ payload }) => payload.approval === approval).map(({ type }) => type)
      expect(types.sort()).toEqual(expect.arrayContaining(['approval.decided', 'approval.opened', 'command']))
    }
    await client.end()
  })
})

/** Numbers from 0 to 1, the same ones each time. */
function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
