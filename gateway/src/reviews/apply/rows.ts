import { hash, randomBytes } from 'node:crypto'
import type { PersonRef } from '@countersign/contract/identity'
import type { Actor, EntryType, PayloadInput } from '@countersign/contract/ledger/payloads'
import type { ApplicationState, Overlay, OverlayState, Probe } from '@countersign/contract/review'
import type { Kysely, Selectable, Transaction, Updateable } from 'kysely'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import type { OverlaysTable } from '../../store/review-tables.ts'
import type { Tables } from '../../store/tables.ts'
import { readItem } from '../campaigns/items.ts'
import { sayChanged } from '../campaigns/making.ts'
import { OverlayRefused } from './refused.ts'

export type Tx = Transaction<Tables>
export type OverlayRow = Selectable<OverlaysTable>

/** Crockford's: no i, l, o, u. */
const letters = '0123456789abcdefghjkmnpqrstvwxyz'

/** `ov_` and 80 random bits. */
export function newOverlayId(): string {
  return `ov_${[...randomBytes(16)].map((byte) => letters[byte & 31]).join('')}`
}

/** What an overlay's state is to the item whose decision it carries out. */
export const applicationOf: Record<OverlayState, ApplicationState> = {
  proposed: 'pending',
  applied: 'applied',
  verified: 'verified',
  failed: 'failed',
  // What was decided is not enforced, whoever wanted that.
  rejected: 'failed',
  'rolled-back': 'failed',
  // The folder does what it did.
  retired: 'verified',
}

/** What somebody said of an overlay. */
export interface Said {
  by: PersonRef
  at: string
  reason: string
}

export function overlayView(row: OverlayRow): Overlay {
  const said = (json: string | null) => (json === null ? undefined : (JSON.parse(json) as Said))
  const probes = JSON.parse(row.probes) as Probe[]
  const [rejected, rollBack, rolledBack, retired] = [row.rejected, row.roll_back, row.rolled_back, row.retired].map(
    said,
  )
  return {
    id: row.id,
    number: row.number,
    state: row.state,
    kind: row.kind,
    title: row.title,
    ...(row.agent !== '' && { agent: row.agent }),
    connection: row.connection,
    ...(row.campaign !== null && { campaign: row.campaign }),
    ...(row.item !== null && { item: row.item }),
    ...(row.decision !== null && { decision: row.decision }),
    policy: row.policy,
    digest: row.digest,
    proposed: {
      ...(row.proposed_by !== null && { by: JSON.parse(row.proposed_by) as PersonRef }),
      at: row.proposed_at,
      reason: row.proposed_because,
    },
    ...(row.approved_by !== null && {
      approved: {
        by: JSON.parse(row.approved_by) as PersonRef,
        at: row.approved_at!,
        reason: row.approved_because ?? '',
      },
    }),
    ...(row.applied_at !== null && { appliedAt: row.applied_at }),
    ...(row.version !== null && { version: row.version }),
    inForce: row.in_force === 1,
    probes,
    ...(probes.length > 0 && { probed: countsOf(probes) }),
    ...(row.failed_because !== null && { failedBecause: row.failed_because }),
    ...(rejected && { rejected }),
    ...(rollBack && { rollBack }),
    ...(rolledBack && { rolledBack }),
    ...(retired && { retired }),
  }
}

/** So many probes are told where many overlays are, and so many in the ledger, whose entries are short. */
const FEW = { lines: 8, entries: 60 }

/** An overlay among others: with some of what the gate was asked. */
export function overlayLine(row: OverlayRow): Overlay {
  const overlay = overlayView(row)
  return { ...overlay, probes: someOf(overlay.probes, FEW.lines) }
}

/** What an entry tells of what the gate was asked: some of it, and a digest of all as it is kept. */
export function toldOf(probes: readonly Probe[]): { answers: string; asked: Probe[] } {
  return { answers: hash('sha256', JSON.stringify(probes)), asked: someOf(probes, FEW.entries) }
}

/** What went wrong first, then what is refused. */
function someOf(probes: readonly Probe[], most: number): Probe[] {
  const rank = ({ ok, expect }: Probe) => (ok ? 2 : 0) + (expect === 'deny' ? 0 : 1)
  return probes.length <= most ? [...probes] : [...probes].sort((a, b) => rank(a) - rank(b)).slice(0, most)
}

