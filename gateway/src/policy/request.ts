import type * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { DecideRequest } from './policy.ts'

/** A request in Cedar's own form. */
export type PolicyRequest = Pick<cedar.StatefulAuthorizationCall, 'action' | 'resource' | 'context' | 'entities'> & {
  principal: cedar.TypeAndId
}

/**
 * Puts a request into the words of policy.cedarschema: entities with their parents and attributes, the context of the
 * action. `time` is in UTC: hour 0–23, weekday 1 = Monday … 7 = Sunday.
 * @returns a sentence instead where the resource doesn't belong to the connection
 */
export function cedarRequest({
  principal,
  connection,
  effect,
  context,
  approval,
}: DecideRequest): PolicyRequest | string {
  const { action, resource, command } = effect
  const gateway = { type: 'Connection', id: connection.name }
  const agent = { type: 'Agent', id: principal.id }
  const target = { type: resource.type, id: resource.id }
  const entities: cedar.EntityJson[] = [
    {
      uid: agent,
      attrs: {
        issuer: principal.issuer,
        ...(principal.owner === undefined ? {} : { owner: principal.owner }),
        ...(principal.onBehalfOf === undefined ? {} : { onBehalfOf: principal.onBehalfOf }),
      },
      parents: [...new Set(principal.groups)].map((id) => ({ type: 'Group', id })),
    },
    { uid: gateway, attrs: { kind: connection.kind, tags: connection.tags }, parents: [] },
  ]
  if (resource.type === 'Connection') {
    if (resource.id !== connection.name) return `${resource.id} is not the connection that the command came by`
  } else if (resource.type === 'DataClass') {
    entities.push({ uid: target, attrs: {}, parents: [] })
  } else {
    // Were it in another connection, that one's policies would be asked about what this one does.
    if (!resource.id.startsWith(`${connection.name}/`)) return `${resource.id} is not within ${connection.name}`
    entities.push({ uid: target, attrs: { ...resource.attrs }, parents: [gateway] })
  }
  const time = context.time
  return {
    principal: agent,
    action: { type: 'Action', id: action },
    resource: target,
    entities,
    context: {
      ...(action === 'data:reveal'
        ? { connection: { __entity: gateway } }
        : action === 'access:request'
          ? { actions: command.actions ?? [], seconds: Number(command.seconds ?? 0) }
          : { command }),
      ...(context.purpose === undefined ? {} : { purpose: context.purpose }),
      ...(context.grant === undefined || action === 'access:request' ? {} : { grant: context.grant }),
      time: { hour: time.getUTCHours(), weekday: ((time.getUTCDay() + 6) % 7) + 1 },
      ...(approval === undefined || action === 'data:reveal'
        ? {}
        : { approval: { groups: approval.groups, people: approval.people } }),
    },
  }
}
