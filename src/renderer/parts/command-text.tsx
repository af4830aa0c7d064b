import { useMemo } from 'react'
import { lexShell, type ShellTokenKind } from './shell-lexer.ts'
import { lexSql } from './sql-lexer.ts'
import { VisibleText } from './visible-text.tsx'

/** A wire parameter as the contract has it. */
export type Value = string | null | { readonly base64: string }

/** Above this many characters a text is shown plain: colouring would cost more than it helps. */
const COLOURED_UP_TO = 60_000

/**
 * A command, whole and exactly as given: SQL and command lines in colours, with parameters' values beside their numbers (the values can't
 * be selected, so copying gives the command alone).
 */
export function CommandText(props: { text: string; protocol: string; parameters?: readonly Value[] | undefined }) {
  const { text, protocol, parameters } = props
  const pieces = useMemo(() => {
    if (text.length > COLOURED_UP_TO) return undefined
    if (protocol === 'ssh') return lexShell(text).map(({ kind, text }) => ({ kind: ofShell[kind] ?? 'other', text }))
    return protocol === 'postgres' ? lexSql(text) : undefined
  }, [text, protocol])
  if (!pieces) return <VisibleText>{text}</VisibleText>
  return (
    <bdi>
      {pieces.map((token, i) => {
        const key = i
        if (token.kind === 'parameter' && protocol === 'postgres') {
          const value = parameters?.[Number(token.text.slice(1)) - 1]
          return <ParameterChip key={key} name={token.text} value={value} />
        }
        return (
          <span key={key} className={COLOURED.has(token.kind) ? `sql-${token.kind}` : undefined}>
            {PLAIN.test(token.text) ? token.text : <VisibleText>{token.text}</VisibleText>}
          </span>
        )
      })}
    </bdi>
  )
}

/**
 * What of a command line is shown in which colour of SQL. Comments stand in the ink of everything else: where a shell reads
 * on, and this doesn't know it, nothing that runs may look as if it didn't count.
 */
const ofShell: Partial<Record<ShellTokenKind, string>> = {
  program: 'keyword',
  string: 'string',
  operator: 'shell-operator',
  expansion: 'number',
}

const PLAIN = /^[\x20-\x7e\n\t]*$/
const COLOURED = new Set(['keyword', 'string', 'number', 'comment', 'quoted-name', 'shell-operator'])

function ParameterChip({ name, value }: { name: string; value: Value | undefined }) {
  return (
    <span
      className={`rounded-tag bg-sunken box-decoration-clone px-1 py-px text-warn ${isShort(value) ? 'whitespace-nowrap' : ''}`}
    >
      {name}
      {value === undefined ? null : (
        <span data-added className="select-none">
          {' = '}
          <ParameterValue value={value} />
        </span>
      )}
    </span>
  )
}

/** Whether a value is best kept on one line with its number. */
function isShort(value: Value | undefined): boolean {
  return typeof value !== 'string' || (value.length <= 32 && !value.includes('\n'))
}

/** A value in words: NULL and bytes are said, text is shown as it is, the empty text as ''. */
export function ParameterValue({ value }: { value: Value }) {
  if (value === null) return <i>NULL</i>
  if (typeof value === 'object')
    return <i title={`base64: ${value.base64.slice(0, 400)}`}>{bytes(value.base64)} bytes</i>
  if (value === '') return <i>empty text</i>
  return <VisibleText>{value}</VisibleText>
}

function bytes(base64: string): number {
  return Math.floor((base64.replace(/=+$/, '').length * 3) / 4)
}
