import { setImmediate } from 'node:timers/promises'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { ItemEvidence, type Probe, Recommendation } from '@countersign/contract/review'
import type { Kysely } from 'kysely'
import type { LoadedConfig } from '../../config/config.ts'
import type { Command, ConnectionRef, Effect, Gate } from '../../gate/command.ts'
import { judge } from '../../gate/judge.ts'
import type { AgentPrincipal } from '../../identity/principal.ts'
import type { AgentEntry } from '../../identity/registry/agent-entry.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import { blankComments, splitPolicies } from '../../policy/cedar-text.ts'
import { overlayFile } from '../../policy/overlay-text.ts'
import { mentionsIn } from '../../policy/permitted/mentioned.ts'
import type { NamedResource } from '../../policy/permitted/resources.ts'
import { loadPolicyTexts, type Policies } from '../../policy/policy.ts'
import type { Tables } from '../../store/tables.ts'
import { type About, cellOf, effectsAbout, keptBy, kindOf } from './probes.ts'
import type { OverlayRow } from './rows.ts'

/** What came of asking the gate. */
export interface Probed {
  probes: Probe[]
  /** What is another than it was, and should not be; in words. */
  broke: string[]
  /** What should be refused, and isn't; in words. */
  missed: string[]
}

export interface Prober {
  /**
   * Asks the gate, as it is now, what the overlay is to change and what it is not to.
   * @param before the set without the overlay: what all else is to be answered by
   * @param enforced whether the overlay is in force now: if not, all is to be answered as by `before`
   */
  probe(row: OverlayRow, before: Policies, enforced: boolean): Promise<Probed>
}

/** Other agents, and other connections of the same agent, of which a few questions are asked each. */
const OTHERS = { agents: 12, connections: 4, questions: 6 }
/** So many questions at a time (some 0.5 ms each). */
const AT_ONCE = 8
const SAYS_MOST = 5

