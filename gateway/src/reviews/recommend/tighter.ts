import type { ItemEvidence } from '@countersign/contract/review'
import { faultsOf, formatted, quoted, uid } from './cedar.ts'
import { type Cell, type Clause, cellsOf, clausesOf, type Manner } from './cells.ts'
import { placesOf } from './places.ts'
import { type Protocol, protocolOf } from './protocols.ts'
import { tighterRule } from './rules.ts'
import type { AccessSubject, Subject } from './subject.ts'
import { dropsOf, shortened } from './words.ts'

/** A tighter policy, and what it leaves and takes away, in words. */
export interface Tighter {
  /** Cedar, formatted and valid: forbids beside the policies that there are. */
  policy: string
  keeps: string[]
  drops: string[]
}

/** What is to stay although it was not used. */
export interface Kept {
  action: string
  /** A resource's id; a connection's name for all that is in it. */
  resource: string
  /** Absent: by any verb, unbounded too. */
  kind?: string
}

/** In characters; as JSON, quotes escaped, an overlay may have 60,000 bytes (overlay-text.ts). */
const LONGEST = 48_000
/** So many resources of a kind are named one by one; fewer where the text would be too long. */
const NAMED = [150, 50, 20, 8, 4, 1]

/** A policy could not be made; nothing was changed. */
export class NoTighterPolicy extends Error {
  override name = 'NoTighterPolicy'
}

/**
 * The policy that leaves an agent what ran in the window on a connection, what every client needs to work at all, and
 * `keep`: it denies nothing that was allowed or approved, and all else that it knows of. Of a rule: it leaves those whom it
 * gave access what they were given. Costs some 50 ms: not on a command's way.
 * @throws NoTighterPolicy where the evidence is of nothing that can be reduced, or the validator says no
 */
export function tighter(subject: Subject, evidence: ItemEvidence, keep: readonly Kept[] = []): Tighter {
  const made = subject.kind === 'rule' ? tighterRule(subject, evidence) : tighterAccess(subject, evidence, keep)
  const faults = faultsOf(made.policy)
  if (faults.length > 0) throw new NoTighterPolicy(`The policy that was generated is not valid: ${faults.join('; ')}`)
  return made
}

function tighterAccess(subject: AccessSubject, evidence: ItemEvidence, keep: readonly Kept[]): Tighter {
  const { kind } = evidence.connection
  const protocol = protocolOf(kind)
  const cells = [...cellsOf(evidence.used, kind), ...keep.map((one) => cellOf(one, subject, protocol))].filter(
    ({ action }) => !protocol.needs.includes(action) && action !== 'data:reveal',
  )
  const classes = keptClasses(evidence, keep)
  const clauses = clausesOf(cells)
  const [because, reveal, request] = [
    reasonOf(evidence),
    revealing(subject, evidence, classes),
    asking(subject, evidence, keep),
  ]
  for (const most of NAMED) {
    const told = clauses.map((clause) => toldOf(clause, subject, protocol, most))
    const text = [commands(subject, protocol, told), reveal, request]
      .filter((policy) => policy !== undefined)
      .map((policy) => `@reason(${quoted(because)})\n${policy}`)
      .join('\n')
    if (text.length > LONGEST * 0.8 && most > 1) continue
    const policy = formatted(text)
    if (policy.length > LONGEST && most > 1) continue
    if (policy.length > LONGEST) break
    return {
      policy,
      keeps: shortened([
        ...protocol.needs.map((action) => `${action}, which every client needs`),
        ...told.map(({ words }) => words),
        ...classes.map((one) => `data:reveal of ${one}`),
      ]),
      drops: dropsOf(evidence, cells, classes, protocol),
    }
  }
  throw new NoTighterPolicy('What was used is too much to be told in one policy: certify it, or revoke it.')
}

function commands(subject: AccessSubject, { group, needs }: Protocol, told: readonly { condition: string }[]): string {
  const needed =
    needs.length === 0
      ? []
      : needs.length === 1
        ? [`action == ${uid('Action', needs[0]!)}`]
        : [`action in [${needs.map((action) => uid('Action', action)).join(', ')}]`]
  const conditions = [...needed, ...told.map(({ condition }) => `(${condition})`)]
  const unless = conditions.length === 0 ? '' : ` unless { ${conditions.join(' || ')} }`
  const scope = `principal == ${uid('Agent', subject.agent)}, action in ${uid('Action', group)}`
  return `forbid (${scope}, resource in ${uid('Connection', subject.connection)})${unless};`
}

