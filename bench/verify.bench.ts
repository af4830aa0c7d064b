import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { hex } from '@countersign/contract/ledger/encoding'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import type { PayloadInput } from '@countersign/contract/ledger/payloads'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { folderLog } from '@countersign/contract/node/log-folder'
import { bundleBytes, sessionEvidence } from '../gateway/src/sessions/bundles/bundles.ts'
import { signerOf } from '../gateway/src/sessions/bundles/signer.ts'
import { openEntries } from '../gateway/src/sessions/ledger/entries.ts'
import { LedgerLog } from '../gateway/src/sessions/ledger/log.ts'
import { placeOf, readRecording } from '../gateway/src/sessions/recording.ts'
import { openStore } from '../gateway/src/store/store.ts'
import { verifyStore } from '../gateway/src/verify/verify.ts'
import { printTable } from './table.ts'

const entries = Number(process.env.BENCH_ENTRIES ?? 1_000_000)
export const title = `Verifying a store of ${entries.toLocaleString('en')} entries, and bundles of its sessions`

/** Commands of a session; of each there are a recording, and a row of the store. */
const COMMANDS = 1000

/**
 * Prints how long `verify --config` takes for log, recordings and database, and what a session's bundle takes to be made
 * and verified. Half of the entries are of sessions that were recorded, with rows in the store.
 */
export async function run(): Promise<void> {
  const data = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'countersign-bench-'))
  try {
    const { sessions, vkey } = await made(data)
    const keys = [parseVerifierKey(nodeCrypto.sha256, vkey)]
    const begin = clock()
    const report = await verifyStore({ data, keys, maxWindow: 0 })
    const { seconds, cpu, memory } = begin()
    if (report.outcome !== 'whole') throw new Error(JSON.stringify(report.findings[0]))
    printTable(
      ['', 'entries', 'sessions', 'recorded MB', 'seconds', 'CPU s', 'peak MB'],
      [
        [
          'store',
          report.entries.toLocaleString('en'),
          String(sessions.length),
          (report.recordingBytes / 1e6).toFixed(0),
          seconds.toFixed(1),
          cpu.toFixed(1),
          memory.toFixed(0),
        ],
      ],
    )
    const rows: string[][] = []
    for (const session of sessions.slice(0, 3)) rows.push(await bundled(data, session, vkey))
    printTable(['bundle', 'entries', 'MB', 'made, s', 'verified, s', 'of CPU'], rows)
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

/** A store with as many entries. */
async function made(data: string): Promise<{ sessions: string[]; vkey: string }> {
  const folder = join(data, 'ledger')
  const { log } = await LedgerLog.open({ folder, crypto: nodeCrypto })
  await using store = await openStore(join(data, 'countersign.sqlite'))
  const sessions: string[] = []
  let n = 0
  const add = (type: string, payload: object, at: string, session?: string) => {
    log.add({ at, type, payload, session })
    if (++n % 5000 === 0) log.commit()
  }
  while (n < entries / 2) {
    const session = `se_${letters(sessions.length)}`
    sessions.push(session)
    const openedAt = new Date(Date.UTC(2026, 10, 1) + sessions.length * 60_000).toISOString()
    const client = { address: '10.0.0.9' }
    const head = { session, connection: 'orders', protocol: 'postgres', mode: 'enforce' as const, agent, client }
    add('session.opened', head, openedAt, session)
    let recording = `${JSON.stringify({ type: 'header', format: 'countersign-recording/1', ...head, startedAt: openedAt, resultBound: { rows: 100, bytes: 65536 } })}\n`
    for (let i = 0; i < COMMANDS; i++) {
      const command = { command: `c${i}`, kind: 'select', digest: digestOf(i), effects, verdict }
      add('command', { session, ...command } satisfies PayloadInput<'command'>, openedAt, session)
      const event = {
        seq: i * 2 + 1,
        t: i,
        type: 'command',
        ...command,
        text: `select * from orders where id = ${i}`,
        parameters: [],
      }
      const result = {
        seq: i * 2 + 2,
        t: i,
        type: 'result',
        command: `c${i}`,
        status: 'completed',
        tag: 'SELECT 1',
        rows: 1,
        ms: 1.5,
      }
      recording += `${JSON.stringify(event)}\n${JSON.stringify(result)}\n`
    }
    recording += `${JSON.stringify({ seq: 2 * COMMANDS + 1, t: COMMANDS, type: 'end', state: 'closed', reason: 'the client went' })}\n`
    const bytes = Buffer.from(recording)
    const chunk = { session, index: 0, offset: 0, length: bytes.length, sha256: hex(nodeCrypto.sha256(bytes)) }
    const closedAt = new Date(Date.parse(openedAt) + COMMANDS).toISOString()
    add('recording.chunk', chunk, closedAt, session)
    const ended = {
      session,
      state: 'closed' as const,
      reason: 'the client went',
      recording: { bytes: bytes.length, chunks: 1 },
      commands: COMMANDS,
    }
    add('session.closed', ended, closedAt, session)
    const { sealed } = placeOf(data, session, openedAt)
    mkdirSync(join(sealed, '..'), { recursive: true })
    writeFileSync(sealed, zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }))
    await store.db
      .insertInto('sessions')
      .values({
        ...{
          id: session,
          state: 'closed',
          connection: 'orders',
          connection_tags: '[]',
          protocol: 'postgres',
          mode: 'enforce',
        },
        ...{ agent: agent.id, identity: JSON.stringify(agent), purpose: null, client: JSON.stringify(client) },
        ...{ opened_at: openedAt, closed_at: closedAt, closed_because: 'the client went' },
        ...{ commands: COMMANDS, recording_bytes: bytes.length, recording_complete: 1, in_ledger: 1 },
      })
      .execute()
  }
  while (n < entries)
    add(
      'sign-in',
      { outcome: 'ok', via: 'api', address: `10.0.${n % 256}.1` },
      new Date(Date.UTC(2026, 10, 20) + n).toISOString(),
    )
  log.commit()
  log.sign()
  log.commit()
  const [vkey] = log.keys
  log.close()
  return { sessions, vkey: vkey! }
}

