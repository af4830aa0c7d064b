import { namedParameters, type Parameter } from '@countersign/contract/approval'
import type { Annotation } from '@countersign/contract/evidence'
import type { RecordingLine } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import { deniedBy, exitOf, type Step } from '../../../recording-steps.ts'
import { PlainText } from '../terminal/text.ts'
import { type Gathered, gathered, printed } from './gathered.ts'
import { type Html, html } from './html.ts'
import { clock, type Mark, tallyPicture, timelinePicture } from './picture.ts'
import { style } from './style.ts'

/** What this desktop knows about whether the evidence is genuine. */
export interface ReportEvidence {
  readonly outcome: 'whole' | 'incomplete' | 'broken' | 'cant-tell' | 'not-verified'
  /** A sentence. */
  readonly why: string
  /** ISO 8601; absent where it wasn't verified. */
  readonly at?: string
  /** Of the log. */
  readonly origin?: string
  /** Verifier keys that vouch for it. */
  readonly keys?: readonly string[]
  readonly findings?: readonly string[]
  /** Of the bundle file, in lower-case hex. */
  readonly bundleSha256?: string
}

/** A note; where it isn't in the log, `state` says so. */
export type ReportNote = Annotation & { readonly state?: 'here' | 'sending' | 'sent' | 'logged' | 'conflict' }

export interface ReportContent {
  readonly session: Session
  readonly lines: AsyncIterable<RecordingLine>
  readonly annotations: readonly ReportNote[]
  readonly evidence: ReportEvidence
  /** Who prints it, and when (ISO 8601). */
  readonly by: string
  readonly at: string
}

/**
 * A session as a document for paper or PDF: one HTML file that needs nothing else and runs nothing. All text of the
 * recording is shown as text. Where a recording is long, what is remarkable is printed, and how much is left out is said.
 */
