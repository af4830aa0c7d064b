import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { signCheckpoint } from '@countersign/contract/ledger/checkpoint'
import type { Finding } from '@countersign/contract/ledger/findings'
import { restoreLog } from '@countersign/contract/ledger/growth'
import {
  formatSignerKey,
  formatVerifierKey,
  parseSignerKey,
  parseVerifierKey,
  signerKey,
} from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { folderLog } from '@countersign/contract/node/log-folder'
import Database from 'better-sqlite3'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { aud, filesIn, flip, GatewayWorld, max, verify } from './testing/world.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

let world: GatewayWorld
/** The checkpoint of an earlier day. */
let yesterday: string
let vkey: string
beforeAll(async () => {
  world = await GatewayWorld.start()
  await world.serve()
  await world.work()
  await world.stop()
  yesterday = world.copy()
  await world.serve()
  await world.standIn()
  await world.work()
  const [session] = await world.sessions()
  await world.call(`/v1/sessions/${session}/recording`, aud).then((answer) => answer.text())
  const note = { from: 10, text: 'look here', tags: ['odd'], madeAt: new Date().toISOString() }
  const path = `/v1/sessions/${session}/annotations/an_${'a'.repeat(24)}`
  const noted = await world.call(path, aud, { method: 'PUT', body: JSON.stringify(note) })
  expect(noted.status).toBeLessThan(300)
  for (const purpose of ['a look at it', 'another look']) {
    const { token_id } = await world.token({ purpose })
    if (purpose !== 'another look') continue
    const revoked = { method: 'POST', body: JSON.stringify({ reason: 'it is enough' }) }
    expect((await world.call(`/v1/tokens/${token_id}/revoke`, max, revoked)).status).toBe(200)
  }
  await world.workByGrants()
  for (const freeze of ['freeze', 'connections/orders/freeze', 'connections/orders/unfreeze']) {
    const frozen = { method: 'POST', body: JSON.stringify({ reason: 'a look at it' }) }
    expect((await world.call(`/v1/${freeze}`, max, frozen)).status).toBe(200)
  }
  await world.register()
  const files = [{ file: 'a.cedar', text: 'permit (principal, action, resource);' }]
  const ran = { method: 'POST', body: JSON.stringify({ files, since: '1d' }) }
  expect((await world.call('/v1/policy/backtest', aud, ran)).status).toBe(202)
  await world.stop()
  // The rows below damage tiles of smaller logs: with a whole tile, those before it go.
  while (['0', 'entries'].some((row) => tilesOf(world.data, row).older.length === 0)) {
    await world.serve()
    for (const freeze of ['freeze', 'unfreeze']) {
      const again = { method: 'POST', body: JSON.stringify({ reason: 'a look at it' }) }
      expect((await world.call(`/v1/connections/orders/${freeze}`, max, again)).status).toBe(200)
    }
    await world.stop()
  }
  vkey = readFileSync(join(world.data, 'ledger', 'vkey'), 'utf8').trim()
})
afterAll(async () => {
  rmSync(yesterday, { recursive: true, force: true })
  await world?.[Symbol.asyncDispose]()
})

let data: string
afterEach(() => rmSync(data, { recursive: true, force: true }))

/** Changes a copy, and answers what verify finds first. */
async function after(change: (data: string) => unknown, keys: string[] = []): Promise<Finding> {
  data = world.copy()
  await change(data)
  const report = await verify(data, { keys: keys.map((key) => parseVerifierKey(nodeCrypto.sha256, key)) })
  expect(report.outcome).not.toBe('whole')
  expect(report.findings.length).toBeGreaterThan(0)
  return report.findings[0]!
}

function sql(data: string, file: string, statement: string, ...values: unknown[]): void {
  const database = new Database(join(data, file))
  database.pragma('foreign_keys = OFF')
  database.pragma('ignore_check_constraints = ON')
  const { changes } = database.prepare(statement).run(...values)
  database.close()
  expect(changes).toBeGreaterThan(0)
}
const store = (data: string, statement: string, ...values: unknown[]) =>
  sql(data, 'countersign.sqlite', statement, ...values)
