import { declaredActions } from '../schema.ts'

export interface ActionInSchema {
  name: string
  /** Types of the resources that it can be for. */
  resourceTypes: string[]
  /** Groups of actions that it is in, directly or not. */
  groups: string[]
}

/** Actions of policy.cedarschema that something is done by, and what they can be for. */
export const actionsIn: Pick<ReadonlyMap<string, ActionInSchema>, 'get' | 'keys'> = {
  get: (name) => read().get(name),
  keys: () => read().keys(),
}

let known: Map<string, ActionInSchema> | undefined

function read() {
  known ??= readActions()
  return known
}

/** How the actions of a connection's kind begin. */
const protocols: Record<string, readonly string[]> = {
  postgres: ['sql'],
  ssh: ['ssh', 'sftp'],
  kubernetes: ['k8s'],
  http: ['http'],
  mcp: ['mcp'],
}

/** Actions by which a connection of a kind is used, in the order of the schema; data:reveal, which goes with each, last. */
export function actionsOfKind(kind: string): string[] {
  const begin = protocols[kind] ?? []
  const own = [...actionsIn.keys()].filter((action) => begin.includes(action.split(':')[0]!))
  return own.length === 0 ? [] : [...own, 'data:reveal']
}

function readActions(): Map<string, ActionInSchema> {
  const actions = declaredActions()
  const groupsOf = (name: string): string[] =>
    (actions[name]?.memberOf ?? []).flatMap(({ id }) => [id, ...groupsOf(id)])
  const found = new Map<string, ActionInSchema>()
  for (const [name, { appliesTo }] of Object.entries(actions))
    if (appliesTo && appliesTo.resourceTypes.length > 0)
      found.set(name, { name, resourceTypes: [...appliesTo.resourceTypes], groups: [...new Set(groupsOf(name))] })
  return found
}
