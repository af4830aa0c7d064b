import { declaredActions } from '../policy/schema.ts'

/** The actions that a grant can name, as policy.cedarschema has them. */

/** The group that all actions of a connection's kind are in. */
const groupOf: Record<string, string> = { postgres: 'sql', ssh: 'ssh', kubernetes: 'k8s', http: 'http', mcp: 'mcp' }

/** Whether a grant may name it: an action of the schema, or a group of them. Grants don't give grants. */
export function isAction(name: string): boolean {
  return name !== 'access:request' && declared().has(name)
}

/** Whether an action can be done on a connection of this kind; `data:reveal` can on any. */
export function isActionOf(kind: string, name: string): boolean {
  return name === 'data:reveal' || isWithin(name, groupOf[kind])
}

/** The kind of connection that these actions can be done on. */
export function kindOf(names: readonly string[]): string {
  const [kind] = Object.entries(groupOf).find(([, group]) => names.some((name) => isWithin(name, group))) ?? [
    'postgres',
  ]
  return kind
}

/** All groups' names of protocols that these actions are of. */
export function protocolsOf(names: readonly string[]): string[] {
  const protocols = Object.values(groupOf)
  return protocols.filter((group) => names.some((name) => isWithin(name, group)))
}

/**
 * What policy is told of the actions asked for: those, and of groups also each action in them, so that a policy about
 * `sql:write` sees it in `sql`.
 */
export function spelledOut(names: readonly string[]): string[] {
  const all = new Set(names)
  for (const name of names)
    for (const [action, { group }] of declared()) if (!group && isWithin(action, name)) all.add(action)
  return [...all].sort()
}

function isWithin(name: string, group: string | undefined): boolean {
  if (group === undefined) return false
  if (name === group) return true
  return (declared().get(name)?.parents ?? []).some((parent) => isWithin(parent, group))
}

let known: Map<string, { parents: string[]; group: boolean }> | undefined

function declared(): Map<string, { parents: string[]; group: boolean }> {
  known ??= new Map(
    Object.entries(declaredActions()).map(([name, { memberOf, appliesTo }]) => [
      name,
      { parents: (memberOf ?? []).map(({ id }) => id), group: (appliesTo?.principalTypes ?? []).length === 0 },
    ]),
  )
  return known
}