const entries = (data: string, statement: string, ...values: unknown[]) =>
  sql(data, 'ledger/entries.sqlite', statement, ...values)

const recordings = (data: string) => filesIn(join(data, 'recordings')).map((name) => join(data, 'recordings', name))
/**
 * The tile that the checkpoint needs last, and those of smaller logs before it: where in a tile a log ends differs from
 * run to run, and it may end with a whole one.
 */
function tilesOf(data: string, row: string): { newest: string; older: string[] } {
  const [last, ...before] = readdirSync(join(data, 'ledger', 'tile', row))
    .sort()
    .reverse()
  if (!last!.endsWith('.p')) return { newest: `tile/${row}/${last}`, older: [] }
  const partial = (folder: string) => {
    const widths = readdirSync(join(data, 'ledger', 'tile', row, folder)).map(Number)
    return widths.sort((a, b) => b - a).map((width) => `tile/${row}/${folder}/${width}`)
  }
  const [newest, ...older] = partial(last!)
  return { newest: newest!, older: [...older, ...before.filter((name) => name.endsWith('.p')).flatMap(partial)] }
}
const newest = (data: string, row: string) => tilesOf(data, row).newest

it('finds a store whole that nobody touched, by the remembered key and by a pinned one', async () => {
  data = world.copy()
  expect((await verify(data)).findings).toEqual([])
  const pinned = await verify(data, { keys: [parseVerifierKey(nodeCrypto.sha256, vkey)] })
  expect(pinned).toMatchObject({ outcome: 'whole', pinned: true, live: false, unsigned: 0, older: 0 })
})

it('finds a store whole whose policies of before its version have no times, and incomplete where later ones have none', async () => {
  data = world.copy()
  store(data, 'delete from policy_times')
  expect((await verify(data)).outcome).toBe('incomplete')
  store(data, `update kysely_migration set timestamp = '9999' where name = '0008_access'`)
  expect((await verify(data)).outcome).toBe('whole')
})

