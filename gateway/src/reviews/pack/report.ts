import type { PersonRef } from '@countersign/contract/identity'
import type { PackHead } from '@countersign/contract/ledger/campaign-pack'
import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { base64 } from '@countersign/contract/ledger/encoding'
import { CampaignPlan, type ReviewerRule } from '@countersign/contract/review'
import type { PackMade, PackPolicy } from './bundle.ts'
import { controls, isNamed } from './controls.ts'
import { count, facts, html, lines, type Markup, pageEnd, pageHead, table, when } from './page.ts'
import type { PackReading, PackSummary } from './read.ts'
import { itemSection } from './report-item.ts'
import { applicationWords, exceptionWords, flagWords, nameOf, verdictWords } from './words.ts'

export interface ReportParts {
  summary: PackSummary
  policies: readonly PackPolicy[]
  made: Pick<PackMade, 'at' | 'by' | 'entry'>
  /** The signed checkpoint that the pack is proven against. */
  checkpoint: string
}

/** The report of a campaign: one HTML file without scripts, to be read and printed. Streams, item by item. */
export async function* reportOf(reading: PackReading, parts: ReportParts): AsyncGenerator<string> {
  const { head } = parts.summary
  yield pageHead(`Access review: ${head.title}`).text
  yield opening(head, parts).text
  yield scope(head, parts.summary).text
  yield results(head).text
  yield exceptions(parts.summary).text
  yield people(head).text
  yield mapping(head).text
  yield policy(parts.policies).text
  yield html`<h2 class="page">Items</h2>
`.text
  for await (const packed of reading.items()) yield itemSection(packed).text
  yield checking(head).text
  yield pageEnd
}

function opening(head: PackHead, { made, checkpoint }: ReportParts): Markup {
  const { origin, size, root } = readCheckpoint(checkpoint)
  const { created, started, closed } = head
  return html`<h1>${head.title}</h1><p class="lead">Access review, evidence pack</p>
${facts([
  ['Campaign', head.campaign],
  ['State', head.state],
  ['Made', created && `${when(created.at)} by ${nameOf(created.by)}, entry ${created.entry}`],
  ['Begun by', String(head.trigger.kind ?? '')],
  ['Started', started && `${when(started.at)} by ${nameOf(started.by)}, entry ${started.entry}`],
  ['Snapshot', started && when(started.snapshotAt)],
  ['Due', started && when(started.dueAt)],
  ['Closed', closed && `${when(closed.at)} by ${nameOf(closed.by)}, entry ${closed.entry}: ${closed.reason}`],
  ['This pack', `made ${when(made.at.toISOString())} for ${made.by.name} (${made.by.id}), entry ${made.entry}`],
  ['Log', `${origin}, ${count(size, 'entry', 'entries')}, root ${base64(root)}`],
])}
<p class="note">This report is for reading. What it says is taken from the ledger’s entries and the evidence documents beside it in the pack; that these are what was logged, and that none is missing, is checked with <code>countersign verify</code>, not by believing this page.</p>
`
}

