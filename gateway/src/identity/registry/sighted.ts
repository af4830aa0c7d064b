import type { AgentRecord } from '@countersign/contract/access'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import { type AgentEntry, agentRowOf, sameIdentity, sighted } from './agent-entry.ts'
import { type PersonEntry, personRecordOf, personRowOf, personSighted, samePerson } from './people.ts'
import type { Known } from './registry.ts'
import type { Sighting } from './sightings.ts'

/**
 * Writes down who came, in one transaction: what is new of an agent comes into its past and the ledger, too, under one
 * and the same time. Then it is known.
 */
export async function writeSightings(
  store: Store,
  known: Known,
  sightings: readonly Sighting[],
  records: (entries: readonly AgentEntry[]) => Promise<AgentRecord[]>,
): Promise<void> {
  const agents = new Map<string, AgentEntry>()
  const people = new Map<string, PersonEntry>()
  const toldPeople: PersonEntry[] = []
  const pasts: { entry: AgentEntry; at: Date }[] = []
  for (const { who, at, changed } of sightings) {
    if (who.kind === 'agent') {
      const before = known.agents.get(who.id)
      const entry = sighted(before, who, { at: at.toISOString(), identity: changed })
      agents.set(entry.id, entry)
      if (before?.identity && sameIdentity(before.identity, entry.identity!)) continue
      pasts.push({ entry, at })
    } else {
      const before = known.people.get(who.id)
      const isOther = !before || (changed && !samePerson(before, who))
      const entry = isOther ? personSighted(before, who, at.toISOString()) : { ...before, lastSeenAt: at.toISOString() }
      people.set(entry.id, entry)
      if (isOther) toldPeople.push(entry)
    }
  }
  // Before the transaction: there is one connection to the store.
  const shown = await records(pasts.map(({ entry }) => entry))
  await store.db.transaction().execute(async (tx) => {
    for (const entry of agents.values()) {
      const row = agentRowOf(entry)
      await tx
        .insertInto('agents')
        .values(row)
        .onConflict((c) => c.column('id').doUpdateSet(row))
        .execute()
    }
    for (const { entry, at } of pasts) {
      const { id, identity } = entry
      await tx
        .insertInto('agent_identities')
        .values({ agent: id, at: at.toISOString(), identity: JSON.stringify(identity) })
        .execute()
      await appendAudit(tx, 'agent.seen', { agent: identity! }, at)
    }
    for (const record of shown) await appendFeed(tx, 'agent.changed', record)
    for (const entry of people.values()) {
      const row = personRowOf(entry)
      await tx
        .insertInto('people')
        .values(row)
        .onConflict((c) => c.column('id').doUpdateSet(row))
        .execute()
    }
    for (const entry of toldPeople) await appendFeed(tx, 'person.changed', personRecordOf(entry))
  })
  for (const entry of agents.values()) {
    if (!known.agents.has(entry.id) && !entry.declared) known.seenOnly++
    known.agents.set(entry.id, entry)
  }
  for (const entry of people.values()) known.people.put(entry)
}