function toldOf(
  { action, manner, type, resources }: Clause,
  { connection }: AccessSubject,
  protocol: Protocol,
  most: number,
) {
  const places = placesOf(connection, type, resources, most)
  const verb = protocol.verb?.(action)
  const conditions = [`action == ${uid('Action', action)}`]
  if (verb !== undefined && manner.verbs !== undefined) conditions.push(verbIn(verb, manner.verbs))
  if (manner.lines) conditions.push(verbIn('context.command.argv', manner.lines))
  if (manner.bounded) conditions.push('context.command.bounded')
  if (action === 'ssh:exec' && !manner.shell) conditions.push('!context.command.shell')
  const place = places.map(({ condition }) => condition)
  conditions.push(place.length === 1 ? place[0]! : `(${place.map((one) => `(${one})`).join(' || ')})`)
  return {
    condition: conditions.join(' && '),
    words: wordsOf(
      action,
      manner,
      places.map(({ words }) => words),
    ),
  }
}

const verbIn = (verb: string, verbs: readonly string[]) =>
  verbs.length === 1 ? `${verb} == ${quoted(verbs[0]!)}` : `[${verbs.map(quoted).join(', ')}].contains(${verb})`

function wordsOf(action: string, { verbs, bounded, lines }: Manner, places: readonly string[]): string {
  const how = [
    ...(lines ?? []),
    ...(verbs ?? []).filter((verb) => verb !== 'explain'),
    ...(bounded ? ['not of every row'] : []),
  ]
  return `${action}${how.length > 0 ? ` (${how.join(', ')})` : ''} on ${places.join(', ')}`
}

/** What a person wants to keep, as if it had been used in any way. */
function cellOf({ action, resource, kind }: Kept, { connection }: AccessSubject, { group }: Protocol): Cell {
  const begins = { ssh: ['ssh', 'sftp'] }[group] ?? [group]
  if (!begins.includes(action.split(':')[0]!) && action !== 'data:reveal')
    throw new NoTighterPolicy(`${action} is nothing that can be kept on ${connection}`)
  return {
    action,
    ...placed(action, resource, connection),
    verb: kind ?? '',
    unbounded: true,
    shell: true,
  }
}

const types: readonly (readonly [RegExp, string])[] = [
  [/^sql:call$/, 'Routine'],
  [/^sql:(read|write|ddl|admin|unknown)$/, 'Table'],
  [/^(http:|sftp:|mcp:read$)/, 'Path'],
  [/^mcp:call$/, 'Tool'],
  [/^k8s:/, 'Resource'],
]

function placed(action: string, resource: string, connection: string): { type: string; resource: string } {
  if (resource === connection) return { type: 'Connection', resource }
  const type = types.find(([actions]) => actions.test(action))?.[1]
  if (type === undefined || !resource.startsWith(`${connection}/`))
    throw new NoTighterPolicy(`${resource} is nothing that ${action} can be kept on`)
  return { type, resource }
}

/** What may have been seen as it is: those classes that policy may reveal and that commands touched. */
function keptClasses({ used }: ItemEvidence, keep: readonly Kept[]): string[] {
  const seen = used.filter(({ action, allowed }) => action === 'data:reveal' && allowed > 0)
  const kept = keep.filter(({ action }) => action === 'data:reveal')
  return [...new Set([...seen, ...kept].map(({ resource }) => resource))].sort()
}

function revealing(
  { agent, connection }: AccessSubject,
  evidence: ItemEvidence,
  classes: readonly string[],
): string | undefined {
  const lines = evidence.permitted.filter(({ action, verdict }) => action === 'data:reveal' && verdict !== 'deny')
  if (lines.length === 0 && classes.length === 0 && evidence.connection.access === 'standing') return undefined
  const names = classes.map((one) => uid('DataClass', one))
  const unless =
    names.length === 0
      ? ''
      : ` unless { ${names.length === 1 ? `resource == ${names[0]}` : `resource in [${names.join(', ')}]`} }`
  return `forbid (principal == ${uid('Agent', agent)}, action == ${uid('Action', 'data:reveal')}, resource)
    when { context.connection == ${uid('Connection', connection)} }${unless};`
}

/** Where access is asked for: what was given may be given again, and what was used. */
function asking(
  { agent, connection }: AccessSubject,
  evidence: ItemEvidence,
  keep: readonly Kept[],
): string | undefined {
  if (evidence.connection.access !== 'jit') return undefined
  const { needs } = protocolOf(evidence.connection.kind)
  const actions = new Set([...needs, ...evidence.grants.flatMap((grant) => grant.actions)])
  for (const { action, allowed, approved } of evidence.used) if (allowed + (approved ?? 0) > 0) actions.add(action)
  for (const { action } of keep) actions.add(action)
  // A set of nothing is none in Cedar's eyes.
  const unless =
    actions.size === 0 ? '' : ` unless { [${[...actions].sort().map(quoted).join(', ')}].containsAll(context.actions) }`
  const scope = `principal == ${uid('Agent', agent)}, action == ${uid('Action', 'access:request')}`
  return `forbid (${scope}, resource == ${uid('Connection', connection)})${unless};`
}

function reasonOf({ window }: ItemEvidence): string {
  return `Access review: what was used from ${window.from.slice(0, 10)} to ${window.to.slice(0, 10)} stays`
}