function scope({ plan: kept }: PackHead, { coverage }: PackSummary): Markup {
  const parsed = CampaignPlan.safeParse(kept)
  if (!parsed.success) return html`<h2>Scope and method</h2>${lines(JSON.stringify(kept, null, 2))}`
  const { description, scope, windowDays, stages, onExpiry, days } = parsed.data
  const narrowed = Object.entries(scope).map(([name, value]): [string, string] => [
    scopeWords[name] ?? name,
    Array.isArray(value) ? value.join(', ') : String(value),
  ])
  return html`<h2>Scope and method</h2>${description && html`<p>${description}</p>`}
${narrowed.length > 0 ? facts(narrowed) : html`<p>All agents and connections.</p>`}
<p>An item is what one agent may do on one connection, or a rule that gives access just in time. For each, what policy in force at the snapshot permits was set beside the commands that the gateway recorded in the ${count(windowDays, 'day')} before. What nobody holds has no item. Recommendations follow from that use; people decide. What was to be reduced or revoked is enforced by the gateway as a policy of its own (an overlay) once another person has applied it, and the gate is then asked whether it does what it says.</p>
${facts([
  ...stages.map((stage, i): [string, string] => [
    `Stage ${i + 1}`,
    `${stage.title}: ${stage.reviewers.map(reviewerWords).join(', else ')}`,
  ]),
  ['Time to decide', count(days, 'day')],
  ['If nobody decides', expiryWords[onExpiry]],
])}
<h4>Coverage</h4>
${coverage.length === 0 ? html`<p class="open">No evidence document says what of the window could be read.</p>` : coverage.map(({ commands, unreadable, since, notes, items }) => html`<p>${count(items, 'item')}: ${count(commands, 'recorded command')} read${since ? ` since ${when(since)}` : ''}, ${unreadable > 0 ? html`<span class="open">${count(unreadable, 'command')} unreadable</span>` : 'none unreadable'}. ${notes.join(' ')}</p>`)}
`
}

function results({ counts }: PackHead): Markup {
  const verdicts = (['certify', 'reduce', 'revoke', 'abstain', 'undecided'] as const).filter((one) => counts[one] > 0)
  const applications = (Object.keys(applicationWords) as (keyof typeof applicationWords)[]).filter(
    (one) => counts.applications[one] > 0,
  )
  return html`<h2>Result</h2><p>${count(counts.items, 'item')}, of them ${counts.privileged} privileged. ${count(counts.decisions, 'decision')} (${counts.bulk} in bulk), ${count(counts.comments, 'comment')}, ${count(counts.moves, 'handover')}; ${counts.expired} decided by expiry.</p>
${table(
  ['Verdict', 'Items'],
  verdicts.map((one) => [verdictWords[one], counts[one]]),
)}
${
  applications.length > 0
    ? table(
        ['What became of reductions and revocations', 'Items'],
        applications.map((one) => [applicationWords[one], counts.applications[one]]),
      )
    : undefined
}
`
}

function exceptions({ head, open }: PackSummary): Markup {
  return html`<h2>Open exceptions</h2>
${
  head.exceptions.length === 0
    ? html`<p class="good">None.</p>`
    : table(
        ['What', 'How many'],
        head.exceptions.map(({ code, count }) => [exceptionWords[code], count]),
      )
}
${
  open.length > 0
    ? table(
        ['Item', 'Name', 'Connection', 'What is open'],
        open.map(({ number, name, connection, codes }) => [
          html`<a href="#item-${number}">${number}</a>`,
          name,
          connection,
          codes.map((code) => exceptionWords[code]).join('; '),
        ]),
      )
    : undefined
}
`
}

function people({ reviewers, signOffs }: PackHead): Markup {
  const share = (n: number, of: number) => `${n} (${Math.round((100 * n) / Math.max(1, of))} %)`
  return html`<h2>Reviewers and sign-off</h2>
${
  reviewers.length === 0
    ? html`<p>No person has decided anything.</p>`
    : table(
        ['Reviewer', 'Decided', 'Certified', 'As recommended', 'In bulk', 'Median seconds', 'Signals'],
        reviewers.map((one) => [
          html`${one.name}<br><span class="dim">${one.id}</span>`,
          one.decided,
          share(one.certified, one.decided),
          share(one.followed, one.decided),
          share(one.bulk, one.decided),
          one.medianSeconds,
          one.flags.map((flag) => html`<span class="open">${flagWords[flag]}</span> `),
        ]),
      )
}
${signOffs.length === 0 ? html`<p class="open">Nobody has signed it off.</p>` : signOffs.map(({ by, at, statement, entry }) => html`<div class="keep"><p>Signed off by <b>${(by as PersonRef).name}</b> (${by.id}), ${when(at)}, entry ${entry}:</p>${lines(statement)}</div>`)}
`
}

