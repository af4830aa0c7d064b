import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { Policies } from './policy.ts'

/**
 * Whether there is a policy that could permit an action on a connection itself, going by the scopes of policies alone:
 * who may, and under which conditions, isn't looked at.
 * @param action one that belongs to no group of actions
 */
export function couldPermit({ texts }: Pick<Policies, 'texts'>, action: string, connection: string): boolean {
  return texts.some(({ text }) => {
    const parts = cedar.policySetTextToParts(text)
    if (parts.type === 'failure') return false
    return parts.policies.some((policy) => {
      const parsed = cedar.policyToJson(policy)
      if (parsed.type === 'failure' || parsed.json.effect !== 'permit') return false
      const { action: actions, resource } = parsed.json
      return includesAction(actions, action) && includesConnection(resource, connection)
    })
  })
}

function includesAction(scope: cedar.ActionConstraint, action: string): boolean {
  if (scope.op === 'All') return true
  if ('entities' in scope) return scope.entities.some((one) => idOf(one) === action)
  return 'entity' in scope && idOf(scope.entity) === action
}

function includesConnection(scope: cedar.ResourceConstraint, connection: string): boolean {
  const names = (one: cedar.EntityUidJson) => typeOf(one) === 'Connection' && idOf(one) === connection
  switch (scope.op) {
    case 'All':
      return true
    case 'is':
      if (scope.entity_type !== 'Connection') return false
      return scope.in === undefined || ('entity' in scope.in && names(scope.in.entity))
    default:
      return 'entity' in scope && names(scope.entity)
  }
}

const plain = (uid: cedar.EntityUidJson) => ('__entity' in uid ? uid.__entity : uid)
const idOf = (uid: cedar.EntityUidJson) => plain(uid).id
const typeOf = (uid: cedar.EntityUidJson) => plain(uid).type
