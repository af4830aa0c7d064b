import type { AgentAccess, AgentUse, Permission } from '@countersign/contract/access'

/** Permitted against used: a table a connection, its resources down, its actions across. */
export interface Matrix {
  readonly connection: string
  readonly actions: readonly string[]
  readonly rows: readonly MatrixRow[]
  /** Actions that are denied throughout and were never tried. */
  readonly never: readonly string[]
}

export interface MatrixRow {
  /** The connection itself stands for all that has no row of its own. */
  readonly resource: string
  readonly rest: boolean
  readonly cells: readonly Cell[]
}

export interface Cell {
  readonly action: string
  readonly resource: string
  /** What policy says; from the row of the rest where it says nothing of this resource. */
  readonly permission: Permission | undefined
  readonly inherited: boolean
  readonly used: AgentUse | undefined
  readonly look: Look
}

/** What stands out in the picture. */
export type Look =
  /** Permitted, and used. */
  | 'used'
  /** Permitted, and never used: it could be taken away. */
  | 'unused'
  /** Would be held for people, or depends on more; never used. */
  | 'maybe'
  /** Was tried, and only denied. */
  | 'denied'
  /** Was held, and nothing of it ran without people. */
  | 'held'
  /** Was used, and is denied by now. */
  | 'past'
  | 'none'
  /** Nothing is said of it alone: as the rest of the connection. */
  | 'rest'

const rank = { allow: 3, hold: 2, depends: 1, deny: 0 }

/** Connections by how much they were used, then by name; rows by use, that of the rest last. */
export function matricesOf(access: Pick<AgentAccess, 'permitted' | 'used'>): Matrix[] {
  const places = new Map<string, { permitted: Permission[]; used: AgentUse[] }>()
  const at = (connection: string) => {
    let place = places.get(connection)
    if (!place) {
      place = { permitted: [], used: [] }
      places.set(connection, place)
    }
    return place
  }
  for (const each of access.permitted) at(each.connection).permitted.push(each)
  for (const each of access.used) at(each.connection).used.push(each)
  return [...places]
    .map(([connection, place]) => ({ matrix: matrixOf(connection, place.permitted, place.used), of: sum(place.used) }))
    .sort((a, b) => b.of - a.of || (a.matrix.connection < b.matrix.connection ? -1 : 1))
    .map(({ matrix }) => matrix)
}

function matrixOf(connection: string, permitted: readonly Permission[], used: readonly AgentUse[]): Matrix {
  const may = new Map<string, Permission>()
  const did = new Map<string, AgentUse>()
  const key = (action: string, resource: string) => JSON.stringify([action, resource])
  // Several lines say something of the same: what permits most counts.
  for (const one of permitted) {
    const known = may.get(key(one.action, one.resource))
    if (!known || rank[one.verdict] > rank[known.verdict]) may.set(key(one.action, one.resource), one)
  }
  for (const one of used) did.set(key(one.action, one.resource), one)
  const all = [...new Set([...permitted, ...used].map(({ action }) => action))].sort(byAction)
  const total = new Map<string, number>()
  for (const one of used) total.set(one.resource, (total.get(one.resource) ?? 0) + one.allowed + one.held + one.denied)
  const resources = [...new Set([...permitted, ...used].map(({ resource }) => resource))].sort(
    (a, b) =>
      Number(a === connection) - Number(b === connection) ||
      (total.get(b) ?? 0) - (total.get(a) ?? 0) ||
      (a < b ? -1 : a > b ? 1 : 0),
  )
  const cellOf = (action: string, resource: string): Cell => {
    const own = may.get(key(action, resource))
    const permission = own ?? may.get(key(action, connection))
    const use = did.get(key(action, resource))
    return {
      action,
      resource,
      permission,
      inherited: own === undefined && permission !== undefined && resource !== connection,
      used: use,
      look: own || use || resource === connection ? lookOf(permission, use) : 'rest',
    }
  }
  const tried = (action: string) => used.some((one) => one.action === action)
  const ever = (action: string) => permitted.some((one) => one.action === action && one.verdict !== 'deny')
  const actions = all.filter((action) => tried(action) || ever(action))
  return {
    connection,
    actions,
    rows: resources
      .map((resource) => ({
        resource,
        rest: resource === connection,
        cells: actions.map((action) => cellOf(action, resource)),
      }))
      // Of what only such actions are about that have no column, there is nothing to show.
      .filter(({ rest, cells }) => rest || cells.some(({ look }) => look !== 'rest')),
    never: all.filter((action) => !actions.includes(action)),
  }
}

