import { setImmediate as turn } from 'node:timers/promises'
import { keptWords, type LoadedRetention } from '../../config/retention.ts'
import type { Entries } from '../ledger/entries.ts'
import type { Holds } from './holds.ts'
import { type Ranges, rangesOf } from './ranges.ts'
import { keepingOf } from './rules.ts'

/** Entries of no session whose payloads go by their own age. */
export interface LooseEntries {
  entries: Ranges
  /** In words; empty where there are none. */
  rule: string
  more?: boolean
}

/**
 * What says of agents and people that they came: its time is `entries`. What the organisation itself did (policy,
 * configuration, holds, keys, deletions) stays, and so does who could do what (grants, tokens, agents): the store has
 * it, too, and is held against it.
 */
const types = ['sign-in'] as const

const MOST = 20_000

/** Finds those whose time is over and that no hold keeps; the oldest first, up to a bound. */
export async function looseEntries(
  entries: Entries,
  retention: LoadedRetention,
  holds: Holds,
  now: number,
): Promise<LooseEntries> {
  const found: { n: number }[] = []
  const rules = new Set<string>()
  const soonest = Math.min(retention.all.entries, ...[...retention.connections.values()].map(({ entries }) => entries))
  if (soonest === Number.POSITIVE_INFINITY) return { entries: [], rule: '' }
  let looked = 0
  for (const type of types) {
    for (const { n, at, session, payload } of entries.byType(type)) {
      if (++looked % 1000 === 0) await turn()
      if (Date.parse(at) + soonest > now) break
      if (!payload || session !== null) continue
      const { connection, agent } = subjectOf(payload)
      const kept = connection === undefined ? retention.all.entries : keepingOf(retention, connection).entries
      if (Date.parse(at) + kept > now || holds.of({ connection, agent })) continue
      if (found.length >= MOST) return { entries: inOrder(found), rule: [...rules].join(', '), more: true }
      rules.add(`entries ${keptWords(kept)}`)
      found.push({ n })
    }
  }
  return { entries: inOrder(found), rule: [...rules].join(', ') }
}

function inOrder(found: { n: number }[]): Ranges {
  return rangesOf(
    found.sort((a, b) => a.n - b.n),
    () => true,
  )
}

function subjectOf(payload: Uint8Array): { connection: string | undefined; agent: string | undefined } {
  const told = JSON.parse(Buffer.from(payload).toString()) as {
    connection?: string
    agent?: string
    who?: { id?: string }
  }
  return { connection: told.connection, agent: told.agent ?? told.who?.id }
}