describe('files of the log', () => {
  const middle = (file: string) => flip(file, readFileSync(file).length * 4)
  /** A bit of a letter of base64 that another letter of it differs by: the form is as it was. */
  const flipLetter = (file: string, place: (bytes: Buffer) => number) => {
    const bytes = readFileSync(file)
    let at = place(bytes)
    while (!/[A-Za-z0-9+/]/.test(String.fromCharCode(bytes[at]! ^ 1))) at--
    flip(file, 8 * at)
  }

  it.each<[what: string, change: (data: string) => unknown, code: string, words: RegExp]>([
    [
      'a tile of hashes',
      (d) => middle(join(d, 'ledger', newest(d, '0'))),
      'tile-hash',
      /^tile\/0\/\d+\.p\/\d+ was changed/,
    ],
    // In the first entry: elsewhere it may be a length, and what follows is cut off.
    ['a tile of entries', (d) => flip(join(d, 'ledger', newest(d, 'entries')), 8 * 12), 'entry-hash', /entry \d+/],
    [
      'the checkpoint’s root',
      (d) => flipLetter(join(d, 'ledger/checkpoint'), (bytes) => bytes.indexOf('\n\n') - 5),
      'signature',
      /the checkpoint was changed/,
    ],
    [
      'the checkpoint’s signature',
      (d) => flipLetter(join(d, 'ledger/checkpoint'), ({ length }) => length - 20),
      'signature',
      /the checkpoint was changed/,
    ],
    ['the public key', (d) => middle(join(d, 'ledger/vkey')), 'key-file', /ledger\/vkey was changed/],
    ['the signer’s key', (d) => middle(join(d, 'ledger/key')), 'key-file', /ledger\/key was changed/],
  ])('a flipped bit in %s', async (_what, change, code, words) => {
    const first = await after(change)
    expect(first).toMatchObject({ about: 'integrity', code })
    expect(first.text).toMatch(words)
  })

  it.each<[what: string, change: (data: string) => unknown, about: string, code: string]>([
    ['no checkpoint', (d) => rmSync(join(d, 'ledger/checkpoint')), 'integrity', 'no-checkpoint'],
    ['a checkpoint cut off', (d) => truncateSync(join(d, 'ledger/checkpoint'), 40), 'integrity', 'checkpoint-form'],
    ['no tile of hashes', (d) => rmSync(join(d, 'ledger', newest(d, '0'))), 'completeness', 'tile-missing'],
    ['no tile of entries', (d) => rmSync(join(d, 'ledger', newest(d, 'entries'))), 'completeness', 'entries-missing'],
    [
      'a tile of entries cut off',
      (d) => truncateSync(join(d, 'ledger', newest(d, 'entries')), 1000),
      'completeness',
      'entries-cut',
    ],
    ['no entries.sqlite', (d) => rmSync(join(d, 'ledger/entries.sqlite')), 'completeness', 'entries-gone'],
    ['no vkey', (d) => rmSync(join(d, 'ledger/vkey')), 'completeness', 'key-file'],
    ['no signer’s key', (d) => rmSync(join(d, 'ledger/key')), 'completeness', 'key-file'],
    ['no store', (d) => rmSync(join(d, 'countersign.sqlite')), 'completeness', 'store-gone'],
  ])('%s', async (_what, change, about, code) => {
    expect(await after(change)).toMatchObject({ about, code })
  })

  it.each(['0', 'entries'])('a flipped bit in a tile of a smaller log: %s', async (row) => {
    const first = await after((d) => middle(join(d, 'ledger', tilesOf(d, row).older[0]!)))
    expect(first).toMatchObject({ about: 'integrity', code: 'tile-old', where: { tile: tilesOf(data, row).older[0] } })
  })

  it('a tile of entries that never were', async () => {
    const beyond = (d: string) => {
      mkdirSync(join(d, 'ledger/tile/entries/099.p'))
      writeFileSync(join(d, 'ledger/tile/entries/099.p/255'), 'x')
    }
    expect(await after(beyond)).toMatchObject({ code: 'tile-beyond' })
  })

  it('the checkpoint of an earlier day: rolled back', async () => {
    const first = await after((d) => copyFileSync(join(yesterday, 'ledger/checkpoint'), join(d, 'ledger/checkpoint')))
    expect(first.text).toMatch(/rolled back/)
  })

  it('log and rows of an earlier day under the store of today', async () => {
    const first = await after((d) => {
      rmSync(join(d, 'ledger'), { recursive: true })
      renameSync(join(yesterday, 'ledger'), join(d, 'ledger'))
    })
    renameSync(join(data, 'ledger'), join(yesterday, 'ledger'))
    expect(first).toMatchObject({ about: 'integrity', code: 'recording-unknown' })
  })

  it('rows in another order, one dropped, one added', async () => {
    expect(await after((d) => entries(d, 'delete from entries where n = 7'))).toMatchObject({
      code: 'payload-missing',
      where: { entry: 7 },
    })
    rmSync(data, { recursive: true })
    const swap = (d: string) => {
      entries(d, 'update entries set n = 100000 where n = 7')
      entries(d, 'update entries set n = 7 where n = 8')
      entries(d, 'update entries set n = 8 where n = 100000')
    }
    expect(await after(swap)).toMatchObject({ where: { entry: 7 } })
    rmSync(data, { recursive: true })
    const add = (d: string) =>
      entries(
        d,
        'insert into entries (n, at, type, session, payload, salt) select 100000, at, type, session, payload, salt from entries where n = 7',
      )
    expect(await after(add)).toMatchObject({ about: 'completeness', code: 'unsigned-tail' })
  })

  /** A new key, and everything signed by it. */
  async function replaceKey(d: string): Promise<void> {
    const ledger = join(d, 'ledger')
    const old = parseSignerKey(nodeCrypto, readFileSync(join(ledger, 'key'), 'utf8').trim())
    const mine = signerKey(nodeCrypto, old.name, 'ed25519', nodeCrypto.sha256(new Uint8Array(1)))
    const size = Number(readFileSync(join(ledger, 'checkpoint'), 'utf8').split('\n')[1])
    const log = await restoreLog(nodeCrypto.sha256, size, folderLog(ledger).tile)
    writeFileSync(join(ledger, 'checkpoint'), signCheckpoint(nodeCrypto, { size, root: log.root() }, [mine]))
    writeFileSync(join(ledger, 'key'), `${formatSignerKey(mine)}\n`)
    writeFileSync(join(ledger, 'vkey'), `${formatVerifierKey(mine)}\n`)
  }
  it('another key: by what the log remembers, and by who has pinned the right one', async () => {
    expect((await after(replaceKey)).text).toMatch(/not one by a key that you trust/)
    rmSync(data, { recursive: true })
    const throughout = async (d: string) => {
      await replaceKey(d)
      const { text } = { text: readFileSync(join(d, 'ledger/vkey'), 'utf8').trim() }
      entries(d, "update meta set value = ? where name = 'log.keys'", JSON.stringify([{ vkey: text }]))
      entries(
        d,
        "update meta set value = ? where name = 'log.signed'",
        readFileSync(join(d, 'ledger/checkpoint'), 'utf8'),
      )
    }
    const first = await after(throughout, [vkey])
    expect(first.text).toMatch(/not one by a key that you trust/)
    const report = await verify(data, { keys: [parseVerifierKey(nodeCrypto.sha256, vkey)] })
    expect(report.findings.map(({ code }) => code)).toContain('key-replaced')
  })
})

