import type { PackItem, PackOverlay } from '@countersign/contract/ledger/campaign-item'
import { evidenceName } from '@countersign/contract/ledger/campaign-pack'
import { ItemEvidence } from '@countersign/contract/review'
import { count, facts, html, lines, type Markup, table, when } from './page.ts'
import type { PackedItem } from './read.ts'
import { actionWords, applicationWords, exceptionWords, howWords, nameOf, verdictWords } from './words.ts'

/** So many rows are printed of one table; all of them are in the evidence document. */
const MOST_ROWS = 60
const MOST_POLICIES = 12

/** What the report has of an item: the three answers, the recommendation, what was decided, and what came of it. */
export function itemSection({ item, evidence }: PackedItem): Markup {
  const parsed = ItemEvidence.safeParse(evidence === undefined ? undefined : jsonOf(evidence))
  const { number, name, connection, kind, privileged } = item
  return html`<section class="item" id="item-${number}"><h3>${number}. ${kind === 'rule' ? html`Rule ${name}` : name} on ${connection}</h3>
<p><b>${verdictWords[item.verdict]}</b>${item.how && item.how !== 'reviewer' ? ` (${howWords[item.how]})` : ''}${
    item.application ? `; ${applicationWords[item.application]}` : ''
  }${privileged ? '; privileged' : ''}${item.exceptions.map((code) => html`; <span class="open">${exceptionWords[code]}</span>`)}</p>
${parsed.success ? answers(parsed.data, item.id) : html`<p class="open">Its evidence document is not there${evidence === undefined ? '' : ', or can’t be read'}.</p>`}
${recommended(item)}${decided(item)}${item.overlays.map(applied)}
<p class="dim">Item ${item.id}, ledger entry ${item.entry} (${when(item.at)}); evidence SHA-256 <code>${item.evidence}</code></p></section>
`
}

function answers(evidence: ItemEvidence, item: string): Markup {
  const { identity, connection, permitted, used, through, grants, days, coverage } = evidence
  const total = (of: 'allowed' | 'held' | 'denied') => days.reduce((sum, day) => sum + day[of], 0)
  const commands = total('allowed') + total('held') + total('denied')
  return html`<h4>Is the identity still right?</h4>
${facts([
  ['Agent', identity.agent],
  ['State', identity.state],
  ['Sponsor', identity.sponsorName ?? identity.sponsor ?? html`<span class="open">nobody</span>`],
  ['Owner', identity.owner],
  ['Nobody answers for it', identity.orphan && orphanWords[identity.orphan]],
  ['Purpose', identity.purpose ?? 'none was given'],
  ['Environment', identity.environment],
  ['Groups', identity.groups.join(', ')],
  ['Acts for', identity.actsFor.join(', ')],
  ['First seen', identity.firstSeenAt && when(identity.firstSeenAt)],
  ['Last used here', when(identity.lastUsedAt)],
  [
    'Certified before',
    identity.lastCertified &&
      `${when(identity.lastCertified.at)} by ${identity.lastCertified.by} (${identity.lastCertified.campaign})`,
  ],
])}
<h4>Is what it may more than it needs?</h4>
<p>${connection.name}: ${connection.kind}, ${connection.access === 'jit' ? 'access just in time' : 'standing access'}${
    connection.mode === 'observe' ? ', observed only: nothing is refused' : ''
  }${connection.tags.length > 0 ? `; ${connection.tags.join(', ')}` : ''}. ${count(commands, 'command')} in the window, of them ${total('held')} held and ${total('denied')} denied.</p>
${matrix(evidence)}
${rest(permitted.length + used.length, 2 * MOST_ROWS, item)}
${
  grants.length > 0
    ? table(
        ['Grant', 'State', 'Actions', 'Until', 'Purpose', 'Approved by'],
        grants
          .slice(0, MOST_ROWS)
          .map((one) => [
            one.grant,
            one.state,
            one.actions.join(', '),
            when(one.until),
            one.purpose,
            one.approvedBy.join(', '),
          ]),
      )
    : undefined
}
${through
  .slice(0, MOST_POLICIES)
  .map(
    (one) =>
      html`<p class="dim">${one.effect === 'permit' ? 'Given' : 'Taken'} by ${one.policy} (${one.file})${one.group ? `, as ${one.group}` : ''}${one.reason ? `: ${one.reason}` : ''}</p>${lines(one.text)}`,
  )}${rest(through.length, MOST_POLICIES, item)}
<h4>Did it do something against its purpose?</h4>
${against(evidence)}
${coverage.unreadable > 0 || coverage.notes.length > 0 ? html`<p class="note">Coverage: ${count(coverage.commands, 'command')} read, ${coverage.unreadable} unreadable. ${coverage.notes.join(' ')}</p>` : undefined}
`
}

