import type { AgentRecord, PersonRecord } from '@countersign/contract/access'
import type { AgentEntry } from './agent-entry.ts'
import { type People, type PersonEntry, personRecordOf } from './people.ts'

export interface AgentQuery {
  /** Words that must all be in what people see of it, in any case. */
  text?: string
  state?: AgentRecord['state']
  issuer?: string
  /** Those that had a session on it. */
  connection?: string
  orphans?: boolean
  limit: number
  /** `next` of the page before. */
  after?: string
}

export interface PeopleQuery {
  text?: string
  limit: number
  after?: string
}

/** `after` that no list of ours gave out. */
export class BadRegistryCursor extends Error {
  override name = 'BadRegistryCursor'
}

interface Listed {
  agents: ReadonlyMap<string, AgentEntry>
  answerable: (entry: AgentEntry) => { orphan?: string }
  nameOf: (entry: AgentEntry) => string
  used: () => Map<string, AgentRecord['connections']>
  records: (entries: readonly AgentEntry[]) => Promise<AgentRecord[]>
}

/** Agents for whom nobody answers first, then by name. @throws BadRegistryCursor */
export async function pageOfAgents(
  listed: Listed,
  query: AgentQuery,
): Promise<{ items: AgentRecord[]; next: string | null }> {
  const { state, issuer, connection, orphans, limit } = query
  const words = wordsOf(query.text)
  const used = connection === undefined ? undefined : listed.used()
  const after = query.after === undefined ? undefined : placeIn(query.after)
  const found: { entry: AgentEntry; place: Place }[] = []
  for (const entry of listed.agents.values()) {
    if (state !== undefined && (entry.disabled ? 'disabled' : 'active') !== state) continue
    if (issuer !== undefined && entry.issuer !== issuer) continue
    if (used && !used.get(entry.id)?.some((one) => one.connection === connection)) continue
    if (!words.every((word) => agentText(entry).includes(word))) continue
    const orphan = listed.answerable(entry).orphan !== undefined
    if (orphans === true && !orphan) continue
    const place: Place = [orphan ? 0 : 1, listed.nameOf(entry), entry.id]
    if (!after || compared(place, after) > 0) found.push({ entry, place })
  }
  found.sort((a, b) => compared(a.place, b.place))
  const page = found.slice(0, limit)
  const items = await listed.records(page.map(({ entry }) => entry))
  return { items, next: found.length > limit ? cursorOf(page.at(-1)!.place) : null }
}

/** People by name. @throws BadRegistryCursor */
export function pageOfPeople(people: People, query: PeopleQuery): { items: PersonRecord[]; next: string | null } {
  const words = wordsOf(query.text)
  const after = query.after === undefined ? undefined : placeIn(query.after)
  const place = (person: PersonEntry): Place => [0, person.name, person.id]
  const found = [...people.all()]
    .filter((person) => words.every((word) => personText(person).includes(word)))
    .filter((person) => !after || compared(place(person), after) > 0)
    .sort((a, b) => compared(place(a), place(b)))
  const page = found.slice(0, query.limit)
  return { items: page.map(personRecordOf), next: found.length > query.limit ? cursorOf(place(page.at(-1)!)) : null }
}

/** Rank, name, id: what a list is sorted by. */
type Place = [rank: number, name: string, id: string]

function compared(a: Place, b: Place): number {
  if (a[0] !== b[0]) return a[0] - b[0]
  if (a[1] !== b[1]) return a[1] < b[1] ? -1 : 1
  return a[2] === b[2] ? 0 : a[2] < b[2] ? -1 : 1
}

const cursorOf = (place: Place) => Buffer.from(JSON.stringify(place)).toString('base64url')

function placeIn(cursor: string): Place {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(place) && place.length === 3) {
      const [rank, name, id] = place as unknown[]
      if (typeof rank === 'number' && typeof name === 'string' && typeof id === 'string') return [rank, name, id]
    }
  } catch {
    // Below.
  }
  throw new BadRegistryCursor('`after` is not one that a list gave out: use the `next` of the page before.')
}

const wordsOf = (text: string | undefined) =>
  (text ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')

const agentTexts = new WeakMap<AgentEntry, string>()

function agentText(entry: AgentEntry): string {
  let text = agentTexts.get(entry)
  if (text === undefined) {
    const { id, name, identity, owner, sponsor, purpose, environment, actsFor } = entry
    const all = [id, name, identity?.name, owner, identity?.owner, sponsor, purpose, environment, ...actsFor]
    text = [...all, ...(identity?.groups ?? [])].join('\n').toLowerCase()
    agentTexts.set(entry, text)
  }
  return text
}

const personText = ({ id, name, email, groups, roles }: PersonEntry) =>
  [id, name, email, ...groups, ...roles].join('\n').toLowerCase()