describe('recordings', () => {
  const edit = (file: string, change: (plain: Buffer) => Buffer) =>
    writeFileSync(file, zstdCompressSync(change(zstdDecompressSync(readFileSync(file)))))

  it.each<[what: string, change: (data: string) => unknown, about: string, code: string]>([
    ['a flipped bit in what is sealed', (d) => flip(recordings(d)[0]!, 4000), 'integrity', 'recording-damaged'],
    [
      'another word, sealed anew',
      (d) =>
        edit(recordings(d)[0]!, (plain) => {
          plain[plain.length - 200]! ^= 1
          return plain
        }),
      'integrity',
      'chunk-hash',
    ],
    [
      'its end cut off, sealed anew',
      (d) => edit(recordings(d)[0]!, (plain) => plain.subarray(0, -10)),
      'completeness',
      'recording-cut',
    ],
    ['its file cut off', (d) => truncateSync(recordings(d)[0]!, 100), 'integrity', 'recording-damaged'],
    [
      'an event added at its end',
      (d) => edit(recordings(d)[0]!, (plain) => Buffer.concat([plain, Buffer.from('{"seq":999}\n')])),
      'integrity',
      'recording-longer',
    ],
    [
      'bytes after the sealed frame',
      (d) => writeFileSync(recordings(d)[0]!, Buffer.concat([readFileSync(recordings(d)[0]!), Buffer.from('xxxx')])),
      'integrity',
      'recording-damaged',
    ],
    ['gone', (d) => rmSync(recordings(d)[0]!), 'completeness', 'recording-cut'],
    [
      'two of them swapped',
      (d) => {
        const [a, b] = recordings(d) as [string, string]
        renameSync(a, `${a}.x`)
        renameSync(b, a)
        renameSync(`${a}.x`, b)
      },
      'integrity',
      'chunk-hash',
    ],
    [
      'one under another name',
      (d) => copyFileSync(recordings(d)[0]!, join(dirname(recordings(d)[0]!), `se_${'b'.repeat(24)}.ndjson.zst`)),
      'integrity',
      'recording-unknown',
    ],
    [
      'a plain one laid over it',
      (d) => writeFileSync(recordings(d)[0]!.replace(/\.zst$/, ''), 'forged\n'),
      'completeness',
      'recording-cut',
    ],
  ])('%s', async (_what, change, about, code) => {
    const first = await after(change)
    const report = await verify(data)
    expect(report.findings).toContainEqual(expect.objectContaining({ about, code }))
    expect(first.where.recording ?? first.where.row).toBeDefined()
    if (first.where.recording) expect(first.text).toContain(first.where.recording)
  })

  it('a recording under another day', async () => {
    const first = await after((d) => {
      const [a] = recordings(d) as [string]
      const elsewhere = join(d, 'recordings', '2020', '01', '01')
      const place = join(elsewhere, basename(a))
      mkdirSync(elsewhere, { recursive: true })
      renameSync(a, place)
    })
    expect(first).toMatchObject({ code: 'recording-moved' })
  })
})

