import { type Approval, type Decision, namedParameters, type Requirement } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import { facts, table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { block, distance, moment, shown } from '../terminal/text.ts'

/** An approval with all that a decision is about: the whole command, who, where, why, and the digest. */
export function showApproval(approval: Approval, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { command, access } = approval
  const lines = [
    `${bold(shown(approval.id))}  ${stateOf(approval)}`,
    ...facts([
      ['agent', agentText(approval.identity)],
      ['connection', connectionText(approval)],
      ['session', shown(approval.session)],
      ['asked', moment(approval.requestedAt)],
    ]),
  ]
  if (approval.purpose !== undefined) lines.push('  purpose', ...block(approval.purpose))
  if (access) {
    lines.push(
      ...facts([
        ['for', distance(access.seconds)],
        ['asked by', `${shown(access.requestedBy.name)} (${shown(access.requestedBy.id)})`],
        ['plan', access.plan === undefined ? undefined : `${shown(access.title ?? '')} (${shown(access.plan)})`],
        ['grants', access.grants.map(shown).join(', ')],
      ]),
    )
  }
  lines.push(`  ${access ? 'request' : 'command'}  ${shown(command.kind)}`, ...block(command.text))
  for (const [name, parameter] of namedParameters(command)) {
    lines.push(`  ${shown(name)}`)
    if (parameter === null) lines.push('    | NULL')
    else if (typeof parameter === 'string') lines.push(...block(parameter))
    else lines.push(`    | ${shown(parameter.base64)} (base64)`)
  }
  if (command.effects.length > 0) lines.push('  effects', ...command.effects.map(effectText))
  lines.push('  needs', ...approval.requirements.map(requirementText))
  if (approval.decisions.length > 0) lines.push('  decisions', ...approval.decisions.flatMap(decisionText))
  if (approval.closedBecause !== undefined) lines.push(`  because  ${shown(approval.closedBecause)}`)
  if (approval.outcome) lines.push(`  outcome  ${outcomeText(approval.outcome)}`)
  lines.push(`  digest   ${shown(command.digest)}`)
  if (approval.mayNotDecideBecause !== undefined && approval.state === 'pending')
    lines.push(`  you may not decide it: ${shown(approval.mayNotDecideBecause)}`)
  return lines
}

/** Approvals as lines of a table; commands by their beginning. */
export function approvalTable(approvals: Approval[]): string[] {
  if (approvals.length === 0) return ['nothing is held']
  const rows = approvals.map(({ id, state, connection, identity, command, expiresAt }) => [
    id,
    state,
    connection,
    identity.name,
    state === 'pending' ? moment(expiresAt).replace(/^.* \(|\)$/g, '') : '',
    beginning(command.text),
  ])
  return table(['ID', 'STATE', 'CONNECTION', 'AGENT', 'EXPIRES', 'COMMAND'], rows)
}

/** The beginning of a text for a line of a list; `show` has it whole. */
export function beginning(text: string, most = 70): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > most ? `${line.slice(0, most - 1)}…` : line
}

export function agentText({ name, id, owner, onBehalfOf, chain, groups }: AgentRef): string {
  const more = [
    onBehalfOf && `on behalf of ${onBehalfOf}`,
    chain?.length && `through ${chain.join(', ')}`,
    owner && `owner ${owner}`,
    groups.length > 0 && `groups ${groups.join(', ')}`,
  ].filter(Boolean)
  return `${shown(name)} (${shown(id)})${more.map((part) => `; ${shown(String(part))}`).join('')}`
}

export function connectionText(of: { connection: string; connectionTags: string[]; protocol?: string }): string {
  const tags = of.connectionTags.length > 0 ? ` [${of.connectionTags.map(shown).join(', ')}]` : ''
  return `${shown(of.connection)}${tags}${of.protocol ? `, ${shown(of.protocol)}` : ''}`
}

function stateOf({ state, expiresAt }: Approval): string {
  return state === 'pending' ? `pending, expires ${moment(expiresAt)}` : state
}

function effectText({ action, resource, kind, bounded }: Approval['command']['effects'][number]): string {
  return `    ${shown(action)} on ${shown(resource.type)} ${shown(resource.id)} (${shown(kind)}${bounded ? '' : ', reaches every row'})`
}

function requirementText({ policy, reason, groups, quorum, approvedBy, escalatedTo }: Requirement): string {
  const who = [...groups, ...(escalatedTo ?? [])].map(shown).join(' or ')
  const by = approvedBy.length > 0 ? `, approved by ${approvedBy.map(shown).join(', ')}` : ''
  return `    ${quorum} of ${who}: ${shown(reason ?? 'no reason given')} (policy ${shown(policy)})${by}`
}

function decisionText(decision: Decision): string[] {
  const { person, verdict, at, reason, window, inPlaceOf, breakGlass } = decision
  const more = [
    breakGlass && 'break-glass',
    inPlaceOf?.length && `in place of ${inPlaceOf.map(shown).join(', ')}`,
    verdict === 'approve' && window !== 'once' && `window ${shown(window)}`,
  ].filter(Boolean)
  const line = `    ${verdict === 'approve' ? 'approved' : 'denied'} by ${shown(person)} ${moment(at)}${more.map((part) => `, ${part}`).join('')}`
  return reason === '' ? [line] : [line, ...block(reason, '      | ')]
}

function outcomeText({ status, sqlstate, message, tag, rows }: NonNullable<Approval['outcome']>): string {
  return [status, tag, sqlstate, message, rows === undefined ? undefined : `${rows} rows`]
    .filter((part) => part !== undefined)
    .map((part) => shown(part))
    .join(', ')
}
