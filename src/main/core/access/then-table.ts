import type { AccessAnswer, AccessThen } from '@countersign/contract/access'
import { csvCell } from '../exports/table.ts'

const head = [
  'at',
  'policy_set',
  'agent',
  'name',
  'connection',
  'action',
  'resource',
  'verdict',
  'observed',
  'through',
  'policies',
  'grant',
  'grant_from',
  'grant_until',
  'approved_by',
]

/**
 * “Who could do what then” as a table (RFC 4180, UTF-8 with a byte order mark). What the answer can't tell stands in rows
 * of its own above, behind a #: a table that is read alone must not hide it.
 */
export function thenHead({ notes }: Pick<AccessAnswer, 'notes'>): string {
  return `\ufeff${(notes ?? []).map((note) => `${csvCell(`# ${note}`)}\r\n`).join('')}${head.join(',')}\r\n`
}

export function thenRow({ at, policy }: Pick<AccessAnswer, 'at' | 'policy'>, line: AccessThen): string {
  const { through } = line
  const grant = through.kind === 'grant' ? through : undefined
  return `${[
    at,
    policy,
    line.agent,
    line.name,
    line.connection,
    line.action,
    line.resource,
    line.verdict,
    line.observed ? 'yes' : '',
    through.kind,
    through.policies.join('; '),
    grant?.grant,
    grant?.from,
    grant?.until,
    grant?.approvedBy.join('; '),
  ]
    .map(csvCell)
    .join(',')}\r\n`
}
