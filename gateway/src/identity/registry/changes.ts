import type { AgentDeclaration, AgentPatch, AgentRecord } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { Transaction } from 'kysely'
import type { z } from 'zod'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { hasControl, isVisible } from '../claim.ts'
import { type AgentEntry, agentRowOf, type KeptKey, nameOf } from './agent-entry.ts'
import { type PersonEntry, personRecordOf, personRowOf } from './people.ts'
import type { EndAll, Known, Registry, RegistrySettings } from './registry.ts'
import { parseSshKey, SshKeyRefused } from './ssh-keys.ts'

export type AgentChanges = z.output<typeof AgentPatch>
export type Declaration = z.output<typeof AgentDeclaration>

/** What came of a change; where nothing did, why, in a sentence. */
export type Changed<T> =
  | { ok: true; is: T }
  | { ok: false; problem: 'unknown' | 'invalid' | 'conflict'; message: string }

interface Changing {
  store: Store
  known: Known
  settings: () => RegistrySettings
  clock: () => number
  records: (entries: readonly AgentEntry[]) => Promise<AgentRecord[]>
  serial: <T>(work: () => Promise<T>) => Promise<T>
  sponsorOf: (entry: AgentEntry) => string | undefined
  endAll: EndAll
  listeners: {
    disabled: Set<(agent: string, words: string) => void>
    left: Set<(person: PersonRef, by: PersonRef, words: string) => void>
    keyTaken: Set<(fingerprint: string) => void>
  }
}

/** Of somebody who has left so many agents are told of on the feed; lists tell of all. */
const MOST_TOLD = 1000

