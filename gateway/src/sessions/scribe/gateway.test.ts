import { hash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EntryType } from '@countersign/contract/ledger/payloads'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { aud, GatewayWorld, verify } from '../../verify/testing/world.ts'
import { entriesIn, type ReadEntry } from './testing/read.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const eve = { subject: 'eve', groups: ['audit'] }

let world: GatewayWorld
let all: ReadEntry[]
let playedSession: string
beforeAll(async () => {
  world = await GatewayWorld.start()
  const gateway = await world.serve()
  await world.work()
  // A person looks, page by page; somebody isn't let in; the configuration is read anew, once broken, once with another policy.
  playedSession = (await world.sessions())[0]!
  for (const after of [0, 2, 4]) await world.call(`/v1/sessions/${playedSession}/events?after=${after}`, aud)
  await (await world.call(`/v1/sessions/${playedSession}/recording`, eve)).text()
  for (let i = 0; i < 3; i++)
    await fetch(`http://${gateway.addresses.api}/v1/me`, { headers: { authorization: 'Bearer a.b.c' } })
  await expect(world.client('stranger', '').then((client) => client.query('select 1'))).resolves.toBeDefined()
  const config = readFileSync(world.config, 'utf8')
  writeFileSync(world.config, config.replace('"connections"', '"konnections"'))
  await gateway.reload()
  writeFileSync(world.config, config)
  writeFileSync(
    join(world.folder, 'policy', 'more.cedar'),
    '@id("more") forbid (principal, action == Action::"sql:admin", resource);',
  )
  await gateway.reload()
  await world.stop()
  all = entriesIn(world.data)
})
afterAll(() => world?.[Symbol.asyncDispose]())

const of = (type: EntryType) => all.filter((entry) => entry.type === type).map(({ payload }) => payload)

describe('what happens at a gateway', () => {
  it('makes a ledger that is whole', async () => {
    const report = await verify(world.data)
    expect(report.findings).toEqual([])
    expect(report).toMatchObject({ outcome: 'whole', entries: all.length })
  })

  it('begins and ends with the gateway', () => {
    expect(all.map(({ type }) => type).filter((type) => type.startsWith('gateway.'))).toEqual([
      'gateway.started',
      'gateway.stopped',
    ])
    expect(of('gateway.started')).toEqual([{ version: expect.stringMatching(/^\d/), found: [] }])
    expect(all.at(-1)).toMatchObject({ type: 'gateway.stopped', payload: { reason: 'it was told to stop' } })
  })

  it('says each policy that was in force, before anything was decided by it', () => {
    const file = (name: string) => ({
      path: name,
      sha256: hash('sha256', readFileSync(join(world.folder, 'policy', name))),
    })
    expect(of('policy.changed')).toMatchObject([
      { files: [file('base.cedar')], by: { kind: 'gateway' }, reason: 'the gateway started' },
      { files: [file('base.cedar'), file('more.cedar')], by: { kind: 'gateway' } },
    ])
    const [first] = of('policy.changed')
    expect(all.findIndex(({ type }) => type === 'policy.changed')).toBeLessThan(
      all.findIndex(({ type }) => type === 'session.opened'),
    )
    expect(of('session.opened').map(({ policy }) => policy)).toEqual([first.version, first.version, first.version])
    expect(of('config.reloaded')).toEqual([
      { outcome: 'refused', sha256: expect.any(String), problems: [expect.stringContaining('konnections')] },
      { outcome: 'ok', sha256: hash('sha256', readFileSync(world.config)) },
    ])
  })

  it('says each session once, from its beginning to its end', () => {
    const opened = of('session.opened')
    expect(opened.map(({ agent }) => agent.subject).sort()).toEqual(['deployer', 'reporter', 'stranger'])
    expect(opened.find(({ agent }) => agent.subject === 'deployer')).toMatchObject({
      connection: 'orders',
      protocol: 'postgres',
      mode: 'enforce',
      purpose: 'cleaning',
      client: { address: '127.0.0.1' },
    })
    const closed = of('session.closed')
    expect(closed.map(({ session }) => session).sort()).toEqual(opened.map(({ session }) => session).sort())
    for (const { session, commands, recording } of closed) {
      const chunks = of('recording.chunk').filter((chunk) => chunk.session === session)
      expect(commands).toBe(of('command').filter((command) => command.session === session).length)
      expect(recording).toEqual({ chunks: chunks.length, bytes: chunks.reduce((sum, { length }) => sum + length, 0) })
    }
  })

  it('says each command once, with its verdict, and its approval where it was held', () => {
    const { session } = of('session.opened').find(({ agent }) => agent.subject === 'deployer')
    const approvals = of('approval.opened').map(({ approval }) => approval)
    const commands = of('command').filter((command) => command.session === session)
    expect(commands.map(({ kind, verdict, approval }) => [kind, verdict.outcome, approval])).toEqual([
      ['connect', 'allow', undefined],
      ['select', 'allow', undefined],
      ['insert', 'allow', undefined],
      ['truncate', 'deny', undefined],
      ['select', expect.any(String), undefined],
      ['delete', 'hold', approvals[0]],
      ['delete', 'hold', approvals[1]],
    ])
    expect(of('command')).toHaveLength(7 + 21 + 2)
  })

  it('says each approval, who decided it how, and how it ended', () => {
    const opened = of('approval.opened')
    expect(opened).toMatchObject([
      { connection: 'orders', requirements: [{ policy: 'deletes', groups: ['dba'], quorum: 1 }] },
      { connection: 'orders' },
    ])
    const [one, two] = opened.map(({ approval, session, digest }) => ({ approval, session, digest }))
    expect(of('approval.decided')).toMatchObject([
      { ...one, person: { subject: 'ada' }, verdict: 'approve', reason: 'so it is, approve', window: '1h' },
      { ...two, person: { subject: 'ada' }, verdict: 'deny', window: 'once' },
    ])
    const ended = (told: object | undefined) => ({ ...told, digest: undefined })
    expect(of('approval.closed').map((closed) => ({ ...closed, digest: undefined }))).toEqual([
      { ...ended(one), state: 'used' },
      { ...ended(two), state: 'denied', reason: expect.stringContaining('ada') },
    ])
  })

  it('says who looked at what: a burst of pages is one playback', () => {
    expect(of('playback').map(({ session, by, where, what }) => [session, by.subject, where, what])).toEqual([
      [playedSession, 'aud', 'gateway', 'events'],
      [playedSession, 'eve', 'gateway', 'recording'],
    ])
  })

  it('says who was let in once for each token, and counts who was refused', () => {
    const signIns = of('sign-in')
    expect(signIns.filter(({ outcome }) => outcome === 'ok').map(({ via, who }) => `${via} ${who.subject}`)).toEqual(
      expect.arrayContaining(['api ada', 'api aud']),
    )
    expect(signIns.filter(({ outcome }) => outcome === 'refused')).toEqual([
      { outcome: 'refused', via: 'api', address: '127.0.0.1', reason: 'what was presented is no token', count: 3 },
    ])
    expect(JSON.stringify(all)).not.toContain('a.b.c')
  })

  it('is left out nowhere: the store has nothing that waits, and knows each session as logged', async () => {
    const { openStore } = await import('../../store/store.ts')
    await using store = await openStore(join(world.data, 'countersign.sqlite'))
    expect(await store.db.selectFrom('audit_outbox').selectAll().execute()).toEqual([])
    const sessions = await store.db.selectFrom('sessions').select('in_ledger').execute()
    expect(sessions.map((session) => session.in_ledger)).toEqual([1, 1, 1])
  })
})