/** Verbs by how much they do; actions by name. */
const verbs = ['connect', 'read', 'insert', 'update', 'delete', 'ddl']
function byAction(a: string, b: string): number {
  const [i, j] = [verbs.indexOf(a), verbs.indexOf(b)]
  if (i >= 0 && j >= 0) return i - j
  return i >= 0 || j >= 0 ? j - i : a < b ? -1 : 1
}

function lookOf(permission: Permission | undefined, use: AgentUse | undefined): Look {
  const verdict = permission?.verdict ?? 'deny'
  if (use && use.allowed > 0) return verdict === 'deny' ? 'past' : 'used'
  if (use && use.held > 0) return 'held'
  if (use && use.denied > 0) return 'denied'
  if (verdict === 'allow') return 'unused'
  return verdict === 'deny' ? 'none' : 'maybe'
}

const sum = (used: readonly AgentUse[]) =>
  used.reduce((all, { allowed, held, denied }) => all + allowed + held + denied, 0)

const figure = (n: number) => n.toLocaleString('en-US')
const times = (n: number) => (n === 1 ? 'once' : `${figure(n)} times`)

/** What stands in a cell: short, and different for each look without any colour. */
export function cellText({ look, used, permission }: Cell): string {
  switch (look) {
    case 'used':
    case 'past':
      return figure(used!.allowed)
    case 'held':
      return `held ${figure(used!.held)}`
    case 'denied':
      return `denied ${figure(used!.denied)}`
    case 'unused':
      return 'unused'
    case 'maybe':
      return permission!.verdict === 'hold' ? 'asks' : 'depends'
    case 'rest':
      return ''
    default:
      return '–'
  }
}

const verdictWords = {
  allow: 'permitted',
  hold: 'held for people',
  deny: 'denied',
  depends: 'depends on more than agent, action and resource',
}

/** A cell in whole sentences, for the line below the picture and for those who listen. `when` says a time. */
export function cellWords(cell: Cell, when: (at: string) => string): string {
  const { permission, used, inherited } = cell
  const may = permission ? verdictWords[permission.verdict] : 'denied, as nothing permits it'
  const by =
    permission && permission.policies.length > 0
      ? ` by ${permission.policies.length === 1 ? 'policy' : 'policies'} ${permission.policies.join(', ')}`
      : ''
  const grant = permission?.grant ? ', through a live grant' : ''
  const observed = permission?.observed ? ' (only observed: nothing is refused)' : ''
  const rest = inherited ? ', as all of the connection that is not named' : ''
  const did = used
    ? [
        used.allowed > 0 ? `allowed ${times(used.allowed)}` : '',
        used.held > 0 ? `held ${times(used.held)}` : '',
        used.denied > 0 ? `denied ${times(used.denied)}` : '',
      ]
        .filter(Boolean)
        .join(', ')
    : ''
  const use = did === '' ? 'never used' : `${did}, last ${when(used!.lastAt)}`
  return `${may}${by}${grant}${rest}${observed}; ${use}.`
}

export interface Tally {
  readonly permitted: number
  readonly used: number
  readonly unused: number
  readonly denied: number
}

/** How much of what it may it did, and how often it was denied. */
export function tally(matrices: readonly Matrix[]): Tally {
  let [permitted, used, unused, denied] = [0, 0, 0, 0]
  for (const { rows } of matrices)
    for (const { cells } of rows)
      for (const { look, permission, used: use } of cells) {
        if (use && use.denied > 0) denied += use.denied
        if (permission && permission.verdict !== 'deny' && look !== 'rest') permitted += 1
        if (look === 'used') used += 1
        if (look === 'unused') unused += 1
      }
  return { permitted, used, unused, denied }
}
