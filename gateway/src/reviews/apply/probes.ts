import type { ItemEvidence, Recommendation } from '@countersign/contract/review'
import type { Effect } from '../../gate/command.ts'
import { actionsIn, actionsOfKind } from '../../policy/permitted/actions.ts'
import { attributesOf, type NamedResource } from '../../policy/permitted/resources.ts'

/** What is asked of the gate to see whether an overlay does what it says. */

/** So many questions about the agent itself, those about what it did first. */
const MOST_OWN = 200
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

/** Effects that the agent's commands on the connection could have, each once; those that it had come first. */
export function effectsAbout({ kind, connection, evidence, named, requests }: About): Effect[] {
  const found = new Map<string, Effect>()
  const add = (effect: Effect | undefined) => {
    if (!effect) return
    const key = JSON.stringify([effect.action, effect.resource.type, effect.resource.id, effect.command])
    if (!found.has(key)) found.set(key, effect)
  }
  if (requests) for (const effect of requestsOn(connection)) add(effect)
  else {
    for (const used of evidence?.used ?? []) {
      if (used.connection !== connection) continue
      const resource = resourceOf(connection, used.action, { id: used.resource, type: used.type })
      if (!resource) continue
      for (const bounded of used.unbounded > 0 ? [true, false] : [true])
        add({ action: used.action, resource, command: commandOf(used.action, used.kind, bounded, used.functions) })
    }
    const cells = (evidence?.permitted ?? []).filter((one) => one.connection === connection)
    for (const { action, resource: id } of cells)
      for (const effect of effectsOf(connection, action, { id })) add(effect)
    for (const action of actionsOfKind(kind)) {
      for (const one of named.filter(({ id }) => id.startsWith(`${connection}/`)))
        for (const effect of effectsOf(connection, action, one)) add(effect)
      for (const effect of effectsOf(connection, action, { id: connection })) add(effect)
    }
    for (const effect of requestsOn(connection)) add(effect)
  }
  return [...found.values()].slice(0, MOST_OWN)
}

/** What a recommendation promises of effects: used ones that it keeps are answered as before. */
export function keptBy(
  recommendation: Recommendation,
  policy: string,
  evidence: Pick<ItemEvidence, 'used'>,
): Set<string> {
  // What somebody else wrote keeps what its text says, and promises nothing else.
  if (recommendation.verdict !== 'reduce' || recommendation.policy?.trim() !== policy.trim()) return new Set()
  return new Set(
    evidence.used
      .filter(({ allowed }) => allowed > 0)
      .map(({ action, resource, kind }) => cellOf(action, resource, kind)),
  )
}

export const cellOf = (action: string, resource: string, kind: string): string =>
  JSON.stringify([action, resource, kind])

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
