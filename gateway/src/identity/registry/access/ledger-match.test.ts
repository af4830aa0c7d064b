import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { AccessAnswer, type AccessThen, type Grant } from '@countersign/contract/access'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { ConfiguredConnection } from '../../../access/connections.ts'
import { AccessWorld } from '../../../access/testing/world.ts'
import { readPolicyTexts } from '../../../policy/load.ts'
import { createPermitted, readableOf } from '../../../policy/permitted/permitted.ts'
import type { PermittedSets } from '../../../policy/permitted/reading.ts'
import { openEntries } from '../../../sessions/ledger/entries.ts'
import { answerOf } from './access-then.ts'
import { type Past, type PastGrant, pastOf, type Told } from './past.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 })

let world: AccessWorld
beforeAll(async () => {
  world = await AccessWorld.start()
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** mulberry32: the same history at every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const policySets = [
  `permit (principal, action in Action::"sql", resource) when { principal in Group::"ci" };
permit (principal, action == Action::"access:request", resource);
@id("asked") @hold("dba") forbid (principal, action == Action::"access:request", resource)
when { context.actions.contains("sql:write") } unless { context has approval };`,
  `permit (principal in Group::"ops", action in Action::"sql", resource);
permit (principal, action in [Action::"sql:connect", Action::"sql:read"], resource in Connection::"files");
permit (principal, action == Action::"access:request", resource);
@id("secrets") forbid (principal, action in Action::"sql", resource == Table::"files/public.secrets");
@id("deletes") @hold("dba") forbid (principal, action == Action::"sql:write", resource)
when { context.command.kind == "delete" } unless { context has approval };`,
  `permit (principal, action, resource) when { context has grant || resource in Connection::"files" };
permit (principal, action == Action::"access:request", resource);
@id("writing") @hold("dba") forbid (principal, action == Action::"sql:write", resource) unless { context has approval };
permit (principal, action == Action::"data:reveal", resource == DataClass::"email") when { context has grant };`,
]

it('who could do what at a moment is what the ledger alone says, line by line, over a seeded history', async () => {
  const below = seeded(20261121)
  const subjects = ['one', 'two', 'three', 'four', 'five']
  const groups = ['ci', 'ops', 'other']
  const names = ['orders', 'files', 'masked', 'watched']
  const grants: string[] = []
  const disabled = new Set<string>()
  const frozen = new Set<string>()
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!
  const come = async (subject: string) => {
    const mine = groups.filter(() => below(2) === 0)
    const token = await world.issuers.agents.agentToken({ subject, groups: mine })
    const answer = await world.call('/v1/me', token)
    expect(answer.status).toBe(disabled.has(subject) ? 403 : 200)
    return token
  }
  const steps: Record<string, () => Promise<void>> = {
    come: async () => void (await come(one(subjects))),
    async disable() {
      const subject = disabled.size > 1 ? [...disabled][0]! : one(subjects)
      const path = `/v1/agents/${encodeURIComponent(world.agent(subject))}`
      const turn = !disabled.has(subject)
      const answer = await world.call(path, await world.person('max'), { disabled: turn, reason: 'so it is' }, 'PATCH')
      if (answer.status !== 200) return
      if (turn) disabled.add(subject)
      else disabled.delete(subject)
    },
    async freeze() {
      // What is frozen is thawed sooner than it was frozen, or nobody could do anything for most of the time.
      const name = frozen.size > 0 && below(3) > 0 ? [...frozen][0]! : one([...names, '*'])
      const verb = frozen.has(name) ? 'unfreeze' : 'freeze'
      const path = name === '*' ? `/v1/${verb}` : `/v1/connections/${name}/${verb}`
      await world.as('max', path, { reason: 'a look at it' })
      if (!frozen.delete(name)) frozen.add(name)
    },
    async grant() {
      const token = await come(one(subjects))
      const connection = one(names)
      const resources = one([undefined, [`${connection}/public.items`], [`${connection}/public.*`, connection]])
      const asked = {
        connection,
        actions: one([['sql:read'], ['sql'], ['sql:write'], ['sql:read', 'data:reveal']]),
        ...(resources && { resources }),
        duration: one(['1h', '30m']),
        purpose: 'to see who could',
      }
      const answer = await world.call('/v1/grants', token, asked)
      if (answer.status !== 201) return
      const grant = (await answer.json()) as Grant
      grants.push(grant.id)
      if (grant.state !== 'requested' || below(4) === 0) return
      const [held] = (await world.approvals('&state=pending')).filter(({ id }) => id === grant.approval)
      const verdict = below(4) === 0 ? 'deny' : 'approve'
      if (!held) return
      // Nothing is approved where it is frozen.
      const decision = { verdict, reason: 'so it is', digest: held.command.digest }
      await world.call(`/v1/approvals/${held.id}/decisions`, await world.person('ada'), decision)
    },
    async revoke() {
      if (grants.length > 0)
        await world.call(`/v1/grants/${one(grants)}/revoke`, await world.person('max'), { reason: 'enough' })
    },
    async policy() {
      world.write(one(policySets))
      await world.reload()
    },
    async configure() {
      world.configure({
        orders: { access: one(['jit', 'standing']), tags: one([[], ['production']]) },
        watched: { mode: one(['observe', 'enforce']) },
      })
      await world.reload()
    },
  }
  const ways = [
    'come',
    'come',
    'grant',
    'grant',
    'grant',
    'disable',
    'freeze',
    'freeze',
    'revoke',
    'policy',
    'configure',
  ]
  world.write(policySets[0]!)
  await world.reload()
  for (const subject of subjects.slice(0, 3)) await come(subject)

  const asked: { at: string; items: AccessThen[] }[] = []
  for (let step = 0; step < 120; step++) {
    await steps[one(ways)]!()
    if (step % 3 === 0) asked.push(await ask(new Date()))
  }
  const [before] = asked
  const noon = await world.as<{ items: AccessThen[] }>('aud', `/v1/access?at=${before!.at.replace('Z', '%2B00:00')}`)
  expect(noon.items.length).toBeGreaterThan(0)
  // What was is not changed by what came after.
  const again: typeof asked = []
  for (const { at } of asked) again.push(await ask(new Date(at)))
  expect(again).toEqual(asked)
  await world.stop()

  using entries = openEntries(join(world.data, 'ledger'))
  const told = [...Array(entries.count()).keys()].map((n) => {
    const { at, type, payload } = entries.entry(n)!
    return { n, at, type, payload: JSON.parse(Buffer.from(payload!).toString()) }
  })
  let lines = 0
  for (const { at, items } of asked) {
    const rebuilt = await answerOf(
      pastFrom(told, at),
      { store: undefined as never, sets: setsBy(told) },
      { limit: 1e6 },
    )
    expect(rebuilt.items.map(lineText), at).toEqual(items.map(lineText))
    expect(rebuilt.items).toEqual(items)
    lines += items.length
  }
  // It was worth the comparison: lines of each kind, and of many moments.
  const all = asked.flatMap(({ items }) => items)
  expect(lines).toBeGreaterThan(1000)
  for (const verdict of ['allow', 'hold', 'depends']) expect(all.some((line) => line.verdict === verdict)).toBe(true)
  expect(all.some(({ observed }) => observed)).toBe(true)
  expect(all.some(({ through }) => through.kind === 'grant' && through.approvedBy.includes('Ada'))).toBe(true)
  expect(all.some(({ through }) => through.kind === 'grant' && through.approvedBy.length === 0)).toBe(true)
  expect(new Set(asked.map(({ items }) => JSON.stringify(items))).size).toBeGreaterThan(20)
})

const lineText = (line: AccessThen) => JSON.stringify(line)

async function ask(at: Date): Promise<{ at: string; items: AccessThen[] }> {
  const items: AccessThen[] = []
  for (let after: string | null = ''; after !== null; ) {
    const page = AccessAnswer.parse(
      await world.as('aud', `/v1/access?at=${at.toISOString()}&limit=40${after ? `&after=${after}` : ''}`),
    )
    items.push(...page.items)
    after = page.next
  }
  return { at: at.toISOString(), items }
}

// biome-ignore lint/suspicious/noExplicitAny: what the ledger says, of whatever type
type Entry = { n: number; at: string; type: string; payload: any }

/** The same past, from nothing but entries. */
function pastFrom(entries: readonly Entry[], at: string): Past {
  const until = entries
    .filter((entry) => entry.at <= at)
    .sort((a, b) => (a.at === b.at ? a.n - b.n : a.at < b.at ? -1 : 1))
  const identities: Told['identities'][number][] = []
  const states = new Map<string, 'active' | 'disabled'>()
  const frozen = new Set<string>()
  const grants = new Map<string, PastGrant>()
  const approvers = new Map<string, string[]>()
  let policy: string | undefined
  let connections: ConfiguredConnection[] = []
  for (const { type, payload } of until) {
    if (type === 'policy.changed') policy = payload.version
    if (type === 'connections.configured') connections = payload.connections
    if (type === 'agent.seen') identities.push(payload.agent)
    if (type === 'agent.disabled') states.set(payload.agent, 'disabled')
    if (type === 'agent.enabled') states.set(payload.agent, 'active')
    if (type === 'connection.frozen') frozen.add(payload.connection)
    if (type === 'connection.unfrozen') frozen.delete(payload.connection)
    if (type === 'approval.decided' && payload.verdict === 'approve')
      approvers.set(payload.approval, [...(approvers.get(payload.approval) ?? []), payload.person.name])
    if (type === 'grant.revoked' || type === 'grant.expired') grants.delete(payload.grant)
    if (type === 'grant.activated' && payload.expiresAt > at) {
      const {
        grant: id,
        agent,
        identity,
        connection,
        actions,
        resources,
        activeFrom: from,
        expiresAt,
        approval,
      } = payload
      const approvedBy = approvers.get(approval) ?? []
      grants.set(id, {
        id,
        agent,
        identity,
        connection,
        actions,
        ...(resources && { resources }),
        from,
        until: expiresAt,
        approvedBy,
      })
    }
  }
  const live = [...grants.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  return pastOf({ at, policy, connections, identities, states, frozen: [...frozen], grants: live })
}

/** Policies by the digests of their files, which the ledger has. */
function setsBy(entries: readonly Entry[]): PermittedSets {
  return {
    async of(version) {
      const { files } = entries.find(
        ({ type, payload }) => type === 'policy.changed' && payload.version === version,
      )!.payload
      const texts = files.map(({ path: file, sha256 }: { path: string; sha256: string }) => {
        const text = policySets.find((one) => createHash('sha256').update(one).digest('hex') === sha256)
        return { file, text: text! }
      })
      const read = readPolicyTexts(texts)
      if (!read.ok) throw new Error(JSON.stringify(read.problems))
      return createPermitted(version, readableOf(read.files.policies))
    },
    async [Symbol.asyncDispose]() {},
  }
}
