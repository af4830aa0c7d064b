import { hash } from 'node:crypto'
import type { Doer } from '@countersign/contract/access'
import { canonical } from '@countersign/contract/canonical'
import type { AgentRef } from '@countersign/contract/identity'
import type { ConnectionRef } from '../gate/command.ts'
import { type Asked, onOneLine, words } from './asked.ts'

/** One grant that is asked for, alone or as a step of a plan. */
export interface AskedGrant {
  asked: Asked
  identity: AgentRef
  connection: ConnectionRef
  /** Of a step. */
  title?: string
}

/** All that is decided at once: one grant, or a plan with one a step. */
export interface AskedAccess {
  grants: readonly AskedGrant[]
  by: Doer
  plan?: { title: string; purpose: string }
  /** The grant that it prolongs. */
  extends?: { id: string; expiresAt: string }
}

/**
 * What people approve, in words: what, on what, how long, for whom, what for. Words of others are on one line each, in
 * quotation marks, so that they can't look like ours.
 */
export function textOf({ grants, by, plan, extends: prolonged }: AskedAccess): string {
  const asker = `asked for by ${by.kind} ${quoted(by.name)} (${onOneLine(by.id)})`
  if (!plan) {
    const { asked, identity } = grants[0]!
    return [
      `Access to ${asked.connection} for ${agentWords(identity)}`,
      ...lines(asked),
      ...(prolonged ? [`prolongs: grant ${prolonged.id}, which ends ${prolonged.expiresAt}`] : []),
      `what for: ${quoted(asked.purpose)}`,
      asker,
    ].join('\n')
  }
  const steps = grants.map(({ asked, identity, title }, at) =>
    [
      `step ${at + 1} of ${grants.length}, ${quoted(title ?? '')}: access to ${asked.connection} for ${agentWords(identity)}`,
      ...lines(asked).map((line) => `  ${line}`),
    ].join('\n'),
  )
  return [
    `Plan ${quoted(plan.title)}, ${grants.length} steps`,
    ...steps,
    `what for: ${quoted(plan.purpose)}`,
    asker,
  ].join('\n')
}

function lines({ actions, resources, connection, seconds }: Asked): string[] {
  return [
    `may: ${actions.join(', ')}`,
    `on: ${resources ? resources.map(onOneLine).join(', ') : `everything in ${connection}`}`,
    `for: ${words(seconds * 1000)}`,
  ]
}

function agentWords({ id, name, onBehalfOf }: AgentRef): string {
  return `${quoted(name)} (${onOneLine(id)})${onBehalfOf === undefined ? '' : `, on behalf of ${quoted(onBehalfOf)}`}`
}

function quoted(text: string): string {
  return `“${onOneLine(text).replaceAll(/[“”]/g, '"')}”`
}

/**
 * What an approval of access binds to: `sha256:HEX` over the canonical JSON (RFC 8785) of
 * `["countersign-access/1", {by, plan, extends, grants}]`, each grant with the agent's identity, connection, actions,
 * resources, seconds, purpose and title.
 * @throws TypeError for what JSON has no one form of: refuse it
 */
export function digestOfAccess({ grants, by, plan, extends: prolonged }: AskedAccess): string {
  const whole = canonical([
    'countersign-access/1',
    {
      by: { kind: by.kind, id: by.id },
      plan: plan ?? null,
      extends: prolonged?.id ?? null,
      grants: grants.map(({ asked, identity, connection, title }) => ({
        identity: {
          id: identity.id,
          issuer: identity.issuer,
          subject: identity.subject,
          groups: [...new Set(identity.groups)].sort(),
          owner: identity.owner ?? null,
          onBehalfOf: identity.onBehalfOf ?? null,
          chain: identity.chain ?? [],
        },
        connection: { name: connection.name, kind: connection.kind },
        actions: asked.actions,
        resources: asked.resources ?? null,
        seconds: asked.seconds,
        purpose: asked.purpose,
        title: title ?? null,
      })),
    },
  ])
  return `sha256:${hash('sha256', whole, 'hex')}`
}
