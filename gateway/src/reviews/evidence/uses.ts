import type { Effect } from '@countersign/contract/approval'
import type { EvidenceCommand, ObservedUse } from '@countersign/contract/review'
import { ran } from './observed.ts'

/** So many pairs of action and resource, with their verbs, are told apart of an agent on a connection. */
export const MOST_USES = 2000
const MOST_FUNCTIONS = 50
/** So many command lines of a program are told apart, each so long; of more there is none: its words vary. */
const LINES = { most: 12, longest: 200 }
const LONGEST = 2000

/** What an agent used on a connection, counted. */
export class Uses {
  readonly #connection: string
  readonly #uses = new Map<string, Use>()
  readonly #most: number
  readonly #room: Room
  /** How often there was no room for a use of its own. */
  folded = 0

  /** @param room shared by all who count: what they may tell apart together */
  constructor(connection: string, room: Room, most: number = MOST_USES) {
    this.#connection = connection
    this.#room = room
    this.#most = most
  }

  /** Counts a command: each of its uses once, however many of its effects are the same. Answers uses that first ran now. */
  add(effects: readonly Effect[], verdict: EvidenceCommand['verdict'], at: string): ObservedUse[] {
    const isRun = ran(verdict)
    const mine = new Map<Use, { action: string; unbounded: boolean; shell: boolean; lines: Set<string> }>()
    for (const effect of effects) {
      const use = this.#useOf(effect, at)
      const reach = mine.get(use) ?? { action: effect.action, unbounded: false, shell: false, lines: new Set() }
      reach.lines.add(typeof effect.command?.argv === 'string' ? effect.command.argv : '')
      reach.unbounded ||= effect.bounded === false
      reach.shell ||= effect.command?.shell === true
      mine.set(use, reach)
      for (const name of effect.functions ?? [])
        if (use.names.size < MOST_FUNCTIONS && name.length <= LONGEST) use.names.add(name)
    }
    const first: ObservedUse[] = []
    for (const [use, { action, unbounded, shell, lines }] of mine) {
      if (isRun && use.allowed === 0 && !use.approved) first.push(use)
      if (verdict.outcome === 'allow') use.allowed++
      else if (verdict.outcome === 'deny') use.denied++
      else {
        use.held++
        if (isRun) use.approved = (use.approved ?? 0) + 1
      }
      if (isRun && unbounded) use.unbounded++
      if (isRun && shell) use.shell = (use.shell ?? 0) + 1
      if (isRun && action === 'ssh:exec') for (const line of lines) addLine(use, line)
      if (at < use.firstAt) use.firstAt = at
      if (at > use.lastAt) use.lastAt = at
    }
    return first
  }

  /** Those with most commands first. */
  list(): ObservedUse[] {
    const sum = ({ allowed, held, denied }: ObservedUse) => allowed + held + denied
    return [...this.#uses.values()]
      .map(
        ({ names, lines, ...use }): ObservedUse => ({
          ...use,
          ...(names.size > 0 && { functions: [...names].sort() }),
          ...(lines && lines.size > 0 && { argv: [...lines].sort() }),
        }),
      )
      .sort((a, b) => sum(b) - sum(a) || (keyOf(a) < keyOf(b) ? -1 : 1))
  }

  #useOf(effect: Effect, at: string): Use {
    const { action, resource } = effect
    const told = { action, type: resource.type, resource: resource.id, kind: verbOf(effect) }
    const known = this.#uses.get(keyOf(told))
    if (known) return known
    const full = this.#uses.size >= this.#most || this.#room.uses <= 0
    const odd = resource.id.length > LONGEST
    if (full || odd) this.folded++
    const place = full || odd ? this.#folded(told) : told
    const key = keyOf(place)
    let use = this.#uses.get(key)
    if (!use) {
      this.#room.uses--
      use = {
        connection: this.#connection,
        ...place,
        allowed: 0,
        held: 0,
        denied: 0,
        unbounded: 0,
        firstAt: at,
        lastAt: at,
        names: new Set(),
        lines: new Set(),
      }
      this.#uses.set(key, use)
    }
    return use
  }

  /** Verbs of SQL are few; of others an agent may have as many as it likes. */
  #folded(told: Told): Told {
    const narrow = this.#uses.size < this.#most * 2 && told.action.startsWith('sql:')
    if (narrow) return { ...told, ...within(this.#connection, told.type, told.resource) }
    return { ...told, ...whole(this.#connection, told.type), kind: '' }
  }
}

/** How much may still be kept, by all together. */
export interface Room {
  uses: number
  samples: number
}

type Use = ObservedUse & {
  names: Set<string>
  /** Undefined where they were too many, or not to be told. */
  lines: Set<string> | undefined
}

function addLine(use: Use, line: string): void {
  if (use.kind === '' || line === '' || line.length > LINES.longest) use.lines = undefined
  else use.lines?.add(line)
  if ((use.lines?.size ?? 0) > LINES.most) use.lines = undefined
}

/** The verb of an effect: what policy tells apart beside action and resource. */
export function verbOf({ kind, command, action }: Effect): string {
  const verb = action.startsWith('ssh:') ? command?.program : action.startsWith('http:') ? command?.method : undefined
  const told = typeof verb === 'string' ? verb : kind
  return told.length <= 200 ? told : ''
}

type Told = Pick<ObservedUse, 'action' | 'type' | 'kind' | 'resource'>
const keyOf = ({ action, type, kind, resource }: Told) => `${action}\u0000${type}\u0000${kind}\u0000${resource}`

/** All of a type in a connection; a connection is itself. */
const whole = (connection: string, type: string) =>
  type === 'Connection' ? { type, resource: connection } : { type: `${type}*`, resource: `${connection}/` }

/**
 * What stands for a resource where there is no room for it: all of its schema (Table, Routine), else all of its type in the
 * connection.
 */
function within(connection: string, type: string, id: string): { type: string; resource: string } {
  if (type !== 'Table' && type !== 'Routine') return whole(connection, type)
  const schema = /^[^/]*\/(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\./.exec(id)?.[0]
  return schema !== undefined && schema.length <= LONGEST
    ? { type: `${type}*`, resource: schema }
    : whole(connection, type)
}