/** What it may beside what it did, by action and resource. */
function matrix({ permitted, used }: ItemEvidence): Markup {
  interface Row {
    action: string
    resource: string
    may: string
    used: string
    last: string
  }
  const rows = new Map<string, Row>()
  const row = (action: string, resource: string) => {
    const key = `${action}\n${resource}`
    let found = rows.get(key)
    if (!found) {
      found = { action, resource, may: '—', used: 'never', last: '' }
      rows.set(key, found)
    }
    return found
  }
  for (const { action, resource, verdict } of permitted) row(action, resource).may = mayWords[verdict]
  const sums = new Map<Row, [allowed: number, held: number, denied: number]>()
  for (const { action, resource, allowed, held, denied, lastAt } of used) {
    const found = row(action, resource)
    const sum = sums.get(found) ?? [0, 0, 0]
    sums.set(found, [sum[0] + allowed, sum[1] + held, sum[2] + denied])
    if (lastAt > found.last) found.last = lastAt
  }
  for (const [found, [allowed, held, denied]] of sums)
    found.used = `${allowed} allowed${held > 0 ? `, ${held} held` : ''}${denied > 0 ? `, ${denied} denied` : ''}`
  const shown = [...rows.values()].slice(0, 2 * MOST_ROWS)
  if (shown.length === 0) return html`<p>Nothing is permitted, and nothing was used.</p>`
  return table(
    ['Action', 'Resource', 'May', 'Used in the window', 'Last'],
    shown.map(({ action, resource, may, used, last }) => [action, resource, may, used, last && when(last)]),
  )
}

function against({ refused, heldCommands, masked, anomalies, sampled }: ItemEvidence): Markup {
  const cited = [...refused, ...heldCommands, ...(sampled?.commands ?? [])]
  if (cited.length + masked.length + anomalies.length === 0)
    return html`<p>Nothing was denied, held or masked, and nothing was unusual.</p>`
  return html`${anomalies.map(({ text, at }) => html`<p>${text}${at ? ` (${when(at)})` : ''}</p>`)}
${masked.length > 0 ? html`<p>Commands that may have read masked data: ${masked.map((one) => `${one.class} ${one.commands}`).join(', ')}.</p>` : undefined}
${sampled ? html`<p>Of ${count(sampled.of, 'use')} of the rule ${sampled.commands.length} were drawn (seed ${sampled.seed}).</p>` : undefined}
${cited
  .slice(0, MOST_ROWS)
  .map(
    ({ at, verdict, why, text, session, command, entry }) =>
      html`<div class="keep"><p>${when(at)}: ${actionWords[verdict.outcome] ?? verdict.outcome}; ${why} <span class="dim">${session} ${command}${entry === undefined ? '' : `, entry ${entry}`}</span></p>${text === '' ? html`<p class="dim">Its text is erased.</p>` : lines(text)}</div>`,
  )}`
}

function recommended({ recommendation }: PackItem): Markup {
  const { verdict, summary, reasons, policy, keeps, drops } = recommendation
  return html`<h4>Recommended: ${verdictWords[verdict]}</h4><p>${summary}</p>
${reasons.length > 0 ? html`<ul>${reasons.map(({ text }) => html`<li>${text}</li>`)}</ul>` : undefined}
${facts([
  ['Keeps', shortened(keeps)],
  ['Drops', shortened(drops)],
])}${policy === undefined ? undefined : lines(policy)}`
}

