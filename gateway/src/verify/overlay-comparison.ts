import { hash } from 'node:crypto'
import { type Comparison, orNull, type SpokenEntry, text } from './comparison.ts'
import { asValue, type Columns, fromJson, type Value } from './said.ts'

/** What somebody said of an overlay, as its row keeps it: who, when and why. */
const said = ({ at, payload: { by, reason } }: SpokenEntry): string => asValue({ by: person(by), at, reason })

/** A person without what an actor is. */
function person(by: unknown): Value | Record<string, unknown> {
  if (typeof by !== 'object' || by === null) return null
  const { kind, ...ref } = by as Record<string, unknown>
  return kind === 'person' ? ref : null
}

const personValue = (by: unknown): Value => {
  const ref = person(by)
  return ref === null ? null : asValue(ref)
}

/** What an entry says of an overlay beside what it is about. */
function stepOf(entry: SpokenEntry): Columns {
  const { at, type, payload } = entry
  const { by, reason, version, answers, inForce, putBack } = payload
  const probed: Columns = answers === undefined ? {} : { probes: text(answers) }
  switch (type) {
    case 'overlay.applied':
      return {
        ...{ state: 'applied', in_force: 1, approved_at: at, approved_by: personValue(by), applied_at: at },
        ...{ approved_because: text(reason ?? ''), version: text(version), failed_because: null, roll_back: null },
      }
    case 'overlay.verified':
      return { state: 'verified', failed_because: null, ...probed }
    case 'overlay.failed':
      return {
        ...{ state: 'failed', failed_because: text(reason), in_force: inForce === true ? 1 : 0, ...probed },
        ...(inForce !== true && { version: null }),
        ...(putBack === true && { version: text(version), roll_back: null, rolled_back: null, retired: null }),
      }
    case 'overlay.rejected':
      return { state: 'rejected', rejected: said(entry) }
    case 'overlay.roll-back-asked':
      return { roll_back: said(entry) }
    case 'overlay.roll-back-refused':
      return { roll_back: null }
    case 'overlay.rolled-back':
      return { state: 'rolled-back', in_force: 0, rolled_back: said(entry) }
    case 'overlay.retired':
      return { state: 'retired', in_force: 0, retired: said(entry) }
    case 'overlay.probed':
      return probed
    default:
      return {
        ...{ title: text(payload.title), policy: text(payload.policy), proposed_at: at, proposed_by: personValue(by) },
        ...(reason !== undefined && { proposed_because: text(reason) }),
        ...{ state: 'proposed', in_force: 0, approved_at: null, approved_by: null, approved_because: null },
        ...{ applied_at: null, version: null, probes: hash('sha256', '[]'), failed_because: null },
        ...{ rejected: null, roll_back: null, rolled_back: null, retired: null },
      }
  }
}

/** What reviews forbid beside the policy folder: what is proposed, in force, and taken back, each by an entry of its own. */
export const overlays: Comparison = {
  table: 'overlays',
  what: 'overlay',
  sql: 'select * from overlays',
  row({ id, proposed_by, approved_by, rejected, roll_back, rolled_back, retired, probes, ...columns }) {
    return {
      key: text(id),
      columns: {
        ...(columns as Columns),
        proposed_by: fromJson(proposed_by),
        approved_by: fromJson(approved_by),
        rejected: fromJson(rejected),
        roll_back: fromJson(roll_back),
        rolled_back: fromJson(rolled_back),
        retired: fromJson(retired),
        probes: hash('sha256', text(probes)),
      },
    }
  },
  types: [
    'overlay.proposed',
    'overlay.applied',
    'overlay.verified',
    'overlay.failed',
    'overlay.rejected',
    'overlay.roll-back-asked',
    'overlay.roll-back-refused',
    'overlay.rolled-back',
    'overlay.retired',
    'overlay.probed',
  ],
  says(entry) {
    const { overlay, number, kind, agent, connection, campaign, item, decision, digest } = entry.payload
    const about: Columns = {
      ...{ number: Number(number), kind: text(kind), agent: text(agent ?? ''), connection: text(connection) },
      ...{ campaign: orNull(campaign), item: orNull(item), decision: orNull(decision), digest: text(digest) },
    }
    return { key: text(overlay), columns: { ...about, ...stepOf(entry) } }
  },
  also({ columns }) {
    return hash('sha256', text(columns.policy)) === columns.digest
      ? undefined
      : 'has another text than its digest is of'
  },
}
