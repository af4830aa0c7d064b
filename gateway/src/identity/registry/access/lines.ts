import type { AccessThen } from '@countersign/contract/access'
import type { ConfiguredConnection } from '../../../access/connections.ts'
import { covers } from '../../../gate/covering.ts'
import { actionsOfKind } from '../../../policy/permitted/actions.ts'
import type { Permitted, PermittedAnswer, PermittedQuestion, Subject } from '../../../policy/permitted/permitted.ts'
import type { NamedResource } from '../../../policy/permitted/resources.ts'
import type { AgentIdentity } from '../agent-entry.ts'
import type { Past, PastGrant } from './past.ts'

/** Answers of one set of policies, each asked for once. */
export function remembering(permitted: Permitted): Pick<Permitted, 'answer' | 'named' | 'tellsGrants'> {
  const memory = new Map<string, PermittedAnswer>()
  const classes = new WeakMap<Subject, string>()
  return {
    named: permitted.named,
    tellsGrants: permitted.tellsGrants,
    answer(question) {
      const { subject, connection, action, resource, grant } = question
      const known = classes.get(subject) ?? permitted.classOf(subject)
      classes.set(subject, known)
      const about = resource === 'others' ? '' : `${resource.type ?? ''}\u0000${resource.id}`
      // What may have any characters stands last.
      const key = [known, connection.name, action, permitted.tellsGrants ? (grant ?? '') : '', about].join('\u0000')
      let answer = memory.get(key)
      if (!answer) {
        answer = permitted.answer(question)
        memory.set(key, answer)
      }
      return answer
    },
  }
}

export interface LineFilter {
  agent?: string
  connection?: string
  action?: string
}

type Asked = ReturnType<typeof remembering>
type Line = Pick<AccessThen, 'connection' | 'action' | 'resource' | 'observed'> & PermittedAnswer

/** What an agent could do at a time, by policy and by grants, in an order that is always the same. */
export function linesOf(agent: AgentIdentity, past: Past, asked: Asked, filter: LineFilter): AccessThen[] {
  const found: AccessThen[] = []
  const subject: Subject = { ...agent, onBehalfOf: undefined }
  for (const connection of past.connections) {
    if (filter.connection !== undefined && connection.name !== filter.connection) continue
    if (past.frozen.has('*') || past.frozen.has(connection.name)) continue
    const actions = actionsOfKind(connection.kind).filter((one) => filter.action === undefined || one === filter.action)
    const standing = new Map<string, Line>()
    for (const line of standingLines(asked, subject, connection, withoutGrants(connection, actions))) {
      standing.set(JSON.stringify([line.action, line.resource]), line)
      if (line.verdict !== 'deny') found.push(thenOf(agent, line, { kind: 'policy', policies: line.policies }))
    }
    for (const grant of past.grants) {
      if (grant.agent !== agent.id || grant.connection !== connection.name) continue
      for (const line of grantedLines(asked, subject, connection, actions, grant)) {
        const without = standing.get(JSON.stringify([line.action, line.resource]))
        // What it could do without the grant is told already.
        if (line.verdict === 'deny' || (without && (without.observed || sameAnswer(without, line)))) continue
        const { id, from, until, approvedBy } = grant
        const through = { kind: 'grant' as const, policies: line.policies, grant: id, from, until }
        found.push(thenOf(agent, line, { ...through, approvedBy: [...approvedBy] }))
      }
    }
  }
  return found
}

function thenOf(agent: AgentIdentity, line: Line, through: AccessThen['through']): AccessThen {
  const { connection, action, resource, verdict, observed } = line
  return {
    agent: agent.id,
    name: agent.name,
    connection,
    action,
    resource,
    verdict: verdict as AccessThen['verdict'],
    ...(observed && { observed }),
    through,
  }
}

const sameAnswer = (a: Line, b: Line) => a.verdict === b.verdict && a.policies.join('\n') === b.policies.join('\n')

/** What can be done without a grant: all where none is needed; what is only observed, but for what is masked. */
export function withoutGrants({ access, mode }: ConfiguredConnection, actions: readonly string[]): readonly string[] {
  if (access === 'standing') return actions
  return mode === 'observe' ? actions.filter((action) => action !== 'data:reveal') : []
}

