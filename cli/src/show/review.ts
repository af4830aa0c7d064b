import type { Campaign, CampaignItem, CampaignItemPage, EvidenceCommand, Overlay } from '@countersign/contract/review'
import { facts, table } from '../terminal/table.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { block, moment, shown } from '../terminal/text.ts'
import { beginning } from './approval.ts'

export function campaignTable(campaigns: Campaign[]): string[] {
  if (campaigns.length === 0) return ['no campaigns']
  const rows = campaigns.map(({ id, state, title, dueAt, counts }) => [
    id,
    state,
    `${counts.items - counts.undecided}/${counts.items}`,
    String(counts.mine),
    dueAt === undefined ? '' : moment(dueAt),
    title,
  ])
  return table(['ID', 'STATE', 'DECIDED', 'YOURS', 'DUE', 'TITLE'], rows)
}

export function showCampaign(campaign: Campaign, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { counts, coverage, dueAt, snapshotAt, closedAt, closedBy, closedBecause } = campaign
  const { certify, reduce, revoke, abstain, undecided } = counts
  const applications = Object.entries(counts.applications).filter(([, many]) => many > 0)
  return [
    `${bold(shown(campaign.id))}  ${campaign.state}  ${shown(campaign.title)}`,
    ...facts([
      ['snapshot', snapshotAt && moment(snapshotAt)],
      ['due', dueAt && `${moment(dueAt)}; then what is undecided: ${campaign.onExpiry}`],
      [
        'closed',
        closedAt && `${moment(closedAt)} by ${shown(closedBy?.name ?? 'the gateway')}: ${shown(closedBecause ?? '')}`,
      ],
      ['items', `${counts.items}, ${counts.privileged} of them privileged; ${counts.mine} undecided ones are yours`],
      ['decided', `certify ${certify}, reduce ${reduce}, revoke ${revoke}, abstain ${abstain}; undecided ${undecided}`],
      ['applied', applications.map(([state, many]) => `${state} ${many}`).join(', ')],
      [
        'read',
        coverage &&
          `${coverage.commands} commands of ${campaign.window.days} days${coverage.unreadable > 0 ? `, ${coverage.unreadable} could not be read` : ''}`,
      ],
      ['signed off', campaign.signedOffBy.map(({ person, at }) => `${shown(person.name)} ${moment(at)}`).join(', ')],
      ['problem', campaign.problem && shown(campaign.problem)],
    ]),
    ...(campaign.description === '' ? [] : block(campaign.description)),
  ]
}

export function itemTable(items: CampaignItem[]): string[] {
  if (items.length === 0) return ['no items']
  const rows = items.map((item) => [
    item.id,
    item.verdict,
    item.recommendation.verdict,
    item.application ?? '',
    item.connection,
    `${item.usedCells}/${item.permittedCells}`,
    `${item.privileged ? '! ' : ''}${item.name}`,
  ])
  return table(['ID', 'VERDICT', 'ADVICE', 'APPLIED', 'CONNECTION', 'USED', 'OF'], rows)
}

