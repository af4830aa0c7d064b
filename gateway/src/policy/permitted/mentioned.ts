import type * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { type NamedResource, resourceTypes } from './resources.ts'

/** What policies speak of by name, wherever it stands in them. */
export interface Mentioned {
  groups: ReadonlySet<string>
  agents: ReadonlySet<string>
  resources: readonly NamedResource[]
  /** Names of attributes that are asked for, of whatever. */
  attributes: ReadonlySet<string>
}

export function mentionsIn(policies: readonly cedar.PolicyJson[]): Mentioned {
  const groups = new Set<string>()
  const agents = new Set<string>()
  const resources = new Map<string, NamedResource>()
  const attributes = new Set<string>()
  const named = ({ type, id }: { type: string; id: string }) => {
    if (type === 'Group') groups.add(id)
    else if (type === 'Agent') agents.add(id)
    else if ((resourceTypes as readonly string[]).includes(type))
      resources.set(JSON.stringify([type, id]), { type, id })
  }
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { type, id, attr } = node as { type?: unknown; id?: unknown; attr?: unknown }
    if (typeof type === 'string' && typeof id === 'string') named({ type, id })
    for (const name of [attr].flat()) if (typeof name === 'string') attributes.add(name)
    for (const member of Object.values(node)) walk(member)
  }
  for (const policy of policies) walk({ ...policy, annotations: undefined })
  return { groups, agents, resources: [...resources.values()], attributes }
}