export async function report(content: ReportContent): Promise<string> {
  const { session, evidence } = content
  const annotations = content.annotations.filter(({ withdrawn }) => !withdrawn).sort((a, b) => a.from - b.from)
  const recording = await gathered(content.lines, annotations)
  const marks: Mark[] = [
    ...recording.markers,
    ...annotations.map((note) => ({ t: note.from, kind: 'note' as const, label: note.text })),
  ]
  const { tally } = recording
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light">
<title>${`Session ${session.id}: ${session.identity.name} on ${session.connection}`}</title>
<style>${{ html: style }}</style>
</head>
<body>
<header>
<p class="kind">Session report</p>
<h1>${session.identity.name} on ${session.connection}</h1>
<p class="dim">${session.id} · printed ${moment(content.at)} by ${content.by}</p>
</header>
${evidenceBlock(evidence)}
<section><h2>Who, where, when</h2>${facts(session, recording)}</section>
<section><h2>In one picture</h2>
${timelinePicture(recording.moments, marks, recording.length)}
${tallyPicture(
  [
    { name: 'Commands', n: tally.commands, colour: '#8f8e88' },
    { name: 'Held for a person', n: tally.held, colour: '#9a6200' },
    { name: 'Denied', n: tally.denied, colour: '#c3302b' },
    { name: 'Failed', n: tally.failed, colour: '#9a6200' },
    { name: 'Columns masked', n: tally.masked, colour: '#2f5bea' },
    { name: 'Columns revealed', n: tally.revealed, colour: '#1d1d1b' },
  ],
  Math.max(tally.commands, tally.masked, tally.revealed),
)}
</section>
${decisions(recording)}
${annotations.length > 0 && html`<section><h2>Notes</h2><table><thead><tr><th>At</th><th>Note</th><th>By</th></tr></thead><tbody>${annotations.map(annotationRow)}</tbody></table></section>`}
<section><h2>What was done</h2>
${recording.left > 0 && html`<p class="left">${recording.left.toLocaleString('en')} of ${(recording.left + recording.steps.length).toLocaleString('en')} steps are not printed: the first ${printed.plain.toLocaleString('en')} plain ones are, and up to ${printed.remarkable.toLocaleString('en')} that were held, denied, masked, noted, or failed. The recording has all of them.</p>`}
<ol class="steps">${recording.steps.map(({ number, step }) => stepItem(number, step, annotations))}</ol>
</section>
<footer><p>Values in results are as the recording has them: classified ones masked, whoever was allowed to see them. Times count from the session’s beginning, by the gateway’s clock.</p></footer>
</body>
</html>`
  return page.html
}

const outcomes: Record<ReportEvidence['outcome'], { mark: string; says: string }> = {
  whole: { mark: '✓', says: 'Verified: whole' },
  incomplete: { mark: '△', says: 'Genuine, but incomplete' },
  broken: { mark: '✕', says: 'Broken: this is not what was logged' },
  'cant-tell': { mark: '?', says: 'Can’t tell' },
  'not-verified': { mark: '?', says: 'Not verified' },
}

function evidenceBlock(evidence: ReportEvidence): Html {
  const { mark, says } = outcomes[evidence.outcome]
  const lines: [string, string | undefined][] = [
    ['Log', evidence.origin],
    ...(evidence.keys ?? []).map((key): [string, string] => ['Key', key]),
    ['SHA-256 of the bundle', evidence.bundleSha256],
    ['Verified', evidence.at && moment(evidence.at)],
  ]
  return html`<section class="evidence ${evidence.outcome}"><h2><span aria-hidden="true">${mark}</span> ${says}</h2><p>${evidence.why}</p>
${(evidence.findings ?? []).length > 0 && html`<ul>${evidence.findings?.slice(0, 20).map((finding) => html`<li>${finding}</li>`)}</ul>`}
<dl>${lines.map(([name, value]) => value !== undefined && html`<dt>${name}</dt><dd class="code">${value}</dd>`)}</dl>
<p class="dim">Paper proves nothing by itself. The evidence bundle of this session can be verified by anybody: countersign verify FILE --key KEY, or with openssl and sha256sum.</p></section>`
}

function facts(session: Session, { header, length }: Gathered): Html {
  const { identity } = session
  const purpose = session.purpose ?? header?.purpose
  const rows: [string, Html | string | undefined][] = [
    ['Agent', html`${identity.name} <span class="code dim">${session.agent}</span>`],
    ['On behalf of', identity.onBehalfOf],
    ['Purpose, in its words', purpose === undefined ? undefined : `“${purpose}”`],
    [
      'Connection',
      html`${session.connection}${session.connectionTags.map((tag) => html` <span class="tag">${tag}</span>`)}`,
    ],
    ['Protocol', `${session.protocol}${session.mode === 'observe' ? ', observed only: nothing was refused' : ''}`],
    ['Client', `${session.client.address}${session.client.application ? `, ${session.client.application}` : ''}`],
    ['From', moment(session.openedAt)],
    ['To', session.closedAt ? `${moment(session.closedAt)} (${clock(length)})` : 'still open when this was printed'],
    [
      'Ended',
      session.state === 'open'
        ? undefined
        : `${session.state}${session.closedBecause ? `: ${session.closedBecause}` : ''}`,
    ],
    [
      'Recording',
      `${session.recording.bytes.toLocaleString('en')} bytes${session.recording.complete ? '' : ', not complete'}`,
    ],
  ]
  return html`<dl class="facts">${rows.map(([name, value]) => value !== undefined && html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`
}

/** What people decided in this session. */
function decisions({ steps }: Gathered): Html | undefined {
  const held = steps.flatMap(({ number, step }) =>
    (step.kind === 'command' || step.kind === 'held') && step.hold ? [{ number, step, hold: step.hold }] : [],
  )
  if (held.length === 0) return undefined
  return html`<section><h2>What people decided</h2><table><thead><tr><th>At</th><th>Step</th><th>Approval</th><th>How it ended</th><th>By</th><th>Reason</th></tr></thead><tbody>${held.map(
    ({ number, step, hold }) =>
      html`<tr><td class="n">${clock(step.t, true)}</td><td><a href="#step-${number}">${number}</a></td><td class="code">${hold.approval}</td><td>${hold.last.state}</td><td>${hold.last.by?.join(', ')}</td><td>${hold.last.reason}</td></tr>`,
  )}</tbody></table></section>`
}

/** Who has a note, where that isn't the log: on paper it must not look like more than it is. */
function standing({ state }: ReportNote): string | undefined {
  if (state === undefined || state === 'logged') return undefined
  if (state === 'sent') return 'with the gateway, not yet in the log'
  return state === 'conflict'
    ? 'only on the computer that printed this: the gateway refused it'
    : 'only on the computer that printed this'
}

function annotationRow(note: ReportNote): Html {
  const { from, to, text, tags, by } = note
  const where = standing(note)
  return html`<tr><td class="n">${clock(from, true)}${to !== undefined && html`–${clock(to, true)}`}</td><td>${text}${tags.map((tag) => html` <span class="tag">${tag}</span>`)}</td><td>${by.name}${where !== undefined && html`<br><span class="dim">${where}</span>`}</td></tr>`
}

function stepItem(number: number, step: Step, annotations: readonly ReportNote[]): Html {
  const notes = annotations.filter(
    ({ from, to }) => from >= step.t && (to ?? from) <= step.t + (step.kind === 'command' ? (step.result?.ms ?? 0) : 0),
  )
  const parameters = step.kind === 'command' ? namedParameters(step.event) : []
  return html`<li id="step-${number}" value="${number}" class="${kindOf(step)}"><p class="head"><span class="n">${clock(step.t, true)}</span> ${headOf(step)}</p>
${step.kind === 'command' && html`<pre>${step.event.text === '' ? '(empty)' : step.event.text}</pre>${parameters.length > 0 && html`<p class="code dim">${parameters.map(([name, value]) => html`${name} = ${shown(value)} `)}</p>`}`}
${step.kind === 'command' && step.rows && rowsTable(step.rows)}
${step.kind === 'command' && step.channel && said(step.channel)}
${notes.map((note) => html`<p class="note">✎ ${note.by.name}: ${note.text}${standing(note) !== undefined && html` <span class="dim">(${standing(note)})</span>`}</p>`)}</li>`
}

/** The beginning of what a command said, and how it ended. */
function said({ event, head, exit }: NonNullable<Extract<Step, { kind: 'command' }>['channel']>): Html {
  const plain = new PlainText()
  const text = head.map(({ data }) => (typeof data === 'string' ? plain.write(data) : '')).join('')
  const cut = exit !== undefined && exit.bytes.stdout + exit.bytes.stderr > text.length
  const classes = [...new Set(head.flatMap(({ masked }) => masked ?? []))]
  return html`${text.trim() !== '' && html`<pre class="said">${text}</pre>`}${cut && !event.terminal && html`<p class="dim left">the beginning; the recording has what was kept of the rest</p>`}${event.terminal && html`<p class="dim left">in a terminal of ${event.terminal.columns} × ${event.terminal.rows}: to be played</p>`}${classes.map((name) => html` <span class="tag">masked: ${name}</span>`)}<p class="dim left">${exit ? exitOf(exit) : 'its end is not in the recording'}</p>`
}

function kindOf(step: Step): string {
  if (step.kind !== 'command') return step.kind
  return step.event.verdict.outcome === 'deny' && !step.event.verdict.observed
    ? 'denied'
    : step.hold
      ? 'was-held'
      : 'plain'
}

function headOf(step: Step): Html {
  switch (step.kind) {
    case 'note':
      return html`<span class="dim">${step.text}</span>`
    case 'end':
      return html`<strong>${step.event.state}</strong> ${step.event.reason}`
    case 'held':
      return html`held as <span class="code">${step.hold.approval}</span>: ${step.hold.last.state}, never forwarded`
    case 'command': {
      const { verdict } = step.event
      const decided =
        verdict.outcome === 'deny'
          ? `${deniedBy(step.event)}${verdict.observed ? ' (observed only: it went on)' : ''}`
          : verdict.outcome === 'hold'
            ? `held by ${verdict.policies.join(', ')}`
            : 'allowed'
      const released = step.hold
        ? `, ${step.hold.last.state}${step.hold.last.by?.length ? ` by ${step.hold.last.by.join(' and ')}` : ''}`
        : ''
      return html`<strong>${decided}</strong>${released} · ${step.event.kind} · ${resultOf(step)}`
    }
  }
}

function resultOf({ result }: Extract<Step, { kind: 'command' }>): string {
  if (!result) return 'no result in the recording'
  const parts = [result.status, result.tag, result.sqlstate, result.message, `${result.ms.toLocaleString('en')} ms`]
  return parts.filter((part) => part !== undefined && part !== '').join(' ')
}

function rowsTable(rows: NonNullable<Extract<Step, { kind: 'command' }>['rows']>): Html {
  const cut = rows.truncated || rows.rows.length > printed.rows || rows.columns.length > printed.columns
  return html`<table class="rows"><thead><tr>${rows.columns
    .slice(0, printed.columns)
    .map(
      ({ name, masked }) =>
        html`<th>${name}${masked?.map((mark) => html` <span class="tag">${mark.revealed ? 'revealed' : 'masked'}: ${mark.class}</span>`)}</th>`,
    )}</tr></thead><tbody>${rows.rows
    .slice(0, printed.rows)
    .map(
      (row) => html`<tr>${row.slice(0, printed.columns).map((value) => html`<td>${shown(value)}</td>`)}</tr>`,
    )}</tbody></table>${cut && html`<p class="dim left">the first rows and columns; the recording has what was kept of the rest</p>`}`
}

function shown(value: Parameter): string {
  if (value === null) return 'NULL'
  const text = typeof value === 'string' ? value : `base64 ${value.base64}`
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length.toLocaleString('en')} characters)` : text
}

/** ISO 8601 as 2026-11-21 10:00:00 UTC: on paper nobody can ask which zone was meant. */
function moment(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
