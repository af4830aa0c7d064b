import { memo, useMemo } from 'react'
import { type CedarToken, lexCedar } from './cedar-lexer.ts'
import { VisibleText } from './visible-text.tsx'

/** Above this many characters a text is shown plain: colouring would cost more than it helps. */
const COLOURED_UP_TO = 200_000
const PLAIN = /^[\x20-\x7e\t]*$/
const looks: Partial<Record<CedarToken['kind'], string>> = {
  comment: 'sql-comment',
  annotation: 'sql-number',
  string: 'sql-string',
  effect: 'sql-keyword',
  keyword: 'sql-keyword',
  type: 'sql-quoted-name',
  number: 'sql-number',
}

/** A token or a part of one, within one line. */
interface Run {
  readonly kind: CedarToken['kind']
  readonly text: string
}

/** The lines of a file, coloured by Cedar's grammar; of tests (YAML) by comments and keys. */
export function linesOf(file: string, text: string): Run[][] {
  const yaml = file.endsWith('.yaml')
  if (text.length > COLOURED_UP_TO) return text.split('\n').map((line) => [{ kind: 'name', text: line }])
  const lines: Run[][] = [[]]
  for (const { kind, text: whole } of yaml ? lexYaml(text) : lexCedar(text)) {
    whole.split('\n').forEach((part, i) => {
      if (i > 0) lines.push([])
      if (part !== '') lines.at(-1)!.push({ kind, text: part })
    })
  }
  return lines
}

/** Enough of YAML to read a test by: comments, keys, quoted strings. */
function lexYaml(text: string): CedarToken[] {
  const tokens: CedarToken[] = []
  for (const piece of text.matchAll(
    /(\s+)|(#[^\n]*)|([\w-]+)(?=:(?:\s|$))|("(?:[^"\\\n]|\\.)*"|'[^'\n]*')|([^\s#"']+|["'])/g,
  )) {
    const [whole, space, comment, key, string] = piece
    const kind = space ? 'space' : comment ? 'comment' : key ? 'type' : string ? 'string' : 'name'
    tokens.push({ kind, text: whole })
  }
  return tokens
}

/** One line of a file in its colours; what it could hide is shown as marks. */
export const CodeLine = memo(function CodeLine({ runs }: { runs: readonly Run[] }) {
  return (
    <bdi>
      {runs.map((run, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: runs have no other identity
        <span key={i} className={looks[run.kind]}>
          {PLAIN.test(run.text) ? run.text : <VisibleText>{run.text}</VisibleText>}
        </span>
      ))}
    </bdi>
  )
})

/** A short Cedar text, whole. */
export function CedarText({ text }: { text: string }) {
  const lines = useMemo(() => linesOf('.cedar', text.replace(/\n$/, '')), [text])
  return (
    <pre className="overflow-x-auto px-4 py-3 font-mono text-fine whitespace-pre-wrap">
      {lines.map((runs, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other identity
        <div key={i} data-command>
          <CodeLine runs={runs} />
          {'\n'}
        </div>
      ))}
    </pre>
  )
}
