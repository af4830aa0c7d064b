import type { BacktestResult, PolicyText } from '@countersign/contract/policies'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ConfiguredConnection } from '../access/connections.ts'
import type { Command, Effect } from '../gate/command.ts'
import type { AgentPrincipal } from '../identity/principal.ts'
import { loadPolicyTexts, type Policies } from '../policy/policy.ts'
import { bot } from '../policy/testing/policies.ts'
import type { LiveSession } from '../sessions/session.ts'
import { replay } from './replay.ts'
import { Past } from './testing/past.ts'

/** Policies that ask for all that a policy can ask for. */
const fragments = [
  'permit (principal, action, resource);',
  'permit (principal in Group::"ci", action in Action::"sql", resource in Connection::"orders");',
  'permit (principal, action in [Action::"sql:connect", Action::"sql:read"], resource);',
  'permit (principal, action, resource) when { context has grant };',
  'permit (principal, action, resource in Connection::"payments") when { context has grant && context.grant == "gr_1" };',
  'permit (principal, action == Action::"sql:write", resource) when { context.command.bounded };',
  'forbid (principal, action, resource) when { context.time.hour >= 18 || context.time.weekday > 5 };',
  'forbid (principal, action in Action::"sql", resource) when { context.command.functions.contains("pg_sleep") };',
  'forbid (principal, action in Action::"sql", resource) when { context.command.functions.containsAny(["lower", "refund"]) };',
  'forbid (principal, action == Action::"sql:read", resource is Table) when { resource.schema == "pg_temp" || resource.name == "Odd \\"one" };',
  'forbid (principal, action, resource) unless { context has purpose && context.purpose like "*ticket*" };',
  'forbid (principal, action, resource) when { principal has onBehalfOf && principal.onBehalfOf == "ada" };',
  'forbid (principal in Group::"night", action, resource);',
  'forbid (principal, action == Action::"sql:write", resource == Table::"orders/public.customers");',
  'forbid (principal, action, resource in Connection::"orders") when { resource is Table && resource.name like "c*" };',
  'forbid (principal, action, resource) when { context has "\\u{70}urpose" && context["\\u{70}urpose"] == "x" };',
  '@hold("dba") forbid (principal, action == Action::"sql:write", resource) unless { context has approval };',
  '@hold("dba") @quorum("2") @reason("all") forbid (principal, action == Action::"sql:write", resource) when { !context.command.bounded } unless { context has approval };',
  '@hold("sre") forbid (principal, action == Action::"sql:ddl", resource) unless { context has approval && context.approval.groups.contains("sre") };',
  'permit (principal, action, resource in Connection::"orders") when { principal.issuer == "https://idp.example.com" };',
]

