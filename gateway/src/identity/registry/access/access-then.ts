import { setImmediate as turn } from 'node:timers/promises'
import type { AccessAnswer, AccessThen } from '@countersign/contract/access'
import type { PermittedSets } from '../../../policy/permitted/reading.ts'
import { filesOf } from '../../../policy/versions.ts'
import type { Store } from '../../../store/store.ts'
import { type LineFilter, linesOf, remembering } from './lines.ts'
import { type Past, pastAt } from './past.ts'

export interface ThenQuery extends LineFilter {
  at: Date
  limit: number
  /** `next` of the page before. */
  after?: string
}

/** `after` that no answer gave out. */
export class BadThenCursor extends Error {
  override name = 'BadThenCursor'
}

/** So long others wait at most for their turn (ms). */
const TURN_MS = 10

/**
 * Who could do what at a time (docs/access.md): from the store's pasts, by the policies that were in force then.
 * @throws PoliciesUnreadable where these can't be read; BadThenCursor
 */
export async function accessThen(
  parts: { store: Pick<Store, 'db'>; sets: PermittedSets },
  query: ThenQuery,
): Promise<AccessAnswer> {
  const { agent, connection, after } = query
  const only = {
    ...(agent !== undefined && { agent }),
    ...(connection !== undefined && { connection }),
    ...(after !== undefined && { from: placeIn(after).agent }),
  }
  return answerOf(await pastAt(parts.store, query.at.toISOString(), only), parts, query)
}

/** The same of a past, wherever that is from. */
export async function answerOf(
  past: Past,
  { store, sets }: { store: Pick<Store, 'db'>; sets: PermittedSets },
  { agent, connection, action, limit, after }: Omit<ThenQuery, 'at'>,
): Promise<AccessAnswer> {
  const filter: LineFilter = {
    ...(agent !== undefined && { agent }),
    ...(connection !== undefined && { connection }),
    ...(action !== undefined && { action }),
  }
  if (past.policy === undefined)
    return {
      at: past.at,
      policy: '',
      items: [],
      notes: ['No policy was in force yet, as far as is known.'],
      next: null,
    }
  const asked = remembering(await sets.of(past.policy, () => filesOf(store.db, past.policy!)))
  const from = after === undefined ? undefined : placeIn(after)
  const grantsOf = Map.groupBy(past.grants, (grant) => grant.agent)
  const items: AccessThen[] = []
  let since = performance.now()
  for (const one of past.agents) {
    if (agent !== undefined && one.id !== agent) continue
    if (from && one.id < from.agent) continue
    const lines = linesOf(one, { ...past, grants: grantsOf.get(one.id) ?? [] }, asked, filter)
    const first = from && one.id === from.agent ? from.told : 0
    for (let index = first; index < lines.length; index++) {
      if (items.length === limit)
        return { at: past.at, policy: past.policy, items, next: cursorOf({ agent: one.id, told: index }) }
      items.push(lines[index]!)
    }
    if (performance.now() - since > TURN_MS) {
      await turn()
      since = performance.now()
    }
  }
  return { at: past.at, policy: past.policy, items, next: null }
}

/** How many lines of which agent were told. */
interface Place {
  agent: string
  told: number
}

const cursorOf = ({ agent, told }: Place) => Buffer.from(JSON.stringify([agent, told])).toString('base64url')

function placeIn(cursor: string): Place {
  try {
    const [agent, told] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[]
    if (typeof agent === 'string' && Number.isSafeInteger(told)) return { agent, told: told as number }
  } catch {
    // Below.
  }
  throw new BadThenCursor('`after` is not one that an answer gave out: use the `next` of the page before.')
}
