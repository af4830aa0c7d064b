import type { ItemEvidence, ObservedUse, Recommendation } from '@countersign/contract/review'
import type { Effect } from '../../gate/command.ts'
import { actionsIn, actionsOfKind } from '../../policy/permitted/actions.ts'
import { attributesOf, type NamedResource } from '../../policy/permitted/resources.ts'

/** What is asked of the gate to see whether an overlay does what it says. */

/** So many questions about what policies name and the item's page has no line for. */
const MOST_MORE = 200
/** A name that nothing has, for resources that nobody has named. */
const UNNAMED = 'countersign_probe'

/** What is known of what an overlay is about. */
export interface About {
  /** Kind of the connection: postgres, … */
  kind: string
  connection: string
  evidence?: Pick<ItemEvidence, 'used' | 'permitted'> | undefined
  /** Resources that policies name. */
  named: readonly NamedResource[]
  /** Of a rule: requests for access. */
  requests: boolean
}

/**
 * Effects that the agent's commands on the connection could have, each once: all that it did, and all that its item says
 * that it may, by every verb; then some of what else policies name. However much the evidence has, for that is bounded.
 */
export function effectsAbout({ kind, connection, evidence, named, requests }: About): Effect[] {
  const found = new Map<string, Effect>()
  const add = (effect: Effect | undefined) => {
    if (effect)
      found.set(JSON.stringify([effect.action, effect.resource.type, effect.resource.id, effect.command]), effect)
  }
  if (requests) for (const effect of requestsOn(connection)) add(effect)
  else {
    for (const used of evidence?.used ?? []) for (const effect of effectsUsed(connection, used)) add(effect)
    const lines = (evidence?.permitted ?? []).filter((one) => one.connection === connection)
    for (const { action, resource: id } of lines)
      for (const effect of effectsOf(connection, action, { id })) add(effect)
    for (const action of actionsOfKind(kind))
      for (const effect of effectsOf(connection, action, { id: connection })) add(effect)
    for (const effect of requestsOn(connection)) add(effect)
    const most = found.size + MOST_MORE
    for (const one of named.filter(({ id }) => id.startsWith(`${connection}/`)))
      for (const action of actionsOfKind(kind))
        for (const effect of found.size < most ? effectsOf(connection, action, one) : []) add(effect)
  }
  return [...found.values()]
}

/** What was used, in the manner in which it was, and in the other one. */
function effectsUsed(connection: string, used: ObservedUse): Effect[] {
  if (used.connection !== connection) return []
  const { action, kind, functions, argv = [] } = used
  // All of a place where there was no room to tell them apart: something in it.
  const one = used.type.endsWith('*')
    ? { id: `${used.resource}${UNNAMED}`, type: used.type.slice(0, -1) }
    : { id: used.resource, type: used.type }
  const resource = resourceOf(connection, action, one)
  if (!resource) return []
  const manners = action === 'sql:write' || action === 'ssh:exec' || used.unbounded > 0 ? [true, false] : [true]
  const lines = argv.map((line) => ({ action, resource, command: { argv: line, program: kind, shell: false } }))
  return [
    ...lines,
    ...manners.map((bounded) => ({ action, resource, command: commandOf(action, kind, bounded, functions) })),
  ]
}

/** What a recommendation promises of effects: those that ran, as they ran, are answered as before. */
export function keptBy(
  recommendation: Recommendation,
  policy: string,
  { used }: Pick<ItemEvidence, 'used'>,
): Set<string> {
  // What somebody else wrote keeps what its text says, and promises nothing else.
  if (recommendation.verdict !== 'reduce' || recommendation.policy?.trim() !== policy.trim()) return new Set()
  const kept = used.filter(({ allowed, approved }) => allowed + (approved ?? 0) > 0)
  return new Set(
    kept.flatMap((one) => {
      const beyond = one.unbounded > 0 || (one.shell ?? 0) > 0
      const effects = effectsUsed(one.connection, one)
      const wordForWord = (line: unknown) => !one.argv || (typeof line === 'string' && one.argv.includes(line))
      return effects
        .filter(({ command }) => (beyond || isInBounds(command)) && wordForWord(command.argv ?? one.argv?.[0]))
        .map(cellOf)
    }),
  )
}

const isInBounds = ({ bounded, shell }: Effect['command']) => bounded !== false && shell !== true

/** An effect as far as a recommendation tells it from others. */
export const cellOf = (effect: Effect): string => {
  const line = effect.action === 'ssh:exec' ? effect.command.argv : ''
  return JSON.stringify([effect.action, effect.resource.id, kindOf(effect), isInBounds(effect.command), line])
}