/** For each action: all resources that no policy names, then each that one does. */
export function standingLines(
  asked: Asked,
  subject: Subject,
  connection: ConfiguredConnection,
  actions: readonly string[],
  more: readonly NamedResource[] = [],
): Line[] {
  const named = distinct([...namedIn(asked, connection), ...more])
  return actions.flatMap((action) =>
    (['others', ...named.filter((one) => isFor(action, one, connection))] as const).map((resource) =>
      lineOf(asked, { subject, connection, action, resource }, connection),
    ),
  )
}

/** The same of what a grant covers. Its own patterns of resources are lines of their own. */
export function grantedLines(
  asked: Asked,
  subject: Subject,
  connection: ConfiguredConnection,
  actions: readonly string[],
  grant: Pick<PastGrant, 'id' | 'actions' | 'resources' | 'identity'>,
  more: readonly NamedResource[] = [],
): Line[] {
  const who: Subject = { ...subject, onBehalfOf: grant.identity.onBehalfOf ?? '' }
  const named = distinct([...namedIn(asked, connection), ...more])
  const line = (action: string, resource: NamedResource | 'others', as?: string): Line => {
    const found = lineOf(asked, { subject: who, connection, action, resource, grant: grant.id }, connection)
    return as === undefined ? found : { ...found, resource: as }
  }
  return actions.flatMap((action) => {
    const effect = (id: string, type: string) =>
      ({ action, resource: { type, id }, command: {} }) as Parameters<typeof covers>[1]
    // Opening the connection comes with every grant.
    if (covers(grant, effect(connection.name, 'Connection')) && action.endsWith(':connect'))
      return [line(action, 'others')]
    const isReveal = action === 'data:reveal'
    if (!covers({ actions: grant.actions }, effect('', isReveal ? 'DataClass' : 'Table'))) return []
    const mine = named.filter((one) => isFor(action, one, connection))
    const { resources } = grant
    if (resources === undefined) return [line(action, 'others'), ...mine.map((one) => line(action, one))]
    const lines: Line[] = []
    const told = new Set<string>()
    const tell = (one: Line) => {
      if (told.has(one.resource)) return
      told.add(one.resource)
      lines.push(one)
    }
    for (const id of resources) {
      const all = !isReveal && id === connection.name
      const pattern = !isReveal && id.endsWith('*')
      if (all) tell(line(action, 'others'))
      else if (pattern) tell(line(action, 'others', id))
      else if (isReveal !== id.includes('/') && id !== connection.name)
        tell(line(action, { id, ...(isReveal && { type: 'DataClass' }) }))
      if (all || pattern)
        for (const one of mine) if (covers(grant, effect(one.id, one.type ?? 'Table'))) tell(line(action, one))
    }
    return lines
  })
}

function lineOf(asked: Asked, question: PermittedQuestion, { mode, name }: ConfiguredConnection): Line {
  const { action, resource } = question
  const answer = asked.answer(question)
  const about = { connection: name, action, resource: resource === 'others' ? name : resource.id }
  // What is masked stays masked: mode observe reveals nothing.
  if (mode === 'observe' && action !== 'data:reveal') return { ...about, ...answer, verdict: 'allow', observed: true }
  return { ...about, ...answer }
}

/** Whether a resource of that id can be what the action is for. */
function isFor(action: string, { id, type }: NamedResource, connection: ConfiguredConnection): boolean {
  if (action.endsWith(':connect')) return false
  if (action === 'data:reveal') return type === 'DataClass'
  return type !== 'DataClass' && id !== connection.name
}

/** Resources of a connection that policies name, and classes of data, which are everywhere; by id. */
function namedIn({ named }: Asked, { name }: ConfiguredConnection): NamedResource[] {
  return named
    .filter(({ id, type }) => type === 'DataClass' || id.startsWith(`${name}/`))
    .sort((a, b) => (a.id === b.id ? 0 : a.id < b.id ? -1 : 1))
}

/** Each id once, of whatever type: where it is of several, all are asked about. */
function distinct(all: readonly NamedResource[]): NamedResource[] {
  const found = new Map<string, NamedResource>()
  for (const one of all) {
    const isClass = one.type === 'DataClass'
    const key = JSON.stringify([isClass, one.id])
    const before = found.get(key)
    found.set(key, before && before.type !== one.type ? { id: one.id } : one)
  }
  return [...found.values()]
}