const agent = (subject: string, groups: string[], onBehalfOf?: string): AgentPrincipal => ({
  ...bot,
  id: `https://idp.example.com#${subject}`,
  subject,
  groups,
  ...(onBehalfOf !== undefined && { onBehalfOf }),
})
const agents = [agent('ci', ['ci']), agent('night', ['ci', 'night']), agent('helper', ['help'], 'ada')]
const configured = (tags: string[], access: 'standing' | 'jit'): ConfiguredConnection[] => [
  { name: 'orders', kind: 'postgres', tags, access: 'standing', mode: 'enforce' },
  { name: 'payments', kind: 'postgres', tags: [], access, mode: 'enforce' },
  { name: 'watched', kind: 'postgres', tags: [], access: 'standing', mode: 'observe' },
]
const tables = [
  { schema: 'public', name: 'customers', id: 'public.customers' },
  { schema: 'public', name: 'Odd "one', id: 'public."Odd ""one"' },
  { schema: 'pg_temp', name: 'made', id: 'pg_temp_3.made' },
  { schema: 'other', name: 'notes', id: 'other.notes' },
]
const made = fc.record({
  action: fc.constantFrom('sql:connect', 'sql:read', 'sql:write', 'sql:ddl', 'sql:call', 'sql:unknown'),
  table: fc.constantFrom(...tables),
  kind: fc.constantFrom('select', 'delete', 'update', 'drop'),
  bounded: fc.boolean(),
  functions: fc.subarray(['pg_sleep', 'lower', 'refund']),
})
type Made = typeof made extends fc.Arbitrary<infer T> ? T : never
function effectOn(connection: string, { action, table, kind, bounded, functions }: Made): Effect {
  const command = { kind, bounded, functions }
  const { schema, name } = table
  if (action === 'sql:connect' || action === 'sql:unknown')
    return { action, resource: { type: 'Connection', id: connection }, command }
  const type = action === 'sql:call' ? 'Routine' : 'Table'
  return { action, resource: { type, id: `${connection}/${table.id}`, attrs: { schema, name } }, command }
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('command'), effects: fc.array(made, { maxLength: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass'), minutes: fc.integer({ min: 1, max: 900 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('session'),
      agent: fc.nat(2),
      connection: fc.constantFrom('orders', 'payments', 'watched'),
      purpose: fc.constantFrom(undefined, 'x', 'for ticket 12'),
      bound: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('grant'),
      agent: fc.nat(2),
      connection: fc.constantFrom('orders', 'payments'),
      actions: fc.constantFrom(['sql'], ['sql:read', 'sql:connect'], ['sql:write']),
      resources: fc.constantFrom(undefined, ['payments'], ['orders/public.*'], ['payments/public.customers']),
      minutes: fc.integer({ min: 5, max: 600 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke') }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('configure'), jit: fc.boolean(), tagged: fc.boolean() }),
  },
)
const holds = fragments.filter((text) => text.includes('@hold'))
/** One that permits a good deal, perhaps one that holds, and some more. */
const policySet = fc
  .tuple(
    fc.constantFrom(fragments[0]!, ...fragments.slice(0, 4)),
    fc.constantFrom([], ...holds.map((hold) => [hold])),
    fc.subarray(fragments, { maxLength: 2 }),
  )
  .map(([first, hold, more]) => [...new Set([first, ...hold, ...more])])
const stretch = fc.record({
  mine: policySet,
  draft: policySet,
  steps: fc.array(step, { minLength: 30, maxLength: 60 }),
})

function textsOf(chosen: string[]): PolicyText[] {
  return [{ file: 'random.cedar', text: chosen.join('\n') }]
}
function loaded(texts: PolicyText[]): Policies {
  const result = loadPolicyTexts(texts)
  if (!result.ok) throw new Error(result.problems.map(({ line, message }) => `${line}: ${message}`).join('\n'))
  return result.policies
}

test('a replay says of what was recorded what a gate with those policies says of it', async () => {
  await using past = await Past.begin('2026-11-18T15:00:00.000Z')
  await past.configure(configured(['production'], 'jit'))
  const stretches = fc.sample(stretch, { numRuns: 16, seed: 20261121 })
  const done: (Expected & { mine: string[]; draft: string[] })[] = []
  const doing = new Doing(past)
  for (const { mine, draft, steps } of stretches)
    done.push({ mine, draft, ...(await doing.steps(loaded(textsOf(mine)), loaded(textsOf(draft)), steps as Step[])) })
  await past.over()

  for (const { mine, draft, from, to, ran, counts } of done) {
    const window = { data: past.folder, from, to }
    const itself = await replay({ ...window, policies: textsOf(mine) })
    expect(summary(itself)).toMatchObject({ commands: ran, unreadable: 0, changed: 0, notes: [] })
    const result = await replay({ ...window, policies: textsOf(draft) })
    const { newlyAllowed, newlyHeld, newlyDenied } = result
    expect({ ...result.same, newlyAllowed, newlyHeld, newlyDenied }).toEqual(counts)
    expect(result.changes.reduce((sum, { commands }) => sum + commands, 0)).toBe(summary(result).changed)
    for (const { samples } of result.changes) for (const { text } of samples) expect(text).toMatch(/^statement \d+$/)
    const against = await replay({ ...window, policies: textsOf(draft), against: textsOf(mine) })
    expect({ ...against, seconds: 0 }).toEqual({ ...result, seconds: 0 })
  }
  expect(done.reduce((sum, { ran }) => sum + ran, 0)).toBeGreaterThan(200)
  for (const change of ['allow deny', 'allow hold', 'deny allow', 'hold allow', 'hold deny', 'deny hold'])
    expect(doing.seen).toContain(change)
}, 120_000)

interface Step {
  do: string
  agent?: number
  connection?: string
  purpose?: string
  bound?: boolean
  minutes?: number
  actions?: string[]
  resources?: string[]
  jit?: boolean
  tagged?: boolean
  effects?: Made[]
}
type Counts = Record<'allow' | 'hold' | 'deny' | 'newlyAllowed' | 'newlyHeld' | 'newlyDenied', number>
interface Expected {
  from: string
  to: string
  ran: number
  counts: Counts
}

/** Does what agents, and people around them, may do; and says what two gates think of each command. */
class Doing {
  readonly seen = new Set<string>()
  readonly #past: Past
  readonly #grants: { id: string; agent: number; connection: string }[] = []
  #session: LiveSession | undefined
  #jit = true

  constructor(past: Past) {
    this.#past = past
  }

  async steps(policies: Policies, draft: Policies, steps: Step[]): Promise<Expected> {
    const past = this.#past
    const from = new Date(past.now).toISOString()
    const counts: Counts = { allow: 0, hold: 0, deny: 0, newlyAllowed: 0, newlyHeld: 0, newlyDenied: 0 }
    let ran = 0
    for (const one of steps) {
      past.pass(1000)
      if (one.do !== 'command') {
        await this.#other(one)
        continue
      }
      const session = this.#session ?? (await past.session(agents[0]!, 'orders'))
      this.#session = session
      const effects = one.effects!.map((effect) => effectOn(session.connection.name, effect))
      const command = past.command(session, effects)
      const { outcome } = await past.run(policies, session, command)
      const was = command.connection.mode === 'observe' ? saidBy(past, policies, command) : outcomes[outcome]!
      const now = saidBy(past, draft, command)
      counts[was === now ? now : changes[now]]++
      this.seen.add(`${was} ${now}`)
      ran++
    }
    past.pass(1000)
    return { from, to: new Date(past.now).toISOString(), ran, counts }
  }

  async #other(one: Step): Promise<void> {
    const past = this.#past
    if (one.do === 'pass') past.pass(one.minutes! * 60_000)
    else if (one.do === 'revoke') {
      const last = this.#grants.pop()
      if (last) await past.revoke(last.id)
    } else if (one.do === 'grant') {
      const what = { actions: one.actions!, ...(one.resources && { resources: one.resources }) }
      const id = await past.grant(agents[one.agent!]!, one.connection!, what, one.minutes! * 60_000)
      this.#grants.push({ id, agent: one.agent!, connection: one.connection! })
    } else if (one.do === 'session') {
      const grant = this.#grants.findLast(
        ({ agent, connection }) => agent === one.agent && connection === one.connection,
      )
      const token = grant && one.bound ? { token: { id: 'gt', connection: grant.connection, grant: grant.id } } : {}
      this.#session = await past.session({ ...agents[one.agent!]!, ...token }, one.connection!, one.purpose)
    } else if (one.do === 'configure' && (this.#jit !== one.jit || one.tagged)) {
      // Whose connection was changed is out.
      this.#jit = one.jit!
      await past.configure(configured(one.tagged ? ['production'] : [], one.jit ? 'jit' : 'standing'))
      this.#session = undefined
    }
  }
}

const outcomes: Record<string, 'allow' | 'hold' | 'deny'> = { allow: 'allow', held: 'hold', denied: 'deny' }
const changes = { allow: 'newlyAllowed', hold: 'newlyHeld', deny: 'newlyDenied' } as const

/** What a gate with these policies says; of what it would let pass in mode observe, what policy says. */
function saidBy(past: Past, policies: Policies, command: Command): 'allow' | 'hold' | 'deny' {
  const { outcome, reason } = past.gate(policies).preview(command)
  if (!reason.startsWith('observed: ')) return outcome
  const said = reason.slice('observed: '.length)
  return said === 'allowed' ? 'allow' : said.startsWith('held by policy') ? 'hold' : 'deny'
}

function summary({ commands, unreadable, notes, newlyAllowed, newlyDenied, newlyHeld }: BacktestResult) {
  return {
    commands,
    unreadable,
    changed: newlyAllowed + newlyDenied + newlyHeld,
    notes: notes.filter((note) => !note.includes('mode: observe')),
  }
}
