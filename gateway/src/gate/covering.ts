import type { Effect } from './command.ts'
import type { Backing, LiveGrant } from './entrance.ts'

/** The groups of actions of policy.cedarschema whose members don't begin with the group's own name. */
const members: Record<string, readonly string[]> = {
  ssh: ['sftp:read', 'sftp:write'],
  'k8s:read': ['k8s:get', 'k8s:list', 'k8s:watch'],
  'k8s:write': [
    'k8s:create',
    'k8s:update',
    'k8s:patch',
    'k8s:delete',
    'k8s:deletecollection',
    'k8s:exec',
    'k8s:attach',
    'k8s:portforward',
    'k8s:proxy',
    'k8s:token',
  ],
}

/**
 * The grant that covers an effect: of several the one that ends last, so that what is judged changes as late as can be.
 * What it covers is asked of policy nevertheless: a grant never permits more.
 * @param now milliseconds since the epoch
 */
export function covering({ grants }: Backing, effect: Effect, now: number): LiveGrant | undefined {
  let found: LiveGrant | undefined
  for (const grant of grants)
    if (grant.endsAt > now && covers(grant, effect) && (!found || grant.endsAt > found.endsAt)) found = grant
  return found
}

/** Whether actions and resources of a grant cover an effect. Opening the connection comes with every grant. */
export function covers({ actions, resources }: Pick<LiveGrant, 'actions' | 'resources'>, effect: Effect): boolean {
  const { action, resource } = effect
  if (action.endsWith(':connect')) return actions.some((granted) => protocolOf(granted) === protocolOf(action))
  if (!actions.some((granted) => includes(granted, action))) return false
  return resources === undefined || resources.some((id) => names(id, resource.id, effect))
}

/** Whether an action is the one granted, or of the group granted (`sql`, `k8s:read`). */
export function includes(granted: string, action: string): boolean {
  if (granted === action) return true
  if (members[granted]?.includes(action)) return true
  return !granted.includes(':') && action.startsWith(`${granted}:`)
}

/** sftp is part of SSH. */
function protocolOf(action: string): string {
  const [protocol = ''] = action.split(':')
  return protocol === 'sftp' ? 'ssh' : protocol
}

function names(id: string, resource: string, { resource: { type } }: Effect): boolean {
  if (id === resource) return true
  // A connection's name is all that is in it; data classes are in none.
  if (!id.includes('/')) return type !== 'DataClass' && resource.startsWith(`${id}/`)
  return id.endsWith('*') && type !== 'DataClass' && resource.startsWith(id.slice(0, -1))
}
