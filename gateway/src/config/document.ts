import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml'
import type { Problem } from './problem.ts'

export type Path = readonly PropertyKey[]

/** A YAML file: its content as plain values, and where each of them stands. */
export interface YamlDocument {
  content: unknown
  /** Line of the key (or list item) at `path`, else of the nearest thing around it that is in the file. */
  lineOf(path: Path): number
}

/**
 * Parses one YAML 1.2 document (so JSON too). Duplicate keys, several documents, keys that aren't text and aliases that
 * would grow out of bounds are problems. No message repeats a value: it may be a secret.
 */
export function parseDocument(
  file: string,
  text: string,
): { ok: true; document: YamlDocument } | { ok: false; problems: Problem[] } {
  const lines = new LineCounter()
  const problem = (offset: number, message: string, mend = ''): Problem => ({
    file,
    line: lines.linePos(offset).line || 1,
    message,
    mend,
  })
  try {
    const documents = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      stringKeys: true,
      version: '1.2',
      logLevel: 'silent',
    })
    const [document, second] = Array.isArray(documents) ? documents : []
    if (!document) return { ok: false, problems: [problem(0, 'the file is empty', emptyMend)] }
    const problems: Problem[] = []
    for (const error of document.errors) {
      const { line } = lines.linePos(error.pos[0])
      if (!bareStar.test(text.split('\n', line).at(-1) ?? ''))
        problems.push(problem(error.pos[0], yamlWords(error.code, error.message)))
      else if (problems.at(-1)?.line !== line)
        problems.push(problem(error.pos[0], 'to YAML a * in front is the name of an anchor', 'put the key in quotes'))
    }
    if (document.errors.some((error) => error.message.startsWith('Maximum call stack'))) throw new RangeError()
    if (second) problems.push(problem(second.range[0], 'a second document starts here', 'keep one and remove ---'))
    if (problems.length > 0) return { ok: false, problems: problems.slice(0, 20) }
    if (!document.contents || (isScalar(document.contents) && document.contents.value === null))
      return { ok: false, problems: [problem(0, 'the file is empty', emptyMend)] }
    const content: unknown = document.toJS({ maxAliasCount: 100 })
    const resolve = (node: unknown) => (isAlias(node) ? node.resolve(document) : node)
    return {
      ok: true,
      document: {
        content,
        lineOf(path) {
          let at: unknown = document.contents
          let offset = (document.contents as Node).range?.[0] ?? 0
          for (const step of path) {
            at = resolve(at)
            if (isMap(at)) {
              const pair = at.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step))
              const key = pair?.key as Node | undefined
              if (!pair || !key?.range) break
              offset = key.range[0]
              at = pair.value
            } else if (isSeq(at)) {
              const item = at.items[Number(step)] as Node | undefined
              if (!item?.range) break
              offset = item.range[0]
              at = item
            } else break
          }
          return lines.linePos(offset).line || 1
        },
      },
    }
  } catch (error) {
    const words =
      error instanceof ReferenceError
        ? 'aliases in this file repeat one another too often'
        : error instanceof RangeError
          ? 'the file is nested too deeply'
          : `not readable as YAML: ${error instanceof Error ? error.message : error}`
    return { ok: false, problems: [problem(0, words, 'write the values out')] }
  }
}

/** A key like `*.*.email` that is not in quotes. */
const bareStar = /(?:^|[{,])\s*\*/

const emptyMend = 'write at least api, identity and connections'

function yamlWords(code: string, message: string): string {
  if (code === 'TAB_AS_INDENT') return 'a tab is used to indent, YAML takes spaces only'
  if (code === 'DUPLICATE_KEY') return 'the same key is already given above, in the same block'
  const firstLine = message.split('\n', 1)[0]!
  // What is behind a colon may be the offending text itself.
  return `not YAML: ${firstLine.replace(/: .*/s, '')}`
}