/** What people change of the registry: each change is one transaction, with its entry and its message. */
export function createChanges(changing: Changing): Pick<Registry, 'declare' | 'change' | 'markLeft'> {
  const { store, known, clock, records, serial, listeners, endAll } = changing
  const now = () => new Date(clock())

  /** Writes an agent as it is now, says so, and knows it; `disabling` says why, where all that it has ends with that. */
  const put = async (
    entry: AgentEntry,
    at: Date,
    say: (tx: Transaction<Tables>) => Promise<unknown>,
    disabling?: { by: PersonRef; because: string },
  ): Promise<AgentRecord> => {
    const before = known.agents.get(entry.id)
    const row = agentRowOf(entry)
    const [counted] = await records([entry])
    const record = disabling ? { ...counted!, liveGrants: 0 } : counted!
    const write = async (tx: Transaction<Tables>) => {
      await tx
        .insertInto('agents')
        .values(row)
        .onConflict((c) => c.column('id').doUpdateSet(row))
        .execute()
      await say(tx)
      await appendFeed(tx, 'agent.changed', record, at)
    }
    const committed = () => {
      for (const { fingerprint } of before?.keys ?? []) known.keys.delete(fingerprint)
      for (const { fingerprint } of entry.keys) known.keys.set(fingerprint, entry.id)
      if (before && !before.declared && entry.declared) known.seenOnly--
      known.agents.set(entry.id, entry)
      for (const { fingerprint } of before?.keys ?? [])
        if (known.keys.get(fingerprint) !== entry.id) for (const tell of listeners.keyTaken) tell(fingerprint)
      if (disabling) for (const tell of listeners.disabled) tell(entry.id, disabling.because)
    }
    if (disabling) await endAll(entry.id, { ...disabling, at, write, committed })
    else {
      await store.db.transaction().execute(write)
      committed()
    }
    return record
  }
  /** What was asked for in the registry's own words. @throws Refused */
  const told = (entry: AgentEntry, changes: Omit<AgentChanges, 'disabled' | 'reason'>, by: PersonRef, at: Date) => {
    const { name, owner, sponsor, purpose, environment, keys } = changes
    const of = { name, owner, sponsor, environment }
    for (const [what, value] of Object.entries(of))
      if (typeof value === 'string' && hasControl(value))
        throw new Refused('invalid', `${what} has characters that can’t be shown: write it on one line`)
      else if (typeof value === 'string' && !isVisible(value))
        throw new Refused('invalid', `there is nothing to see of ${what}: write it with letters`)
    if (typeof purpose === 'string' && hasControl(purpose.replace(/[\r\n\t]/g, ' ')))
      throw new Refused('invalid', 'purpose has characters that can’t be shown')
    return {
      ...entry,
      ...replaced('name', name),
      ...replaced('owner', typeof owner === 'string' ? resolved('owner', owner) : owner),
      ...replaced('sponsor', typeof sponsor === 'string' ? resolved('sponsor', sponsor) : sponsor),
      ...replaced('purpose', purpose),
      ...replaced('environment', environment),
      ...(keys !== undefined && { keys: keysOf(entry, keys, by, at) }),
    } as AgentEntry
  }
  /** One person's id, where a name can mean only one; a name that nobody has come by yet stays as it is. */
  const resolved = (what: string, name: string): string => {
    const found = known.people.find(name)
    if (found.length > 1)
      throw new Refused('conflict', `${what} ${JSON.stringify(name)} can be ${found.length} people: give the id of one`)
    return found[0]?.id ?? name
  }
  const keysOf = (entry: AgentEntry, texts: readonly string[], by: PersonRef, at: Date): KeptKey[] => {
    const keys: KeptKey[] = []
    for (const [index, text] of texts.entries()) {
      try {
        const key = parseSshKey(text)
        const owner = known.keys.get(key.fingerprint)
        if (owner !== undefined && owner !== entry.id)
          throw new Refused('conflict', `key ${key.fingerprint} is another agent’s (${owner}): a key belongs to one`)
        const had = entry.keys.find(({ fingerprint }) => fingerprint === key.fingerprint)
        if (!keys.some(({ fingerprint }) => fingerprint === key.fingerprint))
          keys.push(had ? { ...had, comment: key.comment } : { ...key, addedAt: at.toISOString(), addedBy: by.name })
      } catch (error) {
        if (error instanceof SshKeyRefused) throw new Refused('invalid', `key ${index + 1}: ${error.message}`)
        throw error
      }
    }
    return keys
  }
  const guarded = <T>(work: () => Promise<Changed<T>>): Promise<Changed<T>> =>
    serial(async () => {
      try {
        return await work()
      } catch (error) {
        if (error instanceof Refused) return { ok: false, problem: error.problem, message: error.message }
        throw error
      }
    })

  return {
    declare: ({ issuer, subject, ...rest }, by) =>
      guarded(async () => {
        if (!changing.settings().agentIssuers.has(issuer))
          throw new Refused(
            'invalid',
            `${JSON.stringify(issuer)} is no issuer for agents: add it to identity.issuers first`,
          )
        if (hasControl(subject)) throw new Refused('invalid', 'subject has characters that can’t be shown')
        const id = `${issuer}#${subject}`
        const before = known.agents.get(id)
        if (before?.declared) throw new Refused('conflict', `${id} is declared already: change it instead`)
        const at = now()
        const blank: AgentEntry = { id, issuer, subject, keys: [], declared: true, actsFor: [], chain: [] }
        const entry = told({ ...blank, ...before, declared: true }, rest, by, at)
        return {
          ok: true,
          is: await put(entry, at, (tx) => appendAudit(tx, 'agent.declared', said(entry, by), at)),
        }
      }),

    change: (id, { disabled, reason = '', ...rest }, by) =>
      guarded(async () => {
        const before = known.agents.get(id)
        if (!before) return { ok: false, problem: 'unknown', message: `There is no agent ${id}: declare it first` }
        const at = now()
        const isOther = Object.values(rest).some((value) => value !== undefined)
        let entry = isOther ? told(before, rest, by, at) : before
        const turned = disabled !== undefined && disabled !== (before.disabled !== undefined)
        if (turned) entry = marked(entry, disabled ? { by, reason, at: at.toISOString() } : undefined)
        if (!isOther && !turned) return { ok: true, is: (await records([before]))[0]! }
        const because = `agent ${nameOf(entry)} was disabled by ${by.name}${reason === '' ? '' : `: ${reason}`}`
        const say = async (tx: Transaction<Tables>) => {
          if (isOther) await appendAudit(tx, 'agent.changed', said(entry, by), at)
          if (!turned) return
          const state = disabled ? 'disabled' : 'active'
          await tx
            .insertInto('agent_states')
            .values({ agent: id, at: at.toISOString(), state, by: JSON.stringify(by), reason })
            .execute()
          await appendAudit(tx, disabled ? 'agent.disabled' : 'agent.enabled', { agent: id, by, reason }, at)
        }
        const disabling = turned && disabled ? { by, because } : undefined
        return { ok: true, is: await put(entry, at, say, disabling) }
      }),

    markLeft: (id, left, by, reason) =>
      guarded(async () => {
        const before = known.people.get(id)
        if (!before) return { ok: false, problem: 'unknown', message: `Nobody with the id ${id} has signed in` }
        if (id === by.id) throw new Refused('conflict', 'Nobody marks themselves: ask another admin')
        if (left === (before.left !== undefined)) return { ok: true, is: personRecordOf(before) }
        const at = now()
        const { left: _, ...rest } = before
        const entry: PersonEntry = left ? { ...rest, left: { by, reason, at: at.toISOString() } } : rest
        const ref = { id: entry.id, issuer: entry.issuer, subject: entry.subject, name: entry.name }
        const record = personRecordOf(entry)
        const row = personRowOf(entry)
        // Known first, for what is said of their agents; taken back where it could not be written.
        known.people.put(entry)
        try {
          const theirs = [...known.agents.values()].filter((agent) => isSponsoredBy(changing.sponsorOf(agent), id))
          const shown = await records(theirs.slice(0, MOST_TOLD))
          await store.db.transaction().execute(async (tx) => {
            await tx.updateTable('people').set(row).where('id', '=', id).execute()
            await appendAudit(tx, left ? 'person.left' : 'person.returned', { person: ref, by, reason }, at)
            await appendFeed(tx, 'person.changed', record, at)
            for (const agent of shown) await appendFeed(tx, 'agent.changed', agent, at)
          })
        } catch (error) {
          known.people.put(before)
          throw error
        }
        if (left)
          for (const listener of listeners.left)
            listener(ref, by, `${entry.name} has left, says ${by.name}${reason === '' ? '' : `: ${reason}`}`)
        return { ok: true, is: record }
      }),
  }

  function isSponsoredBy(sponsor: string | undefined, person: string): boolean {
    return sponsor !== undefined && known.people.find(sponsor).some(({ id }) => id === person)
  }
}

class Refused extends Error {
  readonly problem: 'invalid' | 'conflict'
  constructor(problem: Refused['problem'], message: string) {
    super(message)
    this.problem = problem
  }
}

/** `null` takes it away, undefined leaves it. */
function replaced(member: string, value: string | null | undefined): Record<string, string | undefined> {
  return value === undefined ? {} : { [member]: value ?? undefined }
}

function marked({ disabled: _, ...entry }: AgentEntry, mark: AgentEntry['disabled']): AgentEntry {
  return mark ? { ...entry, disabled: mark } : entry
}

/** All that the registry was told of it by now, for the ledger. */
function said(entry: AgentEntry, by: PersonRef) {
  const { id, name, owner, sponsor, purpose, environment, keys } = entry
  return {
    agent: id,
    by,
    name: name ?? null,
    owner: owner ?? null,
    sponsor: sponsor ?? null,
    purpose: purpose ?? null,
    environment: environment ?? null,
    keys: keys.map(({ fingerprint }) => fingerprint),
  }
}
