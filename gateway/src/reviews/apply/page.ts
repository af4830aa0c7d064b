import type { OverlayPage } from '@countersign/contract/review'
import type { ConfiguredConnection } from '../../access/connections.ts'
import { accessNow } from '../../identity/registry/access/access-now.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import { versionOf } from '../../policy/load.ts'
import { overlayFile } from '../../policy/overlay-text.ts'
import { type PermittedSets, PoliciesUnreadable } from '../../policy/permitted/reading.ts'
import type { Policies } from '../../policy/policy.ts'
import type { Used } from '../../sessions/ledger/used.ts'
import type { Store } from '../../store/store.ts'
import { type OverlayRow, overlayView } from './rows.ts'

/** Use is looked at so far back: what was used is told by name. */
const DAYS = 90

/** An overlay with what its agent may without it and with it, as policy is now. */
export async function overlayPage(
  row: OverlayRow,
  parts: {
    store: Store
    sets: PermittedSets
    policies: Policies
    connection: ConfiguredConnection | undefined
    registry: Pick<Registry, 'entry' | 'flush'>
    used: Pick<Used, 'of' | 'days'>
    now: Date
  },
): Promise<OverlayPage> {
  const overlay = overlayView(row)
  const { connection, sets, store, used, now } = parts
  // Who only just came is known a moment later.
  await parts.registry.flush()
  const entry = parts.registry.entry(row.agent)
  const cannot = (why: string): OverlayPage => ({ ...overlay, notes: [why] })
  if (row.agent === '') return cannot('It is about a rule: whom that lets ask for access, its text says.')
  if (!connection) return cannot(`The connection ${row.connection} is not configured any more.`)
  if (!entry) return cannot('The registry does not know its agent.')
  const file = overlayFile(row.id)
  const all = parts.policies.texts.map(({ file: name, text }) => ({ file: name, text }))
  const without = all.filter((one) => one.file !== file)
  const within = row.in_force === 1 ? all : [...without, { file, text: row.policy }]
  try {
    const read = (texts: typeof all) => sets.of(versionOf(texts), async () => texts)
    const [before, after] = [await read(without), await read(within)]
    const since = new Date(now.getTime() - DAYS * 86_400_000).toISOString().slice(0, 10)
    // The same lines of both: what the overlay names has one in each.
    const asked = (permitted: typeof before) =>
      accessNow(
        { store, permitted: { ...permitted, named: after.named }, connections: [connection], used, now },
        entry,
        since,
      )
    const [old, now_] = [await asked(before), await asked(after)]
    return { ...overlay, before: old.permitted, after: now_.permitted, ...(now_.notes && { notes: now_.notes }) }
  } catch (error) {
    if (error instanceof PoliciesUnreadable) return cannot(`${error.message}.`)
    throw error
  }
}
