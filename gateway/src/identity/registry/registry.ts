import type { AgentRecord, PersonRecord } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import type { PersonPrincipal, Principal } from '../principal.ts'
import { type AgentEntry, agentEntryOf, agentRecordOf, type Counted, nameOf } from './agent-entry.ts'
import { type AgentChanges, type Changed, createChanges, type Declaration } from './changes.ts'
import { type AgentQuery, type PeopleQuery, pageOfAgents, pageOfPeople } from './lists.ts'
import { answerableFor, People, type PersonEntry, personEntryOf, personRecordOf } from './people.ts'
import { writeSightings } from './sighted.ts'
import { createSightings, type SightingBounds } from './sightings.ts'

/** What agents used, as the ledger has it (sessions/ledger/use.ts). */
export interface UsedConnections {
  /** Connections of these agents, or of all, with their sessions. */
  connections(agents?: readonly string[]): Map<string, AgentRecord['connections']>
}

export interface RegistrySettings {
  /** Who was not seen for so long (ms) is taken to have left. */
  leftAfter: number
  /** Whether a token's `owner` claim names the sponsor where the registry was told none. */
  sponsorFrom: 'registry' | 'owner'
  /** Issuers whose tokens speak for agents. */
  agentIssuers: ReadonlySet<string>
}

/**
 * Ends all that an agent has, in one transaction with `write`. `committed` is called before anybody is told of what ended:
 * they go because their agent was disabled.
 * @param disabling because: in words, without a full stop
 */
export type EndAll = (
  agent: string,
  disabling: {
    by: PersonRef
    because: string
    at: Date
    write: (tx: Transaction<Tables>) => Promise<void>
    committed: () => void
  },
) => Promise<void>

export interface RegistryOptions {
  store: Store
  used: UsedConnections
  /** What else ends with an agent that is disabled; without it nothing does. */
  endAll?: EndAll
  settings: () => RegistrySettings
  log: Pick<BaseLogger, 'error' | 'warn'>
  /** Milliseconds since the epoch. */
  clock?: () => number
  bounds?: Partial<SightingBounds>
}

/** Who comes to the gateway, who answers for it, and what is known of it (docs/access.md, "Agents"). */
export interface Registry extends AsyncDisposable {
  /** Somebody was let in. Quick, never throws; it is written down soon, in batches. */
  seen(principal: Principal): void
  /** Resolves when what was seen until now is written down, or was found not to be writable. */
  flush(): Promise<void>
  /** Who disabled an agent, and why, where it is disabled. In memory. */
  disabled(agent: string): { by: string; reason: string } | undefined
  /** Who marked a person as left, and why. In memory. */
  left(person: string): { by: string; reason: string } | undefined
  /** Calls `listener` when an agent was disabled, after that is on disk. Answers the function that ends it. */
  onDisabled(listener: (agent: string, words: string) => void): () => void
  /** Calls `listener` when a key was taken from an agent, after that is on disk. */
  onKeyTaken(listener: (fingerprint: string) => void): () => void
  /** Calls `listener` when a person was marked as left, after that is on disk. */
  onLeft(listener: (person: PersonRef, by: PersonRef, words: string) => void): () => void
  /**
   * Who answers for an agent, sponsor and owner: as they were told, and the ids and e-mail addresses of whom that means. In
   * memory.
   */
  sponsorsOf(agent: string): readonly string[]
  /** Whether a person, and nobody else of the same name, is an agent's sponsor or owner. In memory. */
  answersFor(person: Pick<PersonPrincipal, 'id'>, agent: string): boolean
  /** Whose public key it is, by its fingerprint. In memory. */
  agentOfKey(fingerprint: string): string | undefined
  /** @throws BadRegistryCursor */
  agents(query: AgentQuery): Promise<{ items: AgentRecord[]; next: string | null }>
  agent(id: string): Promise<AgentRecord | undefined>
  /** What the registry knows of an agent, as it knows it. In memory. */
  entry(id: string): AgentEntry | undefined
  declare(agent: Declaration, by: PersonRef): Promise<Changed<AgentRecord>>
  change(id: string, changes: AgentChanges, by: PersonRef): Promise<Changed<AgentRecord>>
  /** @throws BadRegistryCursor */
  people(query: PeopleQuery): { items: PersonRecord[]; next: string | null }
  person(id: string): PersonRecord | undefined
  markLeft(id: string, left: boolean, by: PersonRef, reason: string): Promise<Changed<PersonRecord>>
}

