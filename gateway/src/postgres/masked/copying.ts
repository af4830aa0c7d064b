import { parseSync, scanSync } from 'libpg-query'
import { type CopyFormat, copyFormat } from '../../masking/copy.ts'
import type { StatementAnalysis } from '../effects/effects.ts'

/** A COPY … TO STDOUT, as far as its masking goes. */
export interface CopyOut {
  /** Undefined where what it writes can't be read with certainty. */
  format: CopyFormat | undefined
  /** Text of its query; absent where it copies a table. */
  query?: string
  /** OID of the table; absent where the catalog doesn't tell. */
  table?: string
  /** The columns that it lists; absent for all. */
  names?: string[]
}

interface CopyNode {
  query?: unknown
  relation?: { relname?: string; schemaname?: string }
  attlist?: { String?: { sval?: string } }[]
  options?: { DefElem?: { defname?: string; arg?: Record<string, Record<string, unknown>> } }[]
}

/**
 * What each statement of a text copies to the client, in their order; undefined where it is no such COPY.
 * @param text as the client sent it: an analysis may be of another with other constants
 * @throws where the text can't be parsed
 */
export function copiesOf(text: string, statements: readonly StatementAnalysis[]): (CopyOut | undefined)[] {
  const parsed = (parseSync(text).stmts ?? []) as { stmt?: { CopyStmt?: CopyNode } }[]
  return statements.map(({ session, effects }, at) => {
    const node = parsed[at]?.stmt?.CopyStmt
    if (session.copy !== 'out' || !node) return undefined
    const copy: CopyOut = { format: copyFormat(optionsOf(node)) }
    if (node.query) {
      // Of one statement alone: what was there before it can't have changed what its query means.
      const query = statements.length === 1 ? queryOf(text) : undefined
      if (query !== undefined) copy.query = query
      return copy
    }
    const { relname, schemaname } = node.relation ?? {}
    const read = effects.filter(
      ({ action, resource: { type, attrs } }) =>
        action === 'sql:read' &&
        type === 'Table' &&
        attrs?.name === relname &&
        (schemaname === undefined || attrs?.schema === schemaname),
    )
    if (read.length === 1 && read[0]!.object !== undefined) copy.table = read[0]!.object
    if (node.attlist) copy.names = node.attlist.map(({ String: name }) => name?.sval ?? '')
    return copy
  })
}

/** Options by name, values as text; `true` where none was given. */
function optionsOf({ options }: CopyNode): Map<string, string> {
  const found = new Map<string, string>()
  for (const { DefElem: option } of options ?? []) {
    if (option?.defname === undefined) continue
    const [type, value] = Object.entries(option.arg ?? {})[0] ?? ['', {}]
    // The parser leaves out what is false, zero or empty.
    const text =
      type === ''
        ? 'true'
        : type === 'Boolean'
          ? String(value.boolval === true)
          : type === 'Integer'
            ? String(value.ival ?? 0)
            : String(value.sval ?? value.fval ?? '')
    found.set(option.defname.toLowerCase(), text)
  }
  return found
}

/** The query between COPY's round brackets, of a text that is one COPY. */
function queryOf(text: string): string | undefined {
  const bytes = Buffer.from(text)
  let depth = 0
  let from = 0
  // Offsets of the scanner count bytes.
  for (const { tokenName, start, end } of scanSync(text).tokens) {
    if (tokenName === 'ASCII_40' && depth++ === 0) from = end
    else if (tokenName === 'ASCII_41' && --depth === 0) return bytes.toString('utf8', from, start)
  }
  return undefined
}