/** An item with what its three questions are answered by, what is recommended, and what was decided. */
export function showItem(page: CampaignItemPage, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { item, evidence, recommendation, decisions, comments } = page
  const { identity } = evidence
  const rule = item.kind === 'rule'
  return [
    `${bold(shown(item.id))}  ${item.verdict}  ${shown(item.name)} on ${shown(item.connection)}${item.privileged ? '  privileged' : ''}`,
    ...facts([
      ['revision', String(item.revision)],
      ['sponsor', rule ? undefined : shown(identity.sponsorName ?? identity.sponsor ?? 'nobody')],
      ['owner', identity.owner && shown(identity.owner)],
      ['purpose', identity.purpose && shown(identity.purpose)],
      ['last used', identity.lastUsedAt ? moment(identity.lastUsedAt) : 'never in the window'],
      [
        'window',
        `${moment(evidence.window.from)} to ${moment(evidence.window.to)}, ${evidence.coverage.commands} commands`,
      ],
      rule
        ? ['given', many(evidence.grants.length, 'grant')]
        : ['may', `${many(item.permittedCells, 'pair')} of action and resource, ${item.usedCells} of them used`],
      ['privileged', item.privilegedBecause.map(shown).join('; ')],
    ]),
    ...(rule ? askers(page) : did(page)),
    ...section('refused', evidence.refused),
    ...section('held', evidence.heldCommands),
    ...(evidence.anomalies.length === 0
      ? []
      : ['  unusual', ...evidence.anomalies.map(({ text }) => `    ${shown(text)}`)]),
    `  recommended: ${bold(recommendation.verdict)}, ${shown(recommendation.summary)}`,
    ...recommendation.reasons.map(({ text }) => `    ${shown(text)}`),
    ...(recommendation.policy === undefined ? [] : block(recommendation.policy)),
    ...decisions.flatMap(({ verdict, by, at, reason, how }) => [
      `  ${verdict} by ${shown(by?.name ?? 'nobody')} ${moment(at)}${how === 'reviewer' ? '' : ` (${how})`}`,
      ...(reason === '' ? [] : block(reason)),
    ]),
    ...comments.flatMap(({ by, at, text }) => [`  ${shown(by.name)} ${moment(at)}`, ...block(text)]),
    ...(item.application === undefined
      ? []
      : [
          `  application: ${item.application}${item.application === 'failed' && item.overlayState !== undefined && item.overlayState !== 'failed' ? ` (${item.overlayState})` : ''}${item.overlay ? `, ${shown(item.overlay)}` : ''}`,
        ]),
  ]
}

function did({ evidence: { used } }: CampaignItemPage): string[] {
  if (used.length === 0) return ['  it did', '    nothing']
  const lines = used.map(
    ({ action, kind, resource, allowed, held, denied }) =>
      `    ${[action, kind, resource].map(shown).join(' ')}: ${allowed} allowed, ${held} held, ${denied} denied`,
  )
  return ['  it did', ...lines]
}

/** Whom a rule lets ask, and whom it gave something. */
function askers({ evidence }: CampaignItemPage): string[] {
  const lines = (evidence.askers ?? []).map(
    ({ name, verdict, grants }) => `    ${shown(name)} (${verdict}): ${many(grants, 'grant')}`,
  )
  return ['  it lets ask', ...(lines.length === 0 ? ['    nobody that is known here'] : lines)]
}

const many = (n: number, one: string) => `${n} ${one}${n === 1 ? '' : 's'}`

function section(title: string, commands: EvidenceCommand[]): string[] {
  if (commands.length === 0) return []
  return [
    `  ${title}`,
    ...commands.flatMap(({ at, text, why, session }) => [
      `    ${moment(at)} ${shown(session)}: ${shown(why)}`,
      ...block(text, '      | '),
    ]),
  ]
}

export function overlayTable(overlays: Overlay[]): string[] {
  if (overlays.length === 0) return ['no overlays']
  const rows = overlays.map(({ id, state, kind, connection, title, proposed }) => [
    id,
    state,
    kind,
    connection,
    moment(proposed.at),
    beginning(title, 60),
  ])
  return table(['ID', 'STATE', 'KIND', 'CONNECTION', 'PROPOSED', 'TITLE'], rows)
}

export function showOverlay(overlay: Overlay, { bold }: Pick<Terminal, 'bold'>): string[] {
  const { proposed, approved, probes, failedBecause } = overlay
  const wrong = probes.filter(({ ok }) => !ok)
  return [
    `${bold(shown(overlay.id))}  ${overlay.state}  ${shown(overlay.title)}`,
    ...facts([
      ['digest', overlay.digest],
      ['connection', shown(overlay.connection)],
      ['agent', overlay.agent && shown(overlay.agent)],
      ['proposed', `${moment(proposed.at)} by ${shown(proposed.by?.name ?? 'the gateway')}: ${shown(proposed.reason)}`],
      ['applied', approved && `${moment(approved.at)} by ${shown(approved.by.name)}: ${shown(approved.reason)}`],
      ['probed', probes.length === 0 ? undefined : `${probes.length} questions, ${wrong.length} answered otherwise`],
      ['failed', failedBecause && shown(failedBecause)],
    ]),
    ...wrong.map(
      ({ action, resource, expect, got }) => `    ${shown(action)} on ${shown(resource)}: ${shown(got)}, not ${expect}`,
    ),
    '  policy',
    ...block(overlay.policy),
  ]
}