/** Every column that says something, of a row of every table; `text` is changed at its end, numbers by one. */
const columns: Record<string, string[]> = {
  sessions: [
    'state',
    'connection',
    'protocol',
    'mode',
    'agent',
    'identity',
    'purpose',
    'client',
    'opened_at',
    'closed_at',
    'closed_because',
    'grants',
    'commands',
    'held',
    'denied',
    'errors',
    'recording_bytes',
    'recording_complete',
    'in_ledger',
    'classes',
    'recording_erased_at',
    'approvals_erased_at',
    'annotations_erased_at',
    'entries_erased_at',
  ],
  approvals: [
    'state',
    'connection',
    'protocol',
    'agent',
    'identity',
    'session',
    'purpose',
    'text',
    'parameters',
    'kind',
    'effects',
    'digest',
    'requirements',
    'escalated_to',
    'requested_at',
    'expires_at',
    'closed_at',
    'closed_because',
    'outcome',
  ],
  decisions: [
    'approval',
    'person',
    'person_name',
    'person_groups',
    'verdict',
    'reason',
    'window',
    'at',
    'in_place_of',
    'break_glass',
  ],
  delegations: [
    'from_person',
    'from_ref',
    'to_person',
    'to_ref',
    'groups',
    'since',
    'until',
    'reason',
    'made_at',
    'ended_at',
    'ended_by',
    'ended_because',
  ],
  break_glass: [
    'approval',
    'agent',
    'connection',
    'person',
    'reason',
    'at',
    'reviewed_at',
    'reviewed_by',
    'verdict',
    'review_reason',
  ],
  windows: ['approval', 'digest', 'agent', 'connection', 'session', 'until'],
  policy_versions: ['version', 'files'],
  annotations: [
    'session',
    'person',
    'by',
    'from_ms',
    'to_ms',
    'text',
    'tags',
    'made_at',
    'received_at',
    'withdrawn_at',
    'withdrawn_reason',
  ],
  playbacks: ['session', 'person', 'at'],
  freezes: ['connection', 'by', 'reason', 'at', 'ended_at', 'ended_by', 'ended_because'],
  connection_versions: ['at', 'connections'],
  policy_times: ['at', 'version', 'by', 'reason'],
  backtests: ['by', 'at', 'version', 'asked'],
  grants: [
    'state',
    'connection',
    'connection_tags',
    'agent',
    'on_behalf_of',
    'identity',
    'actions',
    'resources',
    'duration',
    'seconds',
    'purpose',
    'plan',
    'step',
    'extends',
    'requested_at',
    'requested_by',
    'requester',
    'approval',
    'policies',
    'active_from',
    'expires_at',
    'ended_at',
    'ended_by',
    'ended_because',
    'sessions',
    'last_used_at',
  ],
  plans: ['title', 'purpose', 'requested_at', 'requested_by', 'approval'],
  agents: [
    'issuer',
    'subject',
    'identity',
    'name',
    'owner',
    'sponsor',
    'purpose',
    'environment',
    'keys',
    'declared',
    'first_seen_at',
    'disabled_at',
    'disabled_by',
    'disabled_because',
  ],
  agent_identities: ['agent', 'at', 'identity'],
  agent_states: ['agent', 'at', 'state', 'by', 'reason'],
  people: ['left_at', 'left_by', 'left_because'],
  tokens: [
    'hash',
    'agent',
    'identity',
    'connection',
    'grant',
    'purpose',
    'issued_at',
    'expires_at',
    'revoked_at',
    'revoked_by',
    'revoked_because',
  ],
}
const keys: Record<string, string> = { policy_versions: 'version', windows: 'approval' }

const commands: Record<string, string> = {
  approvals: `where session <> ''`,
  decisions: `where approval in (select id from approvals where session <> '')`,
  people: 'where left_at is not null',
}
const access: Record<string, string> = { approvals: `where session = ''` }
const cases = [
  ...Object.entries(columns).map(([table, names]) => [table, table, names, commands[table] ?? ''] as const),
  ...Object.entries(access).map(
    ([table, where]) => [`${table} of access`, table, [...columns[table]!, 'access'], where] as const,
  ),
]

