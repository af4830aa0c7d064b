import type { Grant, Plan } from '@countersign/contract/access'
import { facts, table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { block, moment, shown } from '../terminal/text.ts'
import { agentText, beginning, connectionText } from './approval.ts'

/** A grant with all that is known of it. */
export function showGrant(grant: Grant, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { requestedBy, expiresAt, activeFrom, endedAt, endedBy, endedBecause, step, lastUsedAt } = grant
  const ends =
    expiresAt === undefined ? '' : `, ${grant.state === 'requested' ? 'lapses' : 'ends'} ${moment(expiresAt)}`
  const isOpen = grant.state === 'requested' || grant.state === 'active'
  return [
    `${bold(shown(grant.id))}  ${grant.state}${isOpen ? ends : ''}${grant.breakGlass ? ', by break-glass' : ''}`,
    ...facts([
      ['agent', agentText(grant.identity)],
      ['connection', connectionText(grant)],
      ['actions', grant.actions.map(shown).join(', ')],
      ['resources', grant.resources?.map(shown).join(', ') ?? 'all'],
      ['duration', shown(grant.duration)],
      ['asked', `${moment(grant.requestedAt)} by ${shown(requestedBy.name)} (${shown(requestedBy.id)})`],
      [
        'plan',
        grant.plan && `${shown(grant.plan)}${step ? `, step ${step.number} of ${step.of}: ${shown(step.title)}` : ''}`,
      ],
      ['extends', grant.extends && shown(grant.extends)],
      ['approval', grant.approval && shown(grant.approval)],
      ['policies', grant.policies.map(shown).join(', ')],
      ['active', activeFrom && `from ${moment(activeFrom)}`],
      [
        'ended',
        endedAt &&
          `${moment(endedAt)}${endedBy ? ` by ${shown(endedBy.name)}` : ''}${endedBecause ? `: ${shown(endedBecause)}` : ''}`,
      ],
      [
        'used',
        lastUsedAt
          ? `by ${grant.sessions} ${grant.sessions === 1 ? 'session' : 'sessions'}, last ${moment(lastUsedAt)}`
          : 'not yet',
      ],
    ]),
    '  purpose',
    ...block(grant.purpose),
    ...grant.approvedBy.flatMap(({ person, at, reason }) => [
      `  approved by ${shown(person)} ${moment(at)}`,
      ...(reason === '' ? [] : block(reason)),
    ]),
  ]
}

export function grantTable(grants: Grant[]): string[] {
  if (grants.length === 0) return ['no grants']
  const rows = grants.map(({ id, state, connection, identity, actions, expiresAt, purpose }) => [
    id,
    state,
    connection,
    identity.name,
    beginning(actions.join(','), 30),
    (state === 'active' || state === 'requested') && expiresAt ? moment(expiresAt).replace(/^.* \(|\)$/g, '') : '',
    beginning(purpose, 50),
  ])
  return table(['ID', 'STATE', 'CONNECTION', 'AGENT', 'ACTIONS', 'ENDS', 'PURPOSE'], rows)
}

export function showPlan(plan: Plan, { bold }: Pick<Terminal, 'bold'>): string[] {
  return [
    `${bold(shown(plan.id))}  ${plan.state}  ${shown(plan.title)}`,
    ...facts([
      ['asked', `${moment(plan.requestedAt)} by ${shown(plan.requestedBy.name)} (${shown(plan.requestedBy.id)})`],
      ['approval', plan.approval && shown(plan.approval)],
    ]),
    '  purpose',
    ...block(plan.purpose),
    ...plan.grants.flatMap((grant, at) => [
      `  ${at + 1}. ${shown(grant.step?.title ?? '')}: ${shown(grant.id)} ${grant.state}`,
      ...facts([
        ['  agent', `${shown(grant.identity.name)} (${shown(grant.agent)})`],
        ['  connection', shown(grant.connection)],
        ['  actions', grant.actions.map(shown).join(', ')],
        ['  resources', grant.resources?.map(shown).join(', ') ?? 'all'],
        ['  duration', shown(grant.duration)],
      ]),
    ]),
  ]
}

export function planTable(plans: Plan[]): string[] {
  if (plans.length === 0) return ['no plans']
  const rows = plans.map(({ id, state, title, grants, requestedBy }) => [
    id,
    state,
    String(grants.length),
    requestedBy.name,
    title,
  ])
  return table(['ID', 'STATE', 'STEPS', 'ASKED BY', 'TITLE'], rows)
}