export function createProber(parts: {
  db: Kysely<Tables>
  config: () => LoadedConfig
  registry: Pick<Registry, 'entry' | 'agents'>
  gate: Pick<Gate, 'preview'>
  clock: () => number
}): Prober {
  const { db, registry, gate } = parts

  const refOf = (name: string): ConnectionRef | undefined => {
    const connection = parts.config().connections.get(name)
    // As it would be enforced: what is only observed is answered by policy all the same.
    return (
      connection && { name, kind: connection.kind, tags: connection.tags, mode: 'enforce', access: connection.access }
    )
  }
  const asked = (agent: AgentPrincipal, connection: ConnectionRef, effect: Effect): Command => ({
    protocol: protocols[connection.kind] ?? 'postgres',
    connection,
    agent,
    session: {
      id: 'probe',
      ...(effect.action === 'access:request' && { purpose: 'whether an overlay of a review does what it says' }),
      // Where a grant is needed, policy is asked as if there were one.
      ...(connection.access === 'jit' && {
        backing: { needed: true, grants: [{ id: 'probe', actions: everything, endsAt: Number.POSITIVE_INFINITY }] },
      }),
    },
    text: 'probe',
    parameters: [],
    kind: kindOf(effect),
    effects: [effect],
    meaning: {},
  })

  const hour = () => Math.floor(parts.clock() / 3_600_000)
  return {
    async probe(row, before, enforced) {
      const began = hour()
      const probed = await probe(row, before, enforced)
      // Policies may know the hour: answers of two are not compared.
      return began === hour() ? probed : probe(row, before, enforced)
    },
  }

  async function probe(row: OverlayRow, before: Policies, enforced: boolean): Promise<Probed> {
    const connection = refOf(row.connection)
    if (!connection)
      return {
        probes: [],
        broke: [],
        missed: [`${row.connection} is not configured any more, so that nothing can be asked`],
      }
    const alone = aloneOf(row)
    const now = new Date(parts.clock())
    const probes: Probe[] = []
    const broke: string[] = []
    const missed: string[] = []
    const ask = async (agent: AgentPrincipal, on: ConnectionRef, effect: Effect, expect: Probe['expect']) => {
      const command = asked(agent, on, effect)
      const was = judge(before, command, now)
      const is = gate.preview(command)
      const ok = expect === 'deny' ? is.outcome === 'deny' : is.outcome === was.outcome
      const { action, resource } = effect
      const probe: Probe = {
        ...{ action, resource: resource.id, kind: kindOf(effect), expect },
        ...(typeof effect.command.bounded === 'boolean' && { bounded: effect.command.bounded }),
        ...(action === 'ssh:exec' && effect.command.shell === true && { shell: true }),
        before: was.outcome,
        got: is.outcome,
        ok,
        ...(agent.id !== row.agent && { agent: agent.id }),
        ...(on.name !== row.connection && { connection: on.name }),
      }
      probes.push(probe)
      if (!ok) (expect === 'deny' ? missed : broke).push(wordsOf(probe))
      // Commands of others are not to wait for it.
      if (probes.length % AT_ONCE === 0) await setImmediate()
    }

    const item = await itemOf(db, row)
    const named = namedIn(before, row)
    const about: About = {
      ...connection,
      connection: row.connection,
      evidence: item?.evidence,
      named,
      requests: row.agent === '',
    }
    const effects = effectsAbout(about)
    const kept = item && enforced ? keptBy(item.recommendation, row.policy, item.evidence) : new Set<string>()
    const subjects =
      row.agent === ''
        ? await concernedBy(registry, alone, connection)
        : [principalOf(row.agent, registry.entry(row.agent))]
    for (const agent of subjects)
      for (const effect of effects) {
        const denies =
          alone.decide({ principal: agent, connection, effect, context: contextOf(effect, now) }).outcome === 'deny'
        const revoked = row.kind === 'revoke' && row.agent !== '' && effect.action !== 'data:reveal'
        const expect = enforced && (revoked || denies) && !kept.has(cellOf(effect)) ? 'deny' : 'as-before'
        await ask(agent, connection, effect, expect)
      }
    if (enforced && !probes.some(({ expect }) => expect === 'deny'))
      missed.push('nothing that was asked would be refused by it')

    const few = spread(effects, OTHERS.questions)
    for (const other of await othersThan(registry, row.agent))
      for (const effect of few) {
        const denies =
          row.agent === '' &&
          alone.decide({ principal: other, connection, effect, context: contextOf(effect, now) }).outcome === 'deny'
        if (!denies) await ask(other, connection, effect, 'as-before')
      }
    const elsewhere = [...parts.config().connections.keys()].filter((name) => name !== row.connection)
    for (const name of elsewhere.slice(0, OTHERS.connections)) {
      const on = refOf(name)!
      const there = spread(
        effectsAbout({ ...on, connection: name, named, requests: row.agent === '' }),
        OTHERS.questions,
      )
      for (const agent of subjects.slice(0, 1)) for (const effect of there) await ask(agent, on, effect, 'as-before')
    }
    return { probes, broke: someOf(broke), missed: someOf(missed) }
  }
}

const protocols: Record<string, Command['protocol']> = {
  postgres: 'postgres',
  ssh: 'ssh',
  kubernetes: 'kubernetes',
  http: 'http',
  mcp: 'mcp',
}
const everything = ['sql', 'ssh', 'k8s', 'http', 'mcp', 'data:reveal', 'access:request']

const contextOf = (effect: Effect, time: Date) => ({
  time,
  ...(effect.action === 'access:request' && { purpose: 'whether an overlay of a review does what it says' }),
})

/** The overlay where all else is permitted: what it says by itself. */
function aloneOf({ id, policy }: OverlayRow): Policies {
  const all = 'permit (principal, action, resource);'
  const loaded = loadPolicyTexts([
    { file: 'all.cedar', text: all },
    { file: overlayFile(id), text: policy },
  ])
  if (!loaded.ok) throw new Error(loaded.problems.map(({ message }) => message).join('; '))
  return loaded.policies
}

/** Resources that policies, those of the overlay too, speak of. */
function namedIn({ texts }: Policies, { policy }: OverlayRow): NamedResource[] {
  const found = new Map<string, NamedResource>()
  for (const { text } of [...texts, { text: policy }])
    for (const one of namedInText(text)) found.set(JSON.stringify([one.type, one.id]), one)
  return [...found.values()]
}

/** By a file's text, of those asked about last: all but one of them are the same the next time. */
const named = new Map<string, readonly NamedResource[]>()
const MOST_TEXTS = 2000

