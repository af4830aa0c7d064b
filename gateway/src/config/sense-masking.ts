import { detectedKinds } from '../masking/detectors.ts'
import { keyOf, NO_CLASS } from '../masking/keys.ts'
import { KEY_FORM } from '../masking/resolve.ts'
import { DERIVED } from '../masking/style.ts'
import type { Path } from './document.ts'
import { nearest } from './problem.ts'
import type { ConnectionConfig, GatewayConfig } from './schema.ts'
import type { Findings, Parts } from './sense.ts'

/** Keys of `data_classes` that are none, classes that mean something else, and what is likely not meant. */
export function checkMasking({ whole, connections }: Parts, findings: Findings): void {
  const everywhere = new Set<string>()
  for (const [name, connection] of connections) {
    const path = ['connections', name]
    checkKeys([...path, 'data_classes'], connection, findings)
    const known = new Set(Object.values(connection.data_classes))
    for (const one of known) everywhere.add(one)
    checkStyles([...path, 'masking'], connection.masking, known, `of ${name}`, findings)
    if (connection.kind === 'postgres' || Object.keys(connection.data_classes).length === 0) continue
    findings.warning(
      [...path, 'data_classes'],
      `data_classes are for columns of tables, and ${name} is ${connection.kind}`,
      'remove them',
    )
  }
  if (whole) checkStyles(['masking'], whole.masking, everywhere, 'of any connection', findings)
}

function checkKeys(path: Path, { data_classes }: ConnectionConfig, { problem, warning }: Findings): void {
  const meant = new Map<string, string>()
  for (const [key, dataClass] of Object.entries(data_classes)) {
    const at = [...path, key]
    const read = keyOf(key)
    if (dataClass === DERIVED)
      problem(at, `${DERIVED} is what the gateway calls what is computed from classes`, 'choose another class')
    if (!read) {
      problem(at, `${key} isn't schema.table.column`, KEY_FORM)
    } else if (read.is === 'pattern') {
      if (dataClass === NO_CLASS)
        problem(at, `${NO_CLASS} is for exact keys: a pattern takes nothing out`, 'name the columns that have no class')
    } else {
      const column = JSON.stringify([read.schema, read.table, read.column])
      const other = meant.get(column)
      if (other !== undefined) problem(at, `${key} names the same column as ${other}`, 'keep one of the two')
      meant.set(column, key)
      if (dataClass === NO_CLASS && !fitsAny(data_classes, read))
        warning(at, `no pattern fits ${key}: it has no class anyway`, 'remove it')
    }
  }
}

function fitsAny(
  keys: Record<string, string>,
  { schema, table, column }: Record<'schema' | 'table' | 'column', string>,
) {
  return Object.keys(keys).some((key) => {
    const read = keyOf(key)
    return read?.is === 'pattern' && read.fits(schema, table, column)
  })
}

function checkStyles(
  path: Path,
  { classes }: Pick<GatewayConfig['masking'], 'classes'>,
  known: ReadonlySet<string>,
  where: string,
  { problem, warning }: Findings,
): void {
  for (const [dataClass, style] of Object.entries(classes)) {
    const at = [...path, 'classes', dataClass]
    if (dataClass === DERIVED) {
      if (style !== 'redact' && style !== 'null')
        problem(at, `what is computed is only ever redacted or null, not ${style}`, 'write redact or null')
    } else if (!known.has(dataClass)) {
      const near = nearest(dataClass, [...known])
      const found = (detectedKinds as readonly string[]).includes(dataClass)
      const mend = near ? `did you mean "${near}"?` : found ? 'what detectors find is always redacted' : 'remove it'
      warning(at, `no column ${where} has the class ${dataClass}`, mend)
    }
  }
}