function decided({ decisions, comments, moves, decision }: PackItem): Markup {
  if (decisions.length + comments.length + moves.length === 0)
    return html`<h4>Decided</h4><p class="open">Nothing yet.</p>`
  return html`<h4>Decided</h4>
${decisions.map(
  ({
    id,
    verdict,
    by,
    at,
    reason,
    how,
    bulk,
    stage,
    policy,
    madeAt,
    inPlaceOf,
    entry,
    seconds,
    evidenceOpened,
  }) => html`<div class="keep"><p><b>${verdictWords[verdict]}</b>${id === decision ? '' : ' (did not count in the end)'} by ${nameOf(by)}${inPlaceOf ? ` in place of ${inPlaceOf.name}` : ''}, ${when(at)}${how === 'reviewer' ? '' : `: ${howWords[how]}`}${bulk === undefined ? '' : ', in bulk'}${stage > 0 ? `, stage ${stage + 1}` : ''}. ${reason}</p>
<p class="dim">Entry ${entry}${madeAt ? `; made ${when(madeAt)} by the console’s clock` : ''}${seconds === undefined ? '' : `; open for ${Math.round(seconds)} s`}${evidenceOpened ? `; looked at: ${evidenceOpened.join(', ') || 'nothing'}` : ''}</p>${policy === undefined ? undefined : lines(policy)}</div>`,
)}
${moves.map(({ kind, by, to, reason, at, entry }) => html`<p>${by.name} ${kind === 'delegate' ? 'delegated' : 'reassigned'} it to ${to.name}, ${when(at)}: ${reason} <span class="dim">entry ${entry}</span></p>`)}
${comments.map(({ by, at, text, entry }) => html`<p>${by.name}, ${when(at)}: ${text} <span class="dim">entry ${entry}</span></p>`)}`
}

function applied({ id, kind, state, steps, policy, digest }: PackOverlay): Markup {
  const asked = steps.findLast((step) => step.asked)?.asked ?? []
  const wrong = asked.filter(({ ok }) => !ok).length
  return html`<h4>Applied: overlay ${id} (${kind}), ${overlayWords[state]}</h4>
${table(
  ['Step', 'By', 'At', 'Entry', 'Policy set', 'Said'],
  steps.map(({ what, by, at, entry, version, reason }) => [
    what,
    nameOf(by),
    when(at),
    entry,
    version?.slice(0, 16),
    reason,
  ]),
)}
${
  asked.length > 0
    ? html`<p>The gate was asked ${count(asked.length, 'question')}: ${wrong === 0 ? html`<span class="good">all answers are as expected</span>` : html`<span class="open">${wrong} not as expected</span>`}.</p>
${table(
  ['Question', 'Expected', 'Before', 'Answer'],
  [...asked]
    .sort((a, b) => Number(a.ok) - Number(b.ok))
    .slice(0, 30)
    .map(({ action, resource, kind, expect, before, got, ok }) => [
      `${action} ${kind} on ${resource}`,
      expect === 'deny' ? 'deny' : 'as before',
      before,
      ok ? got : html`<span class="open">${got}</span>`,
    ]),
)}`
    : undefined
}
${lines(policy)}<p class="dim">SHA-256 of the policy <code>${digest}</code></p>`
}

const rest = (all: number, shown: number, item: string): Markup | undefined =>
  all > shown ? html`<p class="dim">The first ${shown} of ${all}; all are in ${evidenceName(item)}.</p>` : undefined

const shortened = (words: readonly string[]) =>
  words.length > MOST_ROWS
    ? `${words.slice(0, MOST_ROWS).join('; ')}; and ${words.length - MOST_ROWS} more`
    : words.join('; ')

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const mayWords = {
  allow: 'allowed',
  hold: 'held for approval',
  deny: 'denied',
  depends: 'depends on the command',
} as const
const orphanWords = {
  'no-sponsor': 'it has no sponsor',
  'sponsor-left': 'its sponsor has left',
  'sponsor-unknown': 'its sponsor is not known',
} as const
const overlayWords: Record<PackOverlay['state'], string> = {
  proposed: 'proposed, not in force',
  applied: 'in force, not verified',
  verified: 'in force and verified',
  failed: 'failed',
  rejected: 'rejected',
  'rolled-back': 'rolled back',
  retired: 'retired: the policy folder has the same',
}
