import type { Effect } from '@countersign/contract/approval'
import type { EvidenceCommand } from '@countersign/contract/review'
import type { RecordedCommand } from '../../sessions/ledger/commands.ts'
import { ran } from './observed.ts'
import type { Room } from './uses.ts'

/** With what it takes to find its recording, until its text was read from there. */
export type Sample = EvidenceCommand & { openedAt?: string }

/** A command that may be shown; its text is read when the pass is over. */
export function sampleOf({ n, at, session, command, verdict }: RecordedCommand, why: string): Sample {
  const { outcome, policies, reason, observed } = verdict
  return {
    session: session.id,
    command,
    entry: n,
    at,
    text: '',
    verdict: {
      outcome,
      policies: policies.slice(0, 20),
      ...(reason !== undefined && { reason: cut(reason, 2000) }),
      ...(observed && { observed }),
    },
    ...(session.purpose !== undefined && { purpose: cut(session.purpose, 2000) }),
    why,
    openedAt: session.openedAt,
  }
}

/** The first characters of a text; half of one is none. */
export const cut = (text: string, most: number): string =>
  text.length <= most ? text.toWellFormed() : text.slice(0, most).toWellFormed()

const MOST_SHAPES = 40
const MOST_SHOWN = 20

/** Of commands that are alike the newest, and how many there were; those alike that came up last are remembered. */
export class Alike {
  readonly #shapes = new Map<string, { count: number; newest: EvidenceCommand }>()
  readonly #room: Room

  constructor(room: Room) {
    this.#room = room
  }

  add(recorded: RecordedCommand, why: string): void {
    const shape = shapeOf(recorded.effects, recorded.verdict)
    const known = this.#shapes.get(shape)
    this.#shapes.delete(shape)
    if (!known && (this.#shapes.size >= MOST_SHAPES || this.#room.samples <= 0)) {
      const [first] = this.#shapes.keys()
      if (first === undefined) return
      this.#shapes.delete(first)
    } else if (!known) this.#room.samples--
    const newest = known && known.newest.at > recorded.at ? known.newest : sampleOf(recorded, why)
    this.#shapes.set(shape, { count: (known?.count ?? 0) + 1, newest })
  }

  /** Those that came most often first. */
  list(): EvidenceCommand[] {
    return [...this.#shapes.values()]
      .sort((a, b) => b.count - a.count || (a.newest.at < b.newest.at ? 1 : -1))
      .slice(0, MOST_SHOWN)
      .map(({ count, newest }) => ({ ...newest, why: count === 1 ? newest.why : `${newest.why}; ${count} like it` }))
  }
}

function shapeOf(effects: readonly Effect[], verdict: EvidenceCommand['verdict']): string {
  const told = effects.slice(0, 8).map(({ action, resource, kind }) => `${action} ${kind} ${resource.id.slice(0, 200)}`)
  return `${verdict.outcome} ${ran(verdict)}\n${[...new Set(told)].sort().join('\n')}`
}

/** The newest few of some, and how many there were. */
export class Newest<T> {
  readonly #most: number
  readonly list: T[] = []
  count = 0

  constructor(most: number) {
    this.#most = most
  }

  add(one: T): void {
    this.count++
    this.list.push(one)
    if (this.list.length > this.#most) this.list.shift()
  }
}