function namedInText(text: string): readonly NamedResource[] {
  const known = named.get(text)
  if (known) return known
  const parsed = splitPolicies(blankComments(text)).map((part) => cedar.policyToJson(part.text))
  const { resources } = mentionsIn(parsed.flatMap((one) => (one.type === 'success' ? [one.json] : [])))
  named.set(text, resources)
  if (named.size > MOST_TEXTS) named.delete(named.keys().next().value!)
  return resources
}

async function itemOf(db: Kysely<Tables>, { item }: OverlayRow) {
  if (item === null) return undefined
  const row = await db
    .selectFrom('campaign_items')
    .select(['evidence', 'recommendation'])
    .where('id', '=', item)
    .executeTakeFirst()
  const evidence = row && ItemEvidence.safeParse(JSON.parse(row.evidence))
  const recommendation = row && Recommendation.safeParse(JSON.parse(row.recommendation))
  return evidence?.success && recommendation?.success
    ? { evidence: evidence.data, recommendation: recommendation.data }
    : undefined
}

/** An agent as its newest token said that it is. */
export function principalOf(id: string, entry: AgentEntry | undefined): AgentPrincipal {
  const cut = id.indexOf('#')
  const { issuer, subject } = entry ?? { issuer: id.slice(0, Math.max(cut, 0)), subject: id.slice(cut + 1) }
  const [onBehalfOf] = entry?.actsFor ?? []
  return {
    kind: 'agent',
    ...{ id, issuer, subject },
    name: entry?.identity?.name ?? entry?.name ?? subject,
    groups: entry?.identity?.groups ?? [],
    ...(entry?.identity?.owner !== undefined && { owner: entry.identity.owner }),
    ...(onBehalfOf !== undefined && { onBehalfOf }),
    expiresAt: new Date(8.64e15),
  }
}

type Agents = Pick<Registry, 'entry' | 'agents'>

/** Agents that have something to do with a rule: those whose requests it says no to, as far as the registry knows them. */
async function concernedBy(registry: Agents, alone: Policies, connection: ConnectionRef): Promise<AgentPrincipal[]> {
  const { items } = await registry.agents({ limit: 1000 })
  const all = items.map(({ id }) => principalOf(id, registry.entry(id)))
  const [request] = effectsAbout({ ...connection, connection: connection.name, named: [], requests: true })
  const context = contextOf(request!, new Date())
  const found = all.filter(
    (principal) => alone.decide({ principal, connection, effect: request!, context }).outcome === 'deny',
  )
  const some = found.length > 0 ? found : all
  return some.slice(0, OTHERS.agents)
}

/** Other agents, and one that nobody knows and that is in the same groups. */
async function othersThan(registry: Agents, agent: string): Promise<AgentPrincipal[]> {
  const { items } = await registry.agents({ limit: OTHERS.agents + 1 })
  const known = items.filter(({ id }) => id !== agent).slice(0, OTHERS.agents)
  const others = known.map(({ id }) => principalOf(id, registry.entry(id)))
  if (agent === '') return others
  const like = principalOf(agent, registry.entry(agent))
  return [...others, { ...like, id: `${like.id}-probe`, subject: `${like.subject}-probe` }]
}

/** Some of many, from all over them. */
function spread<T>(all: readonly T[], most: number): T[] {
  const step = Math.max(1, all.length / most)
  return Array.from({ length: Math.min(most, all.length) }, (_, at) => all[Math.floor(at * step)]!)
}

function wordsOf({ action, resource, kind, bounded, shell, expect, before, got, agent, connection }: Probe): string {
  const who = agent === undefined ? '' : ` of ${agent}`
  const where = connection === undefined ? '' : ` by ${connection}`
  const what = `${action} on ${resource} (${kind}${bounded === false ? ', every row' : ''}${shell ? ', through the shell' : ''})${who}${where}`
  return expect === 'deny' ? `${what} is answered ${got}, and should be denied` : `${what} was ${before}, and is ${got}`
}

function someOf(words: readonly string[]): string[] {
  const more = words.length - SAYS_MOST
  return more > 0 ? [...words.slice(0, SAYS_MOST), `and ${more} more`] : [...words]
}