async function bundled(data: string, session: string, vkey: string): Promise<string[]> {
  const folder = join(data, 'ledger')
  const log = folderLog(folder)
  using rows = openEntries(folder)
  const begin = clock()
  const content = await sessionEvidence(
    {
      checkpoint: Buffer.from((await log.checkpoint())!).toString(),
      handovers: [],
      entries: rows,
      tile: log.tile,
      recording: (id) => readRecording(placeOf(data, id, rows.entriesOf(id).next().value!.at)),
      policy: async () => undefined,
    },
    session,
    { at: new Date() },
  )
  const parts: Uint8Array[] = []
  for await (const part of bundleBytes(content, [await signerOf(folder)])) parts.push(part)
  const bytes = Buffer.concat(parts)
  const making = begin().seconds
  const again = clock()
  const report = await verifyBundle(nodeCrypto, bytes, { keys: [parseVerifierKey(nodeCrypto.sha256, vkey)] })
  const { seconds: verifying, cpu } = again()
  if (report.outcome !== 'whole') throw new Error(JSON.stringify(report.findings[0]))
  return [
    session.slice(0, 12),
    String(content.entries.length),
    (bytes.length / 1e6).toFixed(1),
    making.toFixed(2),
    verifying.toFixed(2),
    cpu.toFixed(2),
  ]
}

function clock() {
  const from = performance.now()
  const cpu = process.cpuUsage()
  let peak = process.memoryUsage.rss()
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 100)
  return () => {
    clearInterval(watch)
    const { user, system } = process.cpuUsage(cpu)
    return { seconds: (performance.now() - from) / 1000, cpu: (user + system) / 1e6, memory: peak / 1e6 }
  }
}

const agent = { id: 'https://idp#ci', issuer: 'https://idp', subject: 'ci', name: 'ci', groups: ['ci-agents'] }
const effects = [
  { action: 'sql:read', resource: { type: 'Table', id: 'orders/public.orders' }, kind: 'select', bounded: true },
]
const verdict = { outcome: 'allow' as const, policies: ['base.cedar#1'] }
const digestOf = (i: number) => `sha256:${i.toString(16).padStart(64, '0')}`

/** 24 letters of base32 for a number. */
function letters(n: number): string {
  let text = ''
  for (let rest = n; text.length < 24; rest = Math.floor(rest / 32))
    text += 'abcdefghijklmnopqrstuvwxyz234567'[rest % 32]
  return text
}