describe.each(cases)('a row of %s', (_what, table, names, where) => {
  const id = keys[table] ?? 'id'
  const pick = (d: string) => {
    const database = new Database(join(d, 'countersign.sqlite'), { readonly: true })
    const row = database.prepare(`select * from ${table} ${where} order by rowid desc`).get() as Record<string, unknown>
    database.close()
    return row
  }

  it.each(names)('changed in %s', async (name) => {
    const first = await after((d) => {
      const row = pick(d)
      const value = row[name]
      const changed =
        typeof value === 'number'
          ? value === 1 && /complete|ledger/.test(name)
            ? 0
            : value + 1
          : value === null || value === ''
            ? '2026-01-01T00:00:00.000Z'
            : String(value).replace(/.$/su, (last) =>
                last === 'x' ? 'y' : last === '}' || last === ']' || last === '"' ? `${last} x` : 'x',
              )
      store(d, `update ${table} set "${name}" = ? where ${id} = ?`, changed, row[id])
    })
    expect(first.where.row).toMatch(new RegExp(`^${table}/`))
    expect(first.text).toContain(first.where.row)
  })

  it('deleted', async () => {
    if (table === 'windows' || table === 'backtests') {
      // Without it a command can't be repeated, and of backtests only the newest are kept: that takes nothing away from
      // what was logged.
      data = world.copy()
      store(data, `delete from ${table}`)
      expect((await verify(data)).outcome).toBe('whole')
      return
    }
    const first = await after((d) => store(d, `delete from ${table} where ${id} = ?`, pick(d)[id]))
    expect(first).toMatchObject({ about: 'completeness', code: 'row-missing' })
    expect(first.where.row).toMatch(new RegExp(`^${table}/`))
  })

  it('added', async () => {
    const other: Record<string, string> = {
      sessions: `'se_${'c'.repeat(24)}'`,
      approvals: `'ap_${'c'.repeat(16)}'`,
      decisions: '99999',
      windows: "'ap_none'",
      policy_versions: "'sha256:00'",
      annotations: `'an_${'c'.repeat(24)}'`,
      playbacks: '99999',
      freezes: "'fr_other'",
      connection_versions: '99999',
      policy_times: '99999',
      backtests: "'bt_other'",
      tokens: "'tk_other'",
      grants: "'gr_other'",
      plans: "'pl_other'",
      agents: "'https://idp#other'",
      agent_identities: '99999',
      agent_states: '99999',
      people: "'https://idp#mallory'",
      delegations: "'dg_other'",
      break_glass: "'bg_other'",
    }
    const first = await after((d) => {
      const row = pick(d)
      const names = Object.keys(row)
        .map((name) => `"${name}"`)
        .join(', ')
      const values = Object.keys(row)
        .map((name) =>
          name === id
            ? other[table]
            : table === 'decisions' && name === 'person'
              ? "'https://idp#mallory'"
              : table === 'playbacks' && name === 'at'
                ? "'2027-01-01T00:00:00.000Z'"
                : table === 'tokens' && name === 'hash'
                  ? "'another'"
                  : table.startsWith('agent_') && name === 'at'
                    ? "'2027-01-01T00:00:00.000Z'"
                    : `"${name}"`,
        )
        .join(', ')
      store(d, `insert into ${table} (${names}) select ${values} from ${table} where ${id} = ?`, row[id])
    })
    expect(first.where.row).toMatch(new RegExp(`^${table}/`))
    expect(first.about).toBe('integrity')
  })
})

