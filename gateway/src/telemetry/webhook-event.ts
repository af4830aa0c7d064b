import type { BreakGlass, Doer, Grant } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { StoredMessage } from '../store/feed.ts'

/** What webhooks are told of a command: only that there is one, or its text too. */
export type WebhookContent = 'name' | 'command'

/** A CloudEvent 1.0 in structured JSON, with data shaped as OCSF's class Entity Management (3004). */
export interface WebhookEvent {
  specversion: '1.0'
  id: string
  source: string
  type: string
  subject: string
  time: string
  datacontenttype: 'application/json'
  data: Record<string, unknown>
}

/** The version of OCSF whose words are used. */
export const OCSF = '1.3.0'

/** What there is of each thing at most: an event is small, however large what it tells of. */
const most = { words: 500, text: 4096, items: 50 }

const activity = { create: 1, update: 3, delete: 4, other: 99 } as const
const severity = { informational: 1, medium: 3, high: 4 } as const

/** Whether webhooks are told of messages of this type. */
export function isTold(type: StoredMessage['type']): boolean {
  return /^(approval|break-glass|grant)\./.test(type)
}

interface Told {
  activity: keyof typeof activity
  /** Where OCSF has no word for it. */
  activityName?: string
  severity: keyof typeof severity
  message: string
  actor?: { uid: string; name: string; kind: string }
  comment?: string
  entity: { uid: string; type: string; name: string; about: Record<string, unknown> }
}

/**
 * What webhooks are told of a message of the feed, or undefined where it is nothing for them.
 * @param from id of the event, source: a URI of this gateway, version of the gateway
 */
export function eventOf(
  message: StoredMessage,
  from: { id: string; source: string; version: string; content: WebhookContent },
): WebhookEvent | undefined {
  const told = toldOf(message, from.content)
  if (!told) return undefined
  const { id, source, version } = from
  return {
    specversion: '1.0',
    id,
    source,
    type: `countersign.${message.type}`,
    subject: told.entity.uid,
    time: message.at,
    datacontenttype: 'application/json',
    data: {
      activity_id: activity[told.activity],
      ...(told.activityName === undefined ? {} : { activity_name: told.activityName }),
      category_uid: 3,
      category_name: 'Identity & Access Management',
      class_uid: 3004,
      class_name: 'Entity Management',
      type_uid: 300_400 + activity[told.activity],
      severity_id: severity[told.severity],
      time: Date.parse(message.at),
      message: cut(told.message),
      ...(told.actor
        ? { actor: { user: { uid: cut(told.actor.uid), name: cut(told.actor.name), type: told.actor.kind } } }
        : {}),
      ...(told.comment ? { comment: cut(told.comment) } : {}),
      entity: {
        uid: told.entity.uid,
        type: told.entity.type,
        name: cut(told.entity.name),
        data: told.entity.about,
      },
      metadata: {
        version: OCSF,
        uid: id,
        event_code: message.type,
        product: { name: 'Countersign', vendor_name: 'Countersign', version },
      },
    },
  }
}

function toldOf(message: StoredMessage, content: WebhookContent): Told | undefined {
  switch (message.type) {
    case 'approval.opened':
    case 'approval.escalated':
    case 'approval.decided':
      return approvalTold(message.type, message.data, content)
    case 'approval.closed':
      // Said again when retention has taken what it said: it was closed once.
      return message.data.closedAt === message.at ? approvalTold(message.type, message.data, content) : undefined
    case 'break-glass.used':
    case 'break-glass.reviewed':
      return breakGlassTold(message.data)
    case 'grant.requested':
    case 'grant.activated':
    case 'grant.denied':
    case 'grant.expired':
    case 'grant.revoked':
      return grantTold(message.type, message.data, content)
    default:
      return undefined
  }
}

function approvalTold(
  type: 'approval.opened' | 'approval.escalated' | 'approval.decided' | 'approval.closed',
  approval: Approval,
  content: WebhookContent,
): Told {
  const { identity, connection, access } = approval
  const what = `${access ? 'a request for access' : `a command (${approval.command.kind})`} of ${identity.name} on ${connection}`
  const asked = [...new Set(approval.requirements.flatMap((one) => [...one.groups, ...(one.escalatedTo ?? [])]))]
  const last = approval.decisions.at(-1)
  const entity = {
    uid: approval.id,
    type: access ? 'access request' : 'held command',
    name: `${identity.name} on ${connection}`,
    about: aboutApproval(approval, content),
  }
  switch (type) {
    case 'approval.opened': {
      const asks = { uid: identity.id, name: identity.name, kind: 'agent' }
      return {
        activity: 'create',
        severity: 'informational',
        message: `${what} waits for ${asked.join(', ')}`,
        actor: asks,
        entity,
      }
    }
    case 'approval.escalated': {
      const message = `nobody has decided ${what}: ${asked.join(', ')} are asked now`
      return { activity: 'update', severity: 'medium', message, entity }
    }
    case 'approval.decided': {
      const by = last && { uid: last.personId, name: last.person, kind: 'person' }
      const verb =
        last?.verdict === 'deny' ? 'denied' : last?.breakGlass ? 'approved, alone in an emergency,' : 'approved'
      return {
        activity: 'update',
        severity: last?.breakGlass ? 'high' : 'informational',
        message: `${last?.person ?? 'somebody'} has ${verb} ${what}`,
        ...(by ? { actor: by } : {}),
        ...(last?.reason ? { comment: last.reason } : {}),
        entity,
      }
    }
    case 'approval.closed':
      return { activity: 'update', severity: 'informational', message: `${what} is ${approval.state}`, entity }
  }
}

