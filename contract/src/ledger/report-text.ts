import type { BundleReport, Part } from './bundle-report.ts'
import type { Finding, Outcome, Place } from './findings.ts'

/** What a verification found, as lines for a terminal or as one JSON object: the same words wherever it is asked for. */

/** Exit status of `verify` (docs/verify.md): 0 whole, 1 broken or incomplete, 2 can't tell. */
export const exitStatus: Record<Outcome, 0 | 1 | 2> = { whole: 0, incomplete: 1, broken: 1, 'cant-tell': 2 }

export const outcomeWords: Record<Outcome, string> = {
  whole: 'every byte is what was logged, and nothing that was announced is missing',
  incomplete: 'what is there is genuine, but something is missing',
  broken: 'something was changed',
  'cant-tell': 'nothing contradicts itself, but no key that you trust vouches for it: give it with --key',
}

/** What every report has, whatever was verified. */
export interface Summary {
  outcome: Outcome
  findings: readonly Finding[]
  counts: { integrity: number; completeness: number }
  signedBy: readonly string[]
  cosignedBy: readonly string[]
}

/** More than that scrolls the first place away; `--json` has a hundred of each kind. */
const SHOWN = 20

/**
 * Text that came out of a file, safe to print: control characters, and those that turn the direction of what follows, as
 * their code points.
 */
export const printable = (text: string): string =>
  text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu,
    (one) => `\\u{${one.codePointAt(0)!.toString(16)}}`,
  )

/** Where it is, in the words of this archive: file, row, entry, byte. */
export function placeText(where: Place): string {
  const { tile, member, row, recording, entry, offset } = where
  const parts: string[] = []
  if (member !== undefined) parts.push(member)
  if (tile !== undefined) parts.push(tile)
  if (row !== undefined) parts.push(`row ${row}`)
  if (recording !== undefined && member === undefined && row === undefined) parts.push(`recording ${recording}`)
  if (entry !== undefined) parts.push(`entry ${entry}`)
  if (offset !== undefined) parts.push(`byte ${offset}`)
  return parts.join(', ')
}

/** The lines that every answer begins with: the outcome and what it means, then what is wrong, the first place first. */
export function summaryText(report: Summary, what: string): string[] {
  const { outcome, findings, counts } = report
  const [first, ...others] = findings
  const lines = [`${outcome === 'cant-tell' ? "can't tell" : outcome}: ${what}`, `  ${outcomeWords[outcome]}`, '']
  if (first) {
    lines.push(`  first       ${findingText(first)}`)
    for (const finding of others.slice(0, SHOWN - 1)) lines.push(`              ${findingText(finding)}`)
    const more = counts.integrity + counts.completeness - Math.min(findings.length, SHOWN)
    if (more > 0) lines.push(`              … and ${more} more (--json tells a hundred of each kind)`)
  }
  const by = (names: readonly string[]) => names.join(', ') || 'nobody that you trust'
  lines.push(
    `  integrity   ${counts.integrity === 0 ? 'whole' : `broken: ${things(counts.integrity)} changed`}`,
    `  complete    ${counts.completeness === 0 ? 'yes' : `no: ${things(counts.completeness)} missing`}`,
    `  signed by   ${by(report.signedBy)}`,
  )
  if (report.cosignedBy.length > 0) lines.push(`  witnesses   ${by(report.cosignedBy)}`)
  return lines.map(printable)
}

/** A bundle's report. `what` is the file as it was named. */
export function bundleText(report: BundleReport, what: string): string[] {
  const { manifest, counts } = report
  const lines = summaryText(report, what)
  if (manifest) {
    const { about, madeAt, madeBy, origin, size } = manifest
    const subject = about.kind === 'session' ? `session ${about.session}` : `campaign ${about.campaign}`
    lines.push(
      `  about       ${subject}, made ${madeAt}${madeBy ? ` by ${madeBy.name} (${madeBy.id})` : ''}`,
      `  log         ${origin}, ${size} entries`,
    )
    const head = report.campaign?.head
    if (head && counts.integrity === 0)
      lines.push(
        `  campaign    ${head.title}: ${head.counts.items} items and ${head.counts.decisions} decisions are as their entries say`,
      )
  }
  lines.push('', ...report.parts.map(partText))
  return lines.map(printable)
}

/** One JSON object; what a terminal would obey is escaped. `more` are members besides. */
export function reportJson(report: Summary, what: string, more: object = {}): string {
  const { outcome, findings, counts, signedBy, cosignedBy } = report
  const whole = {
    outcome,
    exit: exitStatus[outcome],
    meaning: outcomeWords[outcome],
    what,
    integrity: counts.integrity === 0 ? 'whole' : 'broken',
    completeness: counts.completeness === 0 ? 'complete' : 'incomplete',
    counts,
    findings,
    signedBy,
    cosignedBy,
    ...more,
  }
  return JSON.stringify(whole).replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function findingText({ text, where, about }: Finding): string {
  const place = placeText(where)
  return `${about === 'integrity' ? 'changed' : 'missing'}${place ? ` (${place})` : ''}: ${text}`
}

const partText = ({ part, state, text }: Part) =>
  `  ${part.padEnd(11)} ${state === 'cant-tell' ? "can't tell" : state}: ${text}`

const things = (count: number) => (count === 1 ? 'one thing was' : `${count} things were`)