function mapping(head: PackHead): Markup {
  return html`<h2>Controls</h2><p class="note">Where to look for which requirement. It does not say that one is met: that is for an assessor, who needs what stands in the last column, too. The campaign’s own are marked ●.</p>
${table(
  ['', 'Requirement', 'Asks', 'Shown by', 'Not shown here'],
  controls.map((one) => [
    isNamed(one, head) ? '●' : '',
    html`<b>${one.number}</b><br><span class="dim">${one.catalogue}</span>`,
    one.asks,
    one.shows,
    one.besides,
  ]),
)}
`
}

function policy(policies: readonly PackPolicy[]): Markup {
  const before = policies.find(({ when }) => when.includes('snapshot'))
  const now = policies.find(({ when }) => when.includes('now'))
  const told = (set: PackPolicy | undefined, words: string) =>
    set
      ? html`<p>${words}: version <code>${set.version}</code>, entry ${set.entry} (${when(set.at)}), ${count(set.files.length, 'file')}.</p>`
      : html`<p class="open">${words}: its files are not kept any more; its entry says which they were.</p>`
  const paths = new Map<string, [was: string | undefined, is: string | undefined]>()
  for (const { path, sha256 } of before?.files ?? []) paths.set(path, [sha256, undefined])
  for (const { path, sha256 } of now?.files ?? []) paths.set(path, [paths.get(path)?.[0], sha256])
  const changed = [...paths].filter(([, [was, is]]) => was !== is)
  return html`<h2>Policy before and after</h2>${told(before, 'At the snapshot')}${told(now, 'When this pack was made')}
${
  before && now
    ? changed.length === 0
      ? html`<p>Nothing has changed.</p>`
      : table(
          ['File', 'What', 'SHA-256 now'],
          changed.map(([path, [was, is]]) => [
            path,
            was === undefined ? 'added' : is === undefined ? 'removed' : 'changed',
            is && html`<code>${is}</code>`,
          ]),
        )
    : undefined
}
`
}

function checking({ campaign, cited }: PackHead): Markup {
  return html`<h2 class="page">How to check this pack</h2>
<p>Get the log’s public key from somebody you trust (the gateway’s operator prints it with <code>countersign-gateway ledger show-key</code>), not from the pack, and run:</p>
${lines(`countersign verify ${campaign}.evidence.tar --key 'NAME+ID+KEY'`)}
<p>It checks both signatures, that every entry is in the log, that each item, decision, comment, handover, overlay and sign-off in the pack is what its entry says, that none of those that the log counts is missing, that evidence documents and policy files have the hashes that the ledger has, and that cited commands are those entries. ${count(cited.commands, 'cited command is', 'cited commands are')} in this pack${cited.erased > 0 ? `, ${cited.erased} erased by retention, which an entry says` : ''}${cited.leftOut > 0 ? `, ${cited.leftOut} left out` : ''}.</p>
<p>The same can be done by hand with stock tools: docs/verify.md. items.csv, campaign.json and items/ hold what this report says in forms for other tools.</p>
`
}

const reviewerWords = (rule: ReviewerRule): string => {
  switch (rule.kind) {
    case 'sponsor':
      return 'the agent’s sponsor'
    case 'owner':
      return 'the agent’s owner'
    case 'group':
      return `group ${rule.group}`
    case 'person':
      return rule.person
    case 'role':
      return 'everybody who has the role reviewer'
  }
}

const expiryWords = {
  keep: 'access stays as it is',
  revoke: 'access is revoked',
  recommendation: 'what is recommended is taken',
} as const

const scopeWords: Record<string, string> = {
  connections: 'Connections',
  tags: 'Connections tagged',
  agents: 'Agents',
  groups: 'Agents of groups',
  classes: 'Agents that may see',
  access: 'Access',
  rules: 'Rules of access just in time',
  privileged: 'Only privileged',
  orphans: 'Only agents that nobody answers for',
  idleDays: 'Only unused for days',
}