function aboutApproval(approval: Approval, content: WebhookContent): Record<string, unknown> {
  const { id, state, connection, connectionTags, protocol, identity, command, access } = approval
  return {
    state,
    link: `countersign://approval/${id}`,
    connection,
    connectionTags: some(connectionTags),
    protocol,
    agent: agentOf(identity),
    kind: command.kind,
    requirements: approval.requirements.slice(0, most.items).map((one) => ({
      policy: cut(one.policy),
      ...(one.reason === undefined ? {} : { reason: cut(one.reason) }),
      groups: some(one.groups),
      quorum: one.quorum,
      approved: one.approvedBy.length,
      ...(one.escalatedTo ? { escalatedTo: some(one.escalatedTo) } : {}),
      ...(one.critical ? { critical: true } : {}),
    })),
    decisions: approval.decisions.slice(-most.items).map((one) => ({
      person: { uid: cut(one.personId), name: cut(one.person) },
      verdict: one.verdict,
      at: one.at,
      ...(one.inPlaceOf ? { inPlaceOf: some(one.inPlaceOf) } : {}),
      ...(one.breakGlass ? { breakGlass: true } : {}),
    })),
    requestedAt: approval.requestedAt,
    expiresAt: approval.expiresAt,
    ...(access
      ? { access: { grants: access.grants.length, seconds: access.seconds, requestedBy: doerOf(access.requestedBy) } }
      : {}),
    ...(content === 'command'
      ? {
          command: { text: command.text.slice(0, most.text), length: command.text.length, digest: command.digest },
          ...(approval.purpose === undefined ? {} : { purpose: cut(approval.purpose) }),
        }
      : {}),
  }
}

function breakGlassTold(use: BreakGlass): Told {
  const { review, person } = use
  const entity = {
    uid: use.id,
    type: 'break-glass',
    name: `${person.name} on ${use.connection}`,
    about: {
      approval: use.approval,
      link: `countersign://approval/${use.approval}`,
      agent: use.agent,
      connection: use.connection,
      person: { uid: person.id, name: cut(person.name) },
      at: use.at,
      ...(review
        ? { review: { by: { uid: review.by.id, name: cut(review.by.name) }, verdict: review.verdict, at: review.at } }
        : {}),
    },
  }
  if (review)
    return {
      activity: 'update',
      severity: review.verdict === 'justified' ? 'informational' : 'high',
      message: `${review.by.name} found it ${review.verdict === 'justified' ? 'justified' : 'not justified'} that ${person.name} decided alone on ${use.connection}`,
      actor: { uid: review.by.id, name: review.by.name, kind: 'person' },
      comment: review.reason,
      entity,
    }
  return {
    activity: 'other',
    activityName: 'Break Glass',
    severity: 'high',
    message: `${person.name} has approved alone, in an emergency, on ${use.connection}`,
    actor: { uid: person.id, name: person.name, kind: 'person' },
    comment: use.reason,
    entity,
  }
}

type GrantType = 'grant.requested' | 'grant.activated' | 'grant.denied' | 'grant.expired' | 'grant.revoked'
const grants: Record<GrantType, { activity: keyof typeof activity; verb: string }> = {
  'grant.requested': { activity: 'create', verb: 'asks for' },
  'grant.activated': { activity: 'update', verb: 'has' },
  'grant.denied': { activity: 'update', verb: 'was denied' },
  'grant.expired': { activity: 'delete', verb: 'has no longer' },
  'grant.revoked': { activity: 'delete', verb: 'was taken' },
}

function grantTold(type: GrantType, grant: Grant, content: WebhookContent): Told {
  const by = type === 'grant.requested' ? grant.requestedBy : grant.endedBy
  return {
    activity: grants[type].activity,
    severity: grant.breakGlass && type === 'grant.activated' ? 'high' : 'informational',
    message: `${grant.identity.name} ${grants[type].verb} access to ${grant.connection}`,
    ...(by ? { actor: { uid: by.id, name: by.name, kind: by.kind } } : {}),
    ...(grant.endedBecause ? { comment: grant.endedBecause } : {}),
    entity: {
      uid: grant.id,
      type: 'grant',
      name: `${grant.identity.name} on ${grant.connection}`,
      about: {
        state: grant.state,
        connection: grant.connection,
        connectionTags: some(grant.connectionTags),
        agent: agentOf(grant.identity),
        actions: some(grant.actions),
        ...(grant.resources ? { resources: some(grant.resources) } : {}),
        seconds: grant.seconds,
        requestedBy: doerOf(grant.requestedBy),
        requestedAt: grant.requestedAt,
        ...(grant.approval === undefined ? {} : { approval: grant.approval }),
        ...(grant.breakGlass ? { breakGlass: true } : {}),
        ...(grant.activeFrom === undefined ? {} : { activeFrom: grant.activeFrom }),
        ...(grant.expiresAt === undefined ? {} : { expiresAt: grant.expiresAt }),
        ...(content === 'command' ? { purpose: cut(grant.purpose) } : {}),
      },
    },
  }
}

function agentOf({ id, name, onBehalfOf }: Approval['identity']): Record<string, unknown> {
  return { uid: cut(id), name: cut(name), ...(onBehalfOf === undefined ? {} : { onBehalfOf: cut(onBehalfOf) }) }
}

function doerOf({ kind, id, name }: Doer): Record<string, unknown> {
  return { type: kind, uid: cut(id), name: cut(name) }
}

function some(list: readonly string[]): string[] {
  return list.slice(0, most.items).map(cut)
}

function cut(text: string): string {
  return text.length > most.words ? `${text.slice(0, most.words - 1)}…` : text
}