it.each([
  ['a session that is not there', `update grant_sessions set session = 'se_other'`, /a session that is not there/],
  ['before the grant began', `update grant_sessions set at = '2026-01-01T00:00:00.000Z'`, /before the grant began/],
  [
    'by another agent',
    `update sessions set agent = 'https://other' where id in (select session from grant_sessions)`,
    /./,
  ],
  ['that nobody made any more', 'delete from grant_sessions', /sessions used it, and 0 did/],
])('a use of a grant %s', async (_what, statement, words) => {
  const first = await after((d) => store(d, statement))
  expect(first.where.row).toMatch(/^(grant_sessions|grants|sessions)\//)
  expect(first.text).toMatch(words)
})

it.each([
  ['in whose place somebody decided', 'update decisions set in_place_of = null where in_place_of is not null'],
  ['that somebody decided alone', 'update decisions set break_glass = 0 where break_glass = 1'],
  [
    'that somebody was asked who was not',
    `update approvals set escalated_to = '{"deletes":["leads"]}' where id in (select approval from break_glass)`,
  ],
  ['that nobody has looked at it', 'update break_glass set reviewed_at = null, reviewed_by = null, verdict = null'],
])('it is changed %s', async (_what, statement) => {
  const first = await after((d) => store(d, statement))
  expect(first).toMatchObject({ about: 'integrity', code: 'row-changed' })
})

it('a gateway token that ended 30 days ago may be gone', async () => {
  data = world.copy()
  store(data, 'delete from tokens')
  expect((await verify(data)).findings).toHaveLength(2)
  expect((await verify(data, { now: new Date(Date.now() + 31 * 86_400_000) })).findings).toEqual([])
})

describe('what agents used', () => {
  it.each([
    ['an agent’s day without a denial', 'update use_days set denied = 0 where denied > 0'],
    ['one allowed more', 'update use_days set allowed = allowed + 1'],
    ['one held less', 'update use_days set held = held - 1 where held > 0'],
    ['another resource', "update use_days set resource = 'orders/public.other' where type = 'Table'"],
    ['another agent', "update use_days set agent = agent || 'x'"],
    ['an earlier beginning', "update use_days set first_at = day || 'T00:00:00.000Z'"],
    ['nothing', 'delete from use_days'],
    ['a session more', 'update use_connections set sessions = sessions + 1'],
    ['a later last use', "update use_connections set last_at = '2099-01-01T00:00:00.000Z'"],
    ['no connection', 'delete from use_connections'],
    ['more entries than there are', "update meta set value = 99999 where name = 'use.next'"],
  ])('%s', async (_what, statement) => {
    const first = await after((d) => entries(d, statement))
    expect(first).toMatchObject({ about: 'integrity', code: 'use' })
    expect(first.text).toMatch(/^row (use_days|use_connections|meta)\//)
  })

  it('that is to be counted anew is told of, and is whole once it was', async () => {
    const first = await after((d) => entries(d, "update meta set value = 0 where name = 'use.next'"))
    expect(first).toMatchObject({ about: 'completeness', code: 'use-behind' })
  })
})

describe('rows of entries.sqlite', () => {
  it.each(['at', 'type', 'session', 'payload', 'salt', 'commitment'])('changed in %s', async (name) => {
    const value = { at: '2026-01-01T00:00:00.000Z', type: 'playback', session: 'se_other' }[name] ?? Buffer.alloc(32)
    const first = await after((d) => entries(d, `update entries set "${name}" = ? where n = 9`, value))
    expect(first.where).toMatchObject({ row: 'entries/9' })
  })
  it('an erased one that nobody erased', async () => {
    const erase = 'update entries set payload = null, salt = null where n = 9'
    expect(await after((d) => entries(d, erase))).toMatchObject({ code: 'erased-unexplained', where: { entry: 9 } })
  })
  it.each(['log.keys', 'log.signed'])('what is remembered of %s', async (name) => {
    expect((await after((d) => entries(d, 'update meta set value = ? where name = ?', 'x', name))).where.row).toBe(
      `meta/${name}`,
    )
  })
  it('an outbox row that counts as taken in', async () => {
    const row = ['2026-11-21T10:00:00.000Z', 'sign-in', '{"outcome":"ok","via":"api"}']
    const lost = (d: string) => {
      entries(d, "update meta set value = 1000 where name = 'outbox'")
      store(d, 'insert into audit_outbox (id, at, type, payload) values (900, ?, ?, ?)', ...row)
    }
    expect(await after(lost)).toMatchObject({ code: 'outbox-lost', where: { row: 'audit_outbox/900' } })
    rmSync(data, { recursive: true })
    const waits = (d: string) => store(d, 'insert into audit_outbox (at, type, payload) values (?, ?, ?)', ...row)
    expect(await after(waits)).toMatchObject({ about: 'completeness', code: 'outbox-waiting' })
  })
})
