import { LedgerState } from '@countersign/contract/evidence'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { cosign, openCheckpoint, readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { utf8 } from '@countersign/contract/ledger/encoding'
import { verifyLog } from '@countersign/contract/ledger/log-verify'
import { formatVerifierKey, parseVerifierKey, signerKey } from '@countersign/contract/ledger/note'
import { tilePath, tilesOf } from '@countersign/contract/ledger/tiles'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { appendAudit } from '../store/audit.ts'
import { type Caller, startWorld, type World } from './testing/world.ts'

let world: World
let closed: string
beforeAll(async () => {
  world = await startWorld()
  const session = await world.session()
  session.recorder.append({
    type: 'command',
    command: 'c1',
    text: 'select 1',
    parameters: [],
    kind: 'select',
    effects: [],
    digest: `sha256:${'0'.repeat(64)}`,
    verdict: { outcome: 'allow', policies: ['a.cedar#1'] },
  })
  await world.hold(session)
  closed = session.id
  await session.close('closed', 'the client went')
  await world.ledger.signed()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const witness = signerKey(nodeCrypto, 'console.test/aud', 'cosignature', nodeCrypto.sha256(utf8('witness')))
const stranger = signerKey(nodeCrypto, 'console.test/x', 'cosignature', nodeCrypto.sha256(utf8('stranger')))
const state = async () => LedgerState.parse(await (await world.call('/v1/ledger', 'aud')).json())
const checkpoint = async () => (await world.call('/v1/ledger/checkpoint', 'aud')).text()
const send = (body: unknown, as: Caller = 'aud') =>
  world.call('/v1/ledger/cosignatures', as, { method: 'POST', body: JSON.stringify(body) })

describe('the ledger over HTTP', () => {
  it.each<[path: string, as: Caller | undefined, status: number]>([
    ...(['ada', 'rae', 'aud', 'max'] as const).map((as): [string, Caller, number] => ['/v1/ledger', as, 200]),
    ['/v1/ledger', 'nobody', 403],
    ['/v1/ledger', 'agent', 403],
    ['/v1/ledger', undefined, 401],
    ['/v1/ledger/checkpoint', 'ada', 200],
    ['/v1/ledger/checkpoint', 'agent', 403],
    ['/v1/ledger/tile/0/999', 'aud', 404],
    ['/v1/ledger/tile/0/0', 'aud', 404],
    ['/v1/ledger/tile/0/000.p/256', 'aud', 404],
    ['/v1/ledger/tile/..%2f..%2fkey', 'aud', 404],
    ['/v1/ledger/tile/entries/000', 'agent', 403],
    ['/v1/ledger/tile/entries/000', undefined, 401],
    ['/v1/ledger/cosignatures', 'aud', 405],
  ])('%s as %s is %i', async (path, as, status) => {
    const answer = await world.call(path, as)
    expect(answer.status).toBe(status)
    if (status >= 400) {
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
  })

  it('is a log that verifies by what is fetched alone', async () => {
    const { keys, origin } = await state()
    const note = await checkpoint()
    const key = parseVerifierKey(nodeCrypto.sha256, keys[0]!)
    expect(openCheckpoint(nodeCrypto, note, [key]).checkpoint.origin).toBe(origin)
    const report = await verifyLog(
      nodeCrypto,
      {
        checkpoint: async () => utf8(note),
        async tile(tile) {
          const answer = await world.call(`/v1/ledger/${tilePath(tile)}`, 'aud')
          return answer.status === 404 ? undefined : new Uint8Array(await answer.arrayBuffer())
        },
      },
      { keys: [key] },
    )
    expect(report.findings).toEqual([])
    expect(report.outcome).toBe('whole')
  })

  it('lets what never changes be kept, and nothing else', async () => {
    const lasting = 'private, max-age=31536000, immutable'
    const person = { id: 'https://idp#x', issuer: 'https://idp', subject: 'x', name: 'X' }
    for (let i = 0; i < 300; i++)
      await appendAudit(world.store.db, 'connection.frozen', { connection: 'orders', by: person, reason: `test ${i}` })
    await world.ledger.signed()
    const { size } = readCheckpoint(await checkpoint())
    for (const tile of tilesOf(size)) {
      const answer = await world.call(`/v1/ledger/${tilePath(tile)}`, 'rae')
      expect(answer.headers.get('content-type')).toBe('application/octet-stream')
      expect(answer.headers.get('cache-control')).toBe(tile.width === 256 ? lasting : 'private, no-cache')
    }
    expect((await world.call('/v1/ledger/checkpoint', 'rae')).headers.get('cache-control')).toBe('no-store')
    // A partial tile of before goes once its full one is there.
    expect(size).toBeGreaterThan(256)
    expect((await world.call('/v1/ledger/tile/entries/000', 'rae')).status).toBe(200)
  })

  it('takes cosignatures of its own checkpoints', async () => {
    await world.ledger.signed()
    const note = await checkpoint()
    const line = cosign(nodeCrypto, note, witness, 1_763_700_000)
    const key = formatVerifierKey(witness)
    const cosigned = await send({ key, note: note + line })
    expect(cosigned.status).toBe(204)
    expect(await checkpoint()).toContain(line)
    const { witnesses } = await state()
    expect(witnesses).toMatchObject([{ key, person: { name: 'aud' }, size: readCheckpoint(note).size }])
  })

  it.each<[what: string, change: (note: string, line: string) => unknown, as: Caller, status: number]>([
    ['a signature of another text', (note, line) => ({ note: note.replace(/\n\d+\n/, '\n1\n') + line }), 'aud', 400],
    ['no signature of that key', (note) => ({ note, key: formatVerifierKey(stranger) }), 'aud', 400],
    ['a key of another kind', (note, line) => ({ note: note + line, key: 'nobody' }), 'aud', 400],
    ['an agent', (note, line) => ({ note: note + line }), 'agent', 403],
    ['nobody’s', (note, line) => ({ note: note + line }), 'nobody', 403],
    ['something else', () => ({ note: 7 }), 'aud', 400],
  ])('refuses cosignatures: %s', async (_what, change, as, status) => {
    const note = await checkpoint()
    const line = cosign(nodeCrypto, note, witness, 1_763_700_001)
    const answer = await send({ key: formatVerifierKey(witness), ...(change(note, line) as object) }, as)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/problem+json'])
  })

  it('refuses a cosignature of a checkpoint that it has not signed', async () => {
    const other = signerKey(nodeCrypto, 'gw.test/ledger', 'ed25519', nodeCrypto.sha256(utf8('other')))
    const { signCheckpoint } = await import('@countersign/contract/ledger/checkpoint')
    const note = signCheckpoint(nodeCrypto, { size: 3, root: new Uint8Array(32) }, [other])
    const line = cosign(nodeCrypto, note, witness, 1_763_700_002)
    expect((await send({ key: formatVerifierKey(witness), note: note + line })).status).toBe(409)
  })
})

describe('a session’s bundle over HTTP', () => {
  const verified = async (answer: Response) => {
    const { keys } = await state()
    const key = parseVerifierKey(nodeCrypto.sha256, keys[0]!)
    return verifyBundle(nodeCrypto, new Uint8Array(await answer.arrayBuffer()), { keys: [key] })
  }

  it('is whole, says who made it, and is itself a playback in it', async () => {
    const answer = await world.call(`/v1/sessions/${closed}/bundle`, 'aud')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/x-tar')
    expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${closed}.evidence.tar"`)
    const report = await verified(answer)
    expect(report.findings).toEqual([])
    expect(report.outcome).toBe('whole')
    const { manifest } = report
    expect(manifest).toMatchObject({ about: { kind: 'session', session: closed }, madeBy: { name: 'aud' } })
    const types = manifest!.entries.map(({ type }) => type)
    for (const type of [
      'session.opened',
      'approval.opened',
      'command',
      'recording.chunk',
      'session.closed',
      'playback',
    ])
      expect(types).toContain(type)
    const rows = await (await world.call(`/v1/sessions/${closed}`, 'aud')).json()
    expect(manifest!.recordings).toEqual([
      { session: closed, bytes: (rows as { recording: { bytes: number } }).recording.bytes },
    ])
  })

  it('of an open session has what there is', async () => {
    const session = await world.session()
    const answer = await world.call(`/v1/sessions/${session.id}/bundle`, 'rae')
    const report = await verified(answer)
    expect(report.findings).toEqual([])
    expect(report.outcome).toBe('whole')
    expect(report.manifest!.recordings).toMatchObject([{ session: session.id, open: true }])
    await session.close('closed', 'done')
  })

  it.each<[as: Caller | undefined, status: number]>([
    [undefined, 401],
    ['agent', 403],
    ['nobody', 403],
    ['sam', 404],
    ['ada', 200],
  ])('as %s is %i', async (as, status) => {
    const answer = await world.call(`/v1/sessions/${closed}/bundle`, as)
    expect(answer.status).toBe(status)
    await answer.arrayBuffer()
  })

  it('of a session that is none is 404', async () => {
    expect((await world.call(`/v1/sessions/se_${'a'.repeat(24)}/bundle`, 'aud')).status).toBe(404)
    expect((await world.call('/v1/sessions/..%2f../bundle', 'aud')).status).toBe(404)
  })
})
