import { setImmediate as turn } from 'node:timers/promises'
import type { AgentRecord } from '@countersign/contract/access'
import type { Campaign, CampaignTemplate } from '@countersign/contract/review'
import type { BaseLogger } from 'pino'
import type { ConfiguredConnection } from '../../access/connections.ts'
import type { Clock } from '../../approvals/clock.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import type { Permitted, Subject } from '../../policy/permitted/permitted.ts'
import type { Used } from '../../sessions/ledger/used.ts'
import type { Store } from '../../store/store.ts'
import { grown } from './growth.ts'
import type { Templates } from './templates.ts'
import { LOOKED_BACK, unusualToday } from './unusual.ts'

type Kind = CampaignTemplate['triggers'][number]

/** Begins small campaigns when something changes: about the agents concerned, and about all of a while together. */
export interface Triggers extends AsyncDisposable {
  start(): Promise<void>
  /** Looks for what agents do unlike before; answers when to look again. */
  look(now: number): Promise<number>
  /** Begins what is waiting to be begun together; resolves when nothing is under way. */
  flush(): Promise<void>
}

const DAY = 86_400_000
/** What changes within this time is one campaign. */
const TOGETHER = 60_000
const LOOKS = 3_600_000
/** Of the same agent unusual use begins none so soon again. */
const QUIET = 7 * DAY