function countsOf(probes: readonly Probe[]): NonNullable<Overlay['probed']> {
  const count = (which: (probe: Probe) => boolean) => probes.filter(which).length
  return { asked: probes.length, refused: count(({ got }) => got === 'deny'), failed: count(({ ok }) => !ok) }
}

/** @throws OverlayRefused */
export async function rowOf(db: Kysely<Tables>, id: string): Promise<OverlayRow> {
  const row = await db.selectFrom('overlays').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) throw new OverlayRefused('not-found', `There is no overlay ${id}.`)
  return row
}

/** Types of entries that tell what becomes of an overlay. */
export type OverlayEntry = Extract<EntryType, `overlay.${string}`>
type Common =
  | 'overlay'
  | 'number'
  | 'kind'
  | 'connection'
  | 'agent'
  | 'digest'
  | 'campaign'
  | 'item'
  | 'decision'
  | 'by'

/**
 * Moves an overlay from the state that it was read in into another, and says so in the ledger, on the feed, and of its
 * item: compare and set.
 * @throws OverlayRefused where it is in another state by now
 */
export async function moveOverlay<T extends OverlayEntry>(
  tx: Tx,
  before: OverlayRow,
  to: Updateable<OverlaysTable>,
  said: { type: T; by: Actor; payload: Omit<PayloadInput<T>, Common>; at: Date },
): Promise<Overlay> {
  const { numUpdatedRows } = await tx
    .updateTable('overlays')
    .set(to)
    .where('id', '=', before.id)
    .where('state', '=', before.state)
    .where('in_force', '=', before.in_force)
    .executeTakeFirst()
  if (numUpdatedRows !== 1n)
    throw new OverlayRefused('conflict', 'Somebody did something else with this overlay just now: load it anew.')
  return sayOverlay(tx, before.id, said)
}

/** Says in the ledger, on the feed and of its item what an overlay is by now. */
export async function sayOverlay<T extends OverlayEntry>(
  tx: Tx,
  id: string,
  { type, by, payload, at }: { type: T; by: Actor; payload: Omit<PayloadInput<T>, Common>; at: Date },
): Promise<Overlay> {
  const row = await rowOf(tx, id)
  const { number, kind, connection, agent, digest, campaign, item, decision } = row
  const common = {
    overlay: id,
    ...{ number, kind, connection, digest, by },
    ...(agent !== '' && { agent }),
    ...(campaign !== null && { campaign }),
    ...(item !== null && { item }),
    ...(decision !== null && { decision }),
  }
  // An item tells these from what failed, and says so where it was failed before.
  const other = type === 'overlay.rejected' || type === 'overlay.rolled-back'
  const itemRevision = item === null ? undefined : await moveItem(tx, item, row, other)
  const told = { ...common, ...(itemRevision !== undefined && { itemRevision }), ...payload }
  await appendAudit(tx, type, told as unknown as PayloadInput<T>, at)
  await appendFeed(tx, 'overlay.changed', overlayLine(row), at)
  // Whoever decides says how the item is by that.
  if (item !== null && itemRevision !== undefined && type !== 'overlay.proposed') {
    const now = await readItem(tx, item)
    if (now) await appendFeed(tx, 'campaign.item', now, at)
    if (campaign !== null) await sayChanged(tx, campaign, at)
  }
  return overlayView(row)
}

/**
 * An item shows how far the application of its decision is, as long as that is of the item's last decision.
 * @returns its revision where it is another by that
 */
async function moveItem(tx: Tx, item: string, { id, state }: OverlayRow, other: boolean): Promise<number | undefined> {
  const application = applicationOf[state]
  const isNew = state === 'proposed'
  let moving = tx
    .updateTable('campaign_items')
    .set((e) => ({ application, overlay: id, revision: e('revision', '+', isNew ? 0 : 1) }))
    .where('id', '=', item)
  // A decision that came later has another overlay.
  if (!isNew) moving = moving.where('overlay', '=', id)
  if (!isNew && !other) moving = moving.where('application', '!=', application)
  const moved = await moving.returning('revision').executeTakeFirst()
  return moved?.revision
}