/** What was seen within this time is written together (ms). */
const TOGETHER_MS = 250
/** How long until what could not be written is tried again (ms). */
const AGAIN_MS = 2000
/** So many sightings are one transaction. */
const AT_ONCE = 200

/** What the rooms of the registry share. */
export interface Known {
  agents: Map<string, AgentEntry>
  people: People
  /** Fingerprints of keys → agent. */
  keys: Map<string, string>
  /** Agents that were seen, but never declared. */
  seenOnly: number
}

/** Opens the registry with what the store knows. */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const { store, used, settings, log } = options
  const clock = options.clock ?? Date.now
  const known = await load(store)
  const listeners = {
    disabled: new Set<(agent: string, words: string) => void>(),
    left: new Set<(person: PersonRef, by: PersonRef, words: string) => void>(),
    keyTaken: new Set<(fingerprint: string) => void>(),
  }
  const sightings = createSightings({
    agent: (id) => known.agents.get(id),
    person: (id) => known.people.get(id),
    kept: () => ({ agents: known.seenOnly, people: known.people.size }),
    clock,
    over: (text, fields) => log.warn(fields, text),
    ...(options.bounds && { bounds: options.bounds }),
  })
  /** One change after another: what is in memory is what the last one left. */
  let last: Promise<unknown> = Promise.resolve()
  const serial = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work)
    last = next.catch(() => {})
    return next
  }

  const sponsorOf = (entry: AgentEntry) =>
    entry.sponsor ?? (settings().sponsorFrom === 'owner' ? (entry.owner ?? entry.identity?.owner) : undefined)
  const answerable = (entry: AgentEntry) =>
    answerableFor(sponsorOf(entry), known.people, new Date(clock() - settings().leftAfter).toISOString())
  const recordOf = (entry: AgentEntry, counted: Counted) => agentRecordOf(entry, counted, answerable(entry))
  const records = async (entries: readonly AgentEntry[]) => {
    const counted = await countedOf(store, used, entries)
    return entries.map((entry) => recordOf(entry, counted(entry.id)))
  }

  let timer: NodeJS.Timeout | undefined
  let closed = false
  const write = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    while (sightings.waiting > 0) {
      const some = sightings.take(AT_ONCE)
      try {
        await serial(() => writeSightings(store, known, some, records))
      } catch (error) {
        sightings.giveBack(some)
        log.error({ error }, 'who came could not be written down: it is tried again shortly')
        if (!closed) later(AGAIN_MS)
        return
      }
    }
  }
  const later = (ms: number) => {
    timer ??= setTimeout(() => void write(), ms).unref()
  }

  const alone: EndAll = async (_agent, { write, committed }) => {
    await store.db.transaction().execute(write)
    committed()
  }
  const endAll = options.endAll ?? alone
  const changes = createChanges({ store, known, settings, clock, records, serial, listeners, sponsorOf, endAll })
  return {
    seen(principal) {
      try {
        sightings.note(principal)
        if (sightings.waiting > 0 && !closed) later(TOGETHER_MS)
      } catch (error) {
        log.error({ error }, 'who came could not be noted')
      }
    },
    async flush() {
      await write()
      await last
    },
    disabled(agent) {
      const mark = known.agents.get(agent)?.disabled
      return mark && { by: mark.by.name, reason: mark.reason }
    },
    left(person) {
      const mark = known.people.get(person)?.left
      return mark && { by: mark.by.name, reason: mark.reason }
    },
    onDisabled: (listener) => listening(listeners.disabled, listener),
    onLeft: (listener) => listening(listeners.left, listener),
    onKeyTaken: (listener) => listening(listeners.keyTaken, listener),
    sponsorsOf(agent) {
      const entry = known.agents.get(agent)
      return entry ? namesOf(entry, known.people) : []
    },
    answersFor(person, agent) {
      const entry = known.agents.get(agent)
      if (!entry) return false
      return answering(entry).some((name) => {
        const found = known.people.find(name)
        return found.length === 1 && found[0]!.id === person.id
      })
    },
    agentOfKey: (fingerprint) => known.keys.get(fingerprint),
    entry: (id) => known.agents.get(id),
    agents: (query) =>
      pageOfAgents({ agents: known.agents, answerable, nameOf, used: () => used.connections(), records }, query),
    async agent(id) {
      const entry = known.agents.get(id)
      return entry && (await records([entry]))[0]
    },
    people: (query) => pageOfPeople(known.people, query),
    person(id) {
      const entry = known.people.get(id)
      return entry && personRecordOf(entry)
    },
    ...changes,
    async [Symbol.asyncDispose]() {
      closed = true
      clearTimeout(timer)
      await write()
      await last
    },
  }
}

