import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { canonical } from '@countersign/contract/canonical'
import type { OverlayExport } from '@countersign/contract/review'
import { blankComments, splitPolicies } from '../../policy/cedar-text.ts'
import { overlayOf } from '../../policy/overlay-text.ts'
import type { Policies } from '../../policy/policy.ts'
import { quoted } from '../recommend/cedar.ts'
import type { OverlayRow } from './rows.ts'

/** The file of the folder that has what reviews have decided. */
const FILE = 'reviews.cedar'
const NAMED = 5

type Texts = Pick<Policies, 'texts'>
const folderOf = ({ texts }: Texts) => texts.filter(({ file }) => overlayOf(file) === undefined)

/**
 * Overlays in force as an edit of the policy folder: each policy with an @id of its own behind what is there. Those that
 * the folder has already are left out, and named.
 */
export function exportOf(rows: readonly OverlayRow[], policies: Texts): OverlayExport {
  const redundant = rows.filter((row) => isRedundant(row, policies))
  const added = rows.filter((row) => !redundant.includes(row))
  const notes: string[] = []
  if (redundant.length > 0)
    notes.push(
      `The folder in force has every policy of ${named(redundant)}: an admin may retire ${redundant.length === 1 ? 'it' : 'them'}, and nothing changes.`,
    )
  if (added.length === 0)
    return {
      overlays: [],
      files: [],
      patch: '',
      redundant: redundant.map(({ id }) => id),
      ...(notes.length > 0 && { notes }),
    }
  const before = folderOf(policies).find(({ file }) => file === FILE)?.text ?? ''
  const more = added.map(textOf).join('\n')
  const glue = before === '' ? '' : before.endsWith('\n') ? '\n' : '\n\n'
  const after = `${before}${glue}${more}`
  notes.unshift(
    `Save the patch, and in the folder that \`policy:\` names run: git apply FILE. Have it looked at, put it where the gateway reads it, and reload (SIGHUP). Until an overlay is retired, it and the folder say the same twice, which changes nothing.`,
  )
  return {
    overlays: added.map(({ id }) => id),
    files: [{ file: FILE, text: after }],
    patch: appending(FILE, before, after),
    redundant: redundant.map(({ id }) => id),
    notes,
  }
}

/** Whether the folder in force has every policy of an overlay: the same, whatever it is called and why it is there. */
export function isRedundant({ policy }: Pick<OverlayRow, 'policy'>, policies: Texts): boolean {
  const folder = new Set(folderOf(policies).flatMap(({ text }) => meaningsOf(text)))
  const own = meaningsOf(policy)
  return own.length > 0 && own.every((meaning) => folder.has(meaning))
}

/** Policies of a text as Cedar parses them, without @id and @reason; one that holds is never like one that doesn't. */
function meaningsOf(text: string): string[] {
  return splitPolicies(blankComments(text)).flatMap((part) => {
    const parsed = cedar.policyToJson(part.text)
    if (parsed.type === 'failure') return []
    const { id: _, reason: __, ...annotations } = parsed.json.annotations ?? {}
    return [canonical({ ...parsed.json, annotations })]
  })
}

/** An overlay as policies of a file: an @id and a @reason each, whose it is above them. */
function textOf(row: OverlayRow): string {
  const policies = splitPolicies(blankComments(row.policy)).map((part, at) => {
    const parsed = cedar.policyToJson(part.text)
    if (parsed.type === 'failure') throw new Error(`overlay ${row.id} can't be read: ${parsed.errors[0]?.message}`)
    const reason = parsed.json.annotations?.reason || row.title
    // As it stands, with annotations of its own: Cedar's formatter doesn't come through all that its parser does.
    const text = part.text.slice(ANNOTATIONS.exec(part.text)![0].length)
    return `@id(${quoted(`review-${row.id}-${at + 1}`)})\n@reason(${quoted(reason)})\n${text}`
  })
  const who = (json: string | null) =>
    json === null ? 'the campaign’s default' : (JSON.parse(json) as { name: string }).name
  const said = [
    `Overlay ${row.id}: ${row.title}`,
    `decided by ${who(row.proposed_by)} at ${row.proposed_at}, applied by ${who(row.approved_by)} at ${row.applied_at ?? '?'}`,
    ...(row.campaign === null ? [] : [`campaign ${row.campaign}, item ${row.item ?? '?'}`]),
  ]
  return `${said.map((line) => `// ${oneLine(line)}\n`).join('')}${policies.join('\n\n')}\n`
}

/** Those before a policy without comments (Cedar grammar, Annotation). */
const ANNOTATIONS = /^(?:\s*@\s*[A-Za-z_]\w*\s*(?:\(\s*"(?:\\.|[^"\\])*"\s*\))?)*\s*/s

/** What is in a comment must stay in it, and be seen. */
const oneLine = (text: string): string => text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()

function named(rows: readonly OverlayRow[]): string {
  const ids = rows.slice(0, NAMED).map(({ id }) => id)
  return rows.length > NAMED ? `${ids.join(', ')} and ${rows.length - NAMED} more` : ids.join(', ')
}

/** A unified diff by which `after` comes of `before`, to whose end it adds (POSIX diff -u, as git apply reads it). */
export function appending(file: string, before: string, after: string): string {
  const old = linesOf(before)
  const now = linesOf(after)
  const isNew = before === ''
  // A last line without its end is another one once something comes behind it.
  const same = isNew ? 0 : before.endsWith('\n') ? old.length : old.length - 1
  const context = old.slice(Math.max(0, same - 3), same)
  const removed = old.slice(same)
  const added = now.slice(same)
  const start = same - context.length + 1
  const from = isNew ? '0,0' : `${start},${context.length + removed.length}`
  return [
    `diff --git a/${file} b/${file}`,
    ...(isNew ? ['new file mode 100644', '--- /dev/null'] : [`--- a/${file}`]),
    `+++ b/${file}`,
    `@@ -${from} +${isNew ? 1 : start},${context.length + added.length} @@`,
    ...context.map((line) => ` ${line}`),
    ...removed.map((line) => `-${line}`),
    ...(removed.length > 0 ? ['\\ No newline at end of file'] : []),
    ...added.map((line) => `+${line}`),
    '',
  ].join('\n')
}

/** Lines as diff knows them: a text that ends with a line's end has none after it. */
function linesOf(text: string): string[] {
  if (text === '') return []
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}