export function createTriggers(options: {
  store: Store
  registry: Registry
  used: Pick<Used, 'of' | 'days'>
  templates: Pick<Templates, 'list' | 'begin'>
  /** A set of policies that was in force; undefined where it isn't kept. */
  permitted: (version: string) => Promise<Permitted | undefined>
  connections: () => readonly ConfiguredConnection[]
  clock: () => number
  wake: Clock['wake']
  log: Pick<BaseLogger, 'error' | 'info'>
}): Triggers {
  const { store, registry, used, templates, clock, log } = options
  const { db } = store
  const groups = new Map<string, readonly string[]>()
  /** What is waiting to be begun together. */
  const waiting = new Map<string, { kind: Kind; about: string; since: string; agents: Set<string>; words: string[] }>()
  let cancel: (() => void) | undefined
  let last: Promise<unknown> = Promise.resolve()
  let lastChange = 0
  let lastLook = Number.NEGATIVE_INFINITY
  let closed = false
  const ends: (() => void)[] = []

  const serial = (what: string, work: () => Promise<void>): Promise<void> => {
    const next = last.then(() => (closed ? undefined : work()))
    last = next.catch((error) => log.error({ error }, what))
    return next.catch(() => {})
  }
  const instant = () => new Date(clock()).toISOString()
  const of = async (kind: Kind) => (await templates.list()).filter((one) => one.enabled && one.triggers.includes(kind))
  /** @param since what was begun about the same before then is another matter */
  const note = (kind: Kind, about: string, since: string, agents: readonly string[], words: string) => {
    if (agents.length === 0) return
    const key = `${kind}\n${about}`
    const known = waiting.get(key) ?? { kind, about, since, agents: new Set<string>(), words: [] }
    for (const agent of agents) known.agents.add(agent)
    known.words.push(words)
    waiting.set(key, known)
    cancel ??= options.wake(new Date(clock() + TOGETHER), () => void flush())
  }
  const flush = () =>
    serial('what changed could not be made a campaign', async () => {
      cancel?.()
      cancel = undefined
      const all = [...waiting.values()]
      waiting.clear()
      for (const { kind, about, since, agents, words } of all)
        for (const template of await of(kind)) {
          if (await isBegun(template.id, kind, about, since)) continue
          const begun = await templates.begin(template, { kind, about }, [...agents].sort(), wordsOf(words))
          if (begun)
            log.info({ campaign: begun, template: template.id, kind, about }, 'a campaign was begun by a change')
        }
    })
  const isBegun = async (template: string, kind: Kind, about: string, since: string): Promise<boolean> => {
    const rows = await db
      .selectFrom('campaigns')
      .select('trigger')
      .where('template', '=', template)
      .where('created_at', '>=', since)
      .execute()
    return rows.some(({ trigger }) => {
      const one = JSON.parse(trigger) as Campaign['trigger']
      return one.kind === kind && one.about === about
    })
  }

  const sponsorLeft = async (person: string, name: string, since: string) => {
    if ((await of('sponsor-left')).length === 0) return
    const agents = (await everyAgent()).filter(({ sponsor }) => sponsor === person)
    note(
      'sponsor-left',
      person,
      since,
      agents.map(({ id }) => id),
      `${name} has left`,
    )
  }
  const everyAgent = async (): Promise<AgentRecord[]> =>
    (await registry.agents({ limit: Number.MAX_SAFE_INTEGER })).items.filter(({ state }) => state === 'active')

  /** Looks at each change of policy since the last that it has seen. */
  const policyChanged = async () => {
    const enabled = await of('new-privilege')
    const times = await db
      .selectFrom('policy_times')
      .select(['id', 'version', 'at'])
      .where('id', '>=', lastChange)
      .orderBy('id')
      .execute()
    for (const [i, after] of times.entries()) {
      const before = times[i - 1]
      if (!before || after.id <= lastChange) continue
      lastChange = after.id
      if (!enabled.some(({ changedAt }) => (changedAt ?? '') <= after.at)) continue
      const sets = [await options.permitted(before.version), await options.permitted(after.version)] as const
      if (!sets[0] || !sets[1]) continue
      const agents = await grown(sets[0], sets[1], (await everyAgent()).map(subjectOf), options.connections())
      const about = `policy ${after.version}`
      note(
        'new-privilege',
        about,
        after.at,
        agents,
        `${agents.length === 1 ? 'one agent may' : `${agents.length} agents may`} more than before`,
      )
    }
    lastChange = times.at(-1)?.id ?? lastChange
  }
  const subjectOf = ({ id, issuer, groups }: AgentRecord): Subject => ({
    ...{ id, issuer, groups },
    owner: registry.entry(id)?.identity?.owner,
  })

  return {
    async start() {
      for (const agent of await everyAgent()) groups.set(agent.id, agent.groups)
      // The last change may have been made while the gateway was down.
      const [, before] = await db.selectFrom('policy_times').select('id').orderBy('id', 'desc').limit(2).execute()
      lastChange = before?.id ?? 0
      const failed = 'whether an agent may more than before could not be found out'
      void serial(failed, policyChanged)
      void serial('whose sponsor left could not be found out', async () => {
        const [first] = (await of('sponsor-left')).map(({ changedAt }) => changedAt ?? '').sort()
        if (first === undefined) return
        const { items } = registry.people({ limit: Number.MAX_SAFE_INTEGER })
        for (const { id, name, left } of items) if (left && left.at >= first) await sponsorLeft(id, name, left.at)
      })
      ends.push(
        registry.onLeft(({ id, name }) => {
          void serial('whose sponsor left could not be found out', () =>
            sponsorLeft(id, name, registry.person(id)?.left?.at ?? instant()),
          )
        }),
        store.feed.subscribe((message) => {
          if (message.type === 'policy.changed') void serial(failed, policyChanged)
          if (message.type !== 'agent.changed') return
          const { id, name, groups: now } = message.data
          const before = groups.get(id)
          groups.set(id, now)
          // Who comes for the first time has no more than before.
          if (before && now.some((group) => !before.includes(group)))
            note('new-privilege', 'groups', instant(), [id], `${name} has new groups`)
        }),
      )
    },
    async look(now) {
      if (now < lastLook + LOOKS) return lastLook + LOOKS
      lastLook = now
      const next = now + LOOKS
      const [template] = await of('unusual-use')
      if (!template) return next
      const since = new Date(now - LOOKED_BACK * DAY).toISOString().slice(0, 10)
      const quiet = await lately(template.id, new Date(now - QUIET).toISOString())
      for (const agent of await everyAgent()) {
        await turn()
        if (closed || quiet.has(agent.id)) continue
        const why = unusualToday(used.days(agent.id, since), used.of(agent.id, since, 5000), now)
        if (why !== undefined) note('unusual-use', 'use', instant(), [agent.id], `${agent.name}: ${why}`)
      }
      return next
    },
    flush,
    async [Symbol.asyncDispose]() {
      closed = true
      cancel?.()
      for (const end of ends) end()
      await last
    },
  }

  /** Agents that campaigns of a template were about since then. */
  async function lately(template: string, since: string): Promise<Set<string>> {
    const rows = await db
      .selectFrom('campaigns')
      .select(['plan', 'trigger'])
      .where('template', '=', template)
      .where('created_at', '>=', since)
      .execute()
    return new Set(
      rows
        .filter(({ trigger }) => (JSON.parse(trigger) as Campaign['trigger']).kind === 'unusual-use')
        .flatMap(({ plan }) => (JSON.parse(plan) as { scope: { agents?: string[] } }).scope.agents ?? []),
    )
  }
}

function wordsOf(all: readonly string[]): string {
  const [first, ...more] = new Set(all)
  return more.length === 0 ? first! : `${first} · and ${more.length} more`
}