async function load({ db }: Store): Promise<Known> {
  const agents = new Map<string, AgentEntry>()
  const keys = new Map<string, string>()
  let seenOnly = 0
  for (const row of await db.selectFrom('agents').selectAll().execute()) {
    const entry = agentEntryOf(row)
    agents.set(entry.id, entry)
    if (!entry.declared) seenOnly++
    for (const { fingerprint } of entry.keys) keys.set(fingerprint, entry.id)
  }
  const people = new People()
  for (const row of await db.selectFrom('people').selectAll().execute()) people.put(personEntryOf(row))
  return { agents, people, keys, seenOnly }
}

/** What is counted beside the registry, of these agents: by few questions, however many they are. */
async function countedOf(
  { db }: Store,
  used: UsedConnections,
  entries: readonly AgentEntry[],
): Promise<(agent: string) => Counted> {
  const ids = entries.length <= 50 ? entries.map(({ id }) => id) : undefined
  const count = async (table: 'sessions' | 'grants', state: 'open' | 'active') => {
    let query = db
      .selectFrom(table)
      .select((e) => ['agent', e.fn.countAll<number>().as('count')])
      .where('state', '=', state as never)
      .groupBy('agent')
    if (ids) query = query.where('agent', 'in', ids)
    return new Map((await query.execute()).map(({ agent, count }) => [agent, Number(count)]))
  }
  if (entries.length === 0) return () => ({ connections: [], openSessions: 0, liveGrants: 0 })
  const open = await count('sessions', 'open')
  const live = await count('grants', 'active')
  const connections = used.connections(ids)
  return (agent) => ({
    connections: connections.get(agent) ?? [],
    openSessions: open.get(agent) ?? 0,
    liveGrants: live.get(agent) ?? 0,
  })
}

/** Whoever the registry, or its token, says that an agent belongs to. */
const answering = ({ sponsor, owner, identity }: AgentEntry): string[] =>
  [sponsor, owner, identity?.owner].filter((name) => name !== undefined)

function namesOf(entry: AgentEntry, people: People): string[] {
  const names = new Set<string>()
  for (const name of answering(entry)) {
    names.add(name)
    // Not what they are called, nor a subject without its issuer: others may be called so, too.
    for (const { id, email } of people.find(name)) for (const one of [id, email]) if (one !== undefined) names.add(one)
  }
  return [...names]
}

function listening<T extends (...told: never[]) => void>(all: Set<T>, listener: T): () => void {
  // Wrapped, so that the same function given twice is two.
  const own = ((...told: never[]) => listener(...told)) as T
  all.add(own)
  return () => void all.delete(own)
}

export type { PersonEntry }