/** The verb of an effect, as it is shown. */
export function kindOf({ action, command }: Effect): string {
  const { kind, method, program } = command
  const verb = kind ?? method ?? program
  return typeof verb === 'string' ? verb : (action.split(':')[1] ?? action)
}

/** A few effects of an action on a resource: the verbs that it has, bounded and not. */
function effectsOf(connection: string, action: string, named: NamedResource): Effect[] {
  const types = actionsIn.get(action)?.resourceTypes ?? []
  const found: Effect[] = []
  // The connection stands for all that is not named, too.
  const ids: NamedResource[] =
    named.id === connection
      ? types.map((type) =>
          type === 'Connection' ? { id: connection, type } : { id: unnamedOf(connection, type), type },
        )
      : [named]
  for (const one of ids) {
    const resource = resourceOf(connection, action, one)
    if (!resource) continue
    for (const [kind, bounded] of verbs[action] ?? [[action.split(':')[1] ?? action, true]])
      found.push({ action, resource, command: commandOf(action, kind, bounded) })
  }
  return found
}

const verbs: Record<string, [kind: string, bounded: boolean][]> = {
  'sql:connect': [
    ['connect', true],
    ['set', true],
  ],
  'sql:read': [
    ['select', true],
    ['copy', true],
  ],
  'sql:write': [
    ['insert', true],
    ['update', true],
    ['update', false],
    ['delete', true],
    ['delete', false],
    ['truncate', false],
  ],
  'sql:call': [['call', true]],
  'sql:ddl': [
    ['create', true],
    ['alter', true],
    ['drop', true],
  ],
  'sql:admin': [
    ['grant', true],
    ['set', true],
  ],
  // A program that nobody has used, and the same through the shell.
  'ssh:exec': [
    [UNNAMED, true],
    [UNNAMED, false],
  ],
  'http:read': [
    ['GET', true],
    ['HEAD', true],
  ],
  'http:write': [
    ['POST', true],
    ['PUT', true],
    ['PATCH', true],
    ['DELETE', true],
  ],
}

function unnamedOf(connection: string, type: string): string {
  if (type === 'DataClass') return UNNAMED
  return type === 'Table' || type === 'Routine' ? `${connection}/public.${UNNAMED}` : `${connection}/${UNNAMED}`
}

function resourceOf(connection: string, action: string, { id, type }: NamedResource): Effect['resource'] | undefined {
  const types = actionsIn.get(action)?.resourceTypes ?? []
  const is = type ?? types.find((one) => (one === 'Connection') === (id === connection))
  if (is === undefined || !types.includes(is)) return undefined
  const resource = { type: is as Effect['resource']['type'], id }
  if (is === 'Connection') return id === connection ? resource : undefined
  if (is === 'DataClass') return resource
  if (!id.startsWith(`${connection}/`)) return undefined
  if (is === 'Path') return { ...resource, attrs: { path: id.slice(connection.length + 1) } }
  if (is === 'Resource') return { ...resource, attrs: kubernetesAttributes(id.slice(connection.length + 1)) }
  const attributes = attributesOf(is, id)
  return attributes && { ...resource, attrs: Object.fromEntries(attributes) }
}

/** group/resource[/subresource]/namespace/name (policy.cedarschema). */
function kubernetesAttributes(rest: string): Record<string, string> {
  const parts = rest.split('/')
  const [group = '', resource = ''] = parts
  const [namespace = '', name = ''] = parts.slice(-2)
  return { group, resource, subresource: parts.length > 4 ? (parts[2] ?? '') : '', namespace, name }
}

function commandOf(
  action: string,
  kind: string,
  bounded: boolean,
  functions: readonly string[] = [],
): Effect['command'] {
  const [protocol] = action.split(':')
  switch (protocol) {
    case 'sql':
      return { kind, bounded, functions: [...functions] }
    case 'ssh':
      return { argv: kind, program: kind, shell: !bounded }
    case 'sftp':
      return { argv: kind, program: kind, shell: false }
    case 'k8s':
    case 'http':
      return { method: kind }
    case 'mcp':
      return { arguments: '' }
    default:
      return {}
  }
}

/** Requests for access of some sizes, as `access:request` sees them. */
export function requestsOn(connection: string): Effect[] {
  const asked = [
    ['sql:connect', 'sql:read'],
    ['sql:connect', 'sql:write'],
    ['sql', 'sql:connect', 'sql:read', 'sql:write', 'sql:call', 'sql:ddl', 'sql:admin', 'sql:unknown'],
  ]
  return asked.flatMap((actions) =>
    ['900', '86400'].map((seconds) => ({
      action: 'access:request',
      resource: { type: 'Connection' as const, id: connection },
      command: { actions, seconds },
    })),
  )
}
