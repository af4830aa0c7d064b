import { detectedKinds } from '../masking/detectors.ts'
import { NO_CLASS } from '../masking/keys.ts'
import { DERIVED } from '../masking/style.ts'
import type { Path } from './document.ts'
import { nearest } from './problem.ts'
import { keptWords, retentionOf } from './retention.ts'
import type { ConnectionConfig } from './schema.ts'
import type { Findings, Parts } from './sense.ts'

/** Rules of retention that never do anything, or do more than they seem to. */
export function checkRetention({ whole, connections }: Parts, findings: Findings): void {
  const everywhere = new Set<string>()
  for (const [name, connection] of connections) {
    const known = classesOf(connection, whole?.masking.detect ?? [])
    for (const one of known) everywhere.add(one)
    checkClasses(['connections', name, 'retention', 'classes'], connection.retention, known, `of ${name}`, findings)
  }
  if (!whole) return
  checkClasses(['retention', 'classes'], whole.retention, everywhere, 'of any connection', findings)
  const { all } = retentionOf(whole)
  checkTimes(['retention'], whole.retention, all.recordings, all.entries, findings)
  for (const [name, { retention }] of Object.entries(whole.connections)) {
    const { recordings, entries } = retentionOf(whole).connections.get(name)!
    checkTimes(['connections', name, 'retention'], retention, recordings, entries, findings)
  }
}

const day = 86_400_000

function checkTimes(
  path: Path,
  given: Partial<ConnectionConfig['retention']>,
  recordings: number,
  entries: number,
  { warning }: Findings,
): void {
  if (given.recordings !== undefined && recordings < day)
    warning(
      [...path, 'recordings'],
      `recordings are deleted ${keptWords(recordings)} after their session`,
      'write for example 90d',
    )
  const at = given.entries === undefined ? 'recordings' : 'entries'
  if ((given.entries !== undefined || given.recordings !== undefined) && entries < recordings)
    warning(
      [...path, at],
      `entries are kept ${keptWords(entries)}, so recordings go then too, not after ${keptWords(recordings)}`,
      'keep entries as long as recordings, or longer',
    )
}

/** Classes that a session of the connection can touch. */
function classesOf({ data_classes, masking }: ConnectionConfig, detect: readonly string[]): Set<string> {
  const known = new Set([...Object.values(data_classes), ...(masking.detect ?? detect), DERIVED])
  known.delete(NO_CLASS)
  return known
}

function checkClasses(
  path: Path,
  { classes }: Pick<ConnectionConfig['retention'], 'classes'>,
  known: ReadonlySet<string>,
  where: string,
  { problem, warning }: Findings,
): void {
  for (const dataClass of Object.keys(classes)) {
    const at = [...path, dataClass]
    if (dataClass === NO_CLASS) {
      problem(at, `${NO_CLASS} is no class`, 'retention.recordings is for everything')
    } else if (!known.has(dataClass)) {
      const near = nearest(dataClass, [...known])
      const detector = (detectedKinds as readonly string[]).includes(dataClass)
      const mend = near
        ? `did you mean "${near}"?`
        : detector
          ? 'add it to masking.detect, or to data_classes'
          : 'add it to data_classes, or remove it'
      warning(at, `nothing ${where} has the class ${dataClass}: this rule never applies`, mend)
    }
  }
}
