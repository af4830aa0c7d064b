import type { PersonRef } from '@countersign/contract/identity'
import type { Overlay } from '@countersign/contract/review'
import type { Kysely } from 'kysely'
import type { Counter } from 'prom-client'
import type { PersonPrincipal } from '../../identity/principal.ts'
import { overlayFile, overlayOf } from '../../policy/overlay-text.ts'
import { overlaysInForce } from '../../policy/overlays.ts'
import { loadPolicyTexts, type Policies } from '../../policy/policy.ts'
import { putInForce } from '../../policy/versions.ts'
import type { Tables } from '../../store/tables.ts'
import { actorOf, refOf } from '../campaigns/rows.ts'
import type { Answer, Overlays, OverlaysOptions } from './apply.ts'
import { mustBeAdmin, mustBeAnother, mustBeSecond, mustNotBeOwn } from './four-eyes.ts'
import { createProber, type Probed } from './probing.ts'
import { OverlayRefused } from './refused.ts'
import { moveOverlay, type OverlayRow, overlayView, rowOf, type Said, toldOf } from './rows.ts'

type Changing = Pick<Overlays, 'apply' | 'reject' | 'rollBack' | 'retire' | 'resume'>

/**
 * What changes an overlay's state. Each change of what is enforced is one of the gateway's lane: it is committed, with
 * what the ledger has of it, before the gate decides by it; then the gate is asked whether it does what it says.
 */
export function createChanging(
  options: OverlaysOptions & {
    changes: Counter<'result'>
    redundant: (row: OverlayRow, policies: Policies) => boolean
  },
): Changing {
  const { store, enforcement, log, changes, access } = options
  const { db } = store
  const prober = createProber({ db, ...options, registry: access.registry })
  const now = () => new Date(options.clock())
  const own = (person: PersonPrincipal, { agent }: OverlayRow) =>
    mustNotBeOwn(person, agent, { entry: access.registry.entry, sponsorsOf: access.registry.sponsorsOf })
  const counted = (overlay: Overlay): Overlay => {
    changes.inc({ result: overlay.state })
    return overlay
  }

  /** Asks the gate about one that was just put in force, and writes down what came of it. */
  const look = async (row: OverlayRow, before: Policies): Promise<Overlay> => {
    const { probes, broke, missed } = await asking(() => prober.probe(row, before, true))
    const at = now()
    const by = { kind: 'gateway' } as const
    const written = { probes: JSON.stringify(probes) }
    const told = toldOf(probes)
    if (broke.length === 0 && missed.length === 0)
      return counted(
        await db.transaction().execute((tx) =>
          moveOverlay(
            tx,
            row,
            { ...written, state: 'verified', failed_because: null },
            {
              type: 'overlay.verified',
              payload: { probes: probes.length, ...told },
              ...{ by, at },
            },
          ),
        ),
      )
    const reason = [...broke, ...missed].join('; ')
    const failed = { ...written, state: 'failed', failed_because: reason } as const
    log.error(
      { overlay: row.id, agent: row.agent, connection: row.connection, broke, missed },
      'an overlay of a review does not do what it says',
    )
    if (broke.length === 0)
      // It takes less than it should, and nothing that it shouldn't: better than without it.
      return counted(
        await db.transaction().execute((tx) =>
          moveOverlay(tx, row, failed, {
            type: 'overlay.failed',
            payload: { reason, inForce: true, ...told },
            ...{ by, at },
          }),
        ),
      )
    const next = await setOf(db, policies(), { without: row.id })
    const overlay = await db.transaction().execute(async (tx) => {
      await putInForce(tx, next, `overlay ${row.id} was taken out again: it changed what it should not`, at)
      const payload = { reason, inForce: false, version: next.version, ...told }
      return moveOverlay(
        tx,
        row,
        { ...failed, in_force: 0, version: null },
        { type: 'overlay.failed', payload, ...{ by, at } },
      )
    })
    await enforcement.takeIn(next)
    return counted(overlay)
  }
  const policies = () => enforcement.policies()

  /** Takes one out, and sees that this alone has changed; where it hasn't, it is put back. */
  const takeOut = async (
    row: OverlayRow,
    to: {
      state: 'rolled-back' | 'retired'
      column: 'rolled_back' | 'retired'
      type: 'overlay.rolled-back' | 'overlay.retired'
    },
    said: Said,
    person: PersonPrincipal,
    check: (tx: Parameters<typeof mustBeSecond>[0]) => Promise<void>,
  ): Promise<Overlay> => {
    const at = new Date(said.at)
    const before = policies()
    const next = await setOf(db, before, { without: row.id })
    await db.transaction().execute(async (tx) => {
      await check(tx)
      const words = to.state === 'retired' ? 'was retired: the folder has it' : 'was rolled back'
      await putInForce(tx, next, { by: refOf(person), reason: reasonOf(`overlay ${row.id} ${words}`, said.reason) }, at)
      const changed = { state: to.state, in_force: 0, [to.column]: JSON.stringify(said) } as const
      const payload = { reason: said.reason, version: next.version }
      await moveOverlay(tx, row, changed, { type: to.type, by: actorOf(person), payload, at })
    })
    await enforcement.takeIn(next)
    const gone = await rowOf(db, row.id)
    // What is rolled back is as if it had never been; what is retired changes nothing at all.
    const { probes, broke } = await asking(() => prober.probe(gone, to.state === 'retired' ? before : next, false))
    if (broke.length > 0) return putBack(gone, probes, broke, before)
    const written = { probes: JSON.stringify(probes) }
    const payload = { probes: probes.length, ...toldOf(probes) }
    const probed = { type: 'overlay.probed', by: { kind: 'gateway' }, payload, at: now() } as const
    return counted(await db.transaction().execute((tx) => moveOverlay(tx, gone, written, probed)))
  }

  const putBack = async (
    gone: OverlayRow,
    probes: Probed['probes'],
    broke: string[],
    before: Policies,
  ): Promise<Overlay> => {
    const at = now()
    const reason = `taking it out changed something else: ${broke.join('; ')}`
    log.error({ overlay: gone.id, broke }, 'an overlay of a review could not be taken out: it was put back')
    const overlay = await db.transaction().execute(async (tx) => {
      await putInForce(tx, before, `overlay ${gone.id} was put back: ${reason}`, at)
      const to = {
        state: 'failed',
        in_force: 1,
        failed_because: reason,
        probes: JSON.stringify(probes),
        ...{ roll_back: null, rolled_back: null, retired: null },
      } as const
      const payload = { reason, inForce: true, putBack: true, version: before.version, ...toldOf(probes) }
      return moveOverlay(tx, gone, to, { type: 'overlay.failed', by: { kind: 'gateway' }, payload, at })
    })
    await enforcement.takeIn(before)
    return counted(overlay)
  }

  return {
    async apply(id, person, answer) {
      mustBeAdmin(person, 'applied')
      return enforcement.change(async () => {
        const row = await rowOf(db, id)
        if (isSame(row.approved_by, person) && (row.state === 'applied' || row.state === 'verified'))
          return overlayView(row)
        if (row.state !== 'proposed' && row.state !== 'failed')
          throw new OverlayRefused(
            'conflict',
            `This overlay is ${row.state}: only what is proposed, or failed, is applied.`,
          )
        mustBeShown(row, answer)
        const isIn = row.in_force === 1
        const before = isIn ? await setOf(db, policies(), { without: id }) : policies()
        const next = isIn ? policies() : await setOf(db, policies(), { with: row })
        const at = now()
        await db.transaction().execute(async (tx) => {
          await mustBeAnother(tx, person, row)
          await putInForce(
            tx,
            next,
            { by: refOf(person), reason: reasonOf(`overlay ${id} was applied`, answer.reason) },
            at,
          )
          const to = {
            state: 'applied' as const,
            in_force: 1 as const,
            approved_at: at.toISOString(),
            approved_by: JSON.stringify(refOf(person)),
            approved_because: answer.reason,
            applied_at: at.toISOString(),
            version: next.version,
            failed_because: null,
            roll_back: null,
          }
          const payload = { version: next.version, reason: answer.reason }
          counted(await moveOverlay(tx, row, to, { type: 'overlay.applied', by: actorOf(person), payload, at }))
        })
        if (!isIn) await enforcement.takeIn(next)
        return look(await rowOf(db, id), before)
      })
    },

    async reject(id, person, answer) {
      mustBeAdmin(person, 'rejected')
      mustSayWhy(answer)
      return db.transaction().execute(async (tx) => {
        const row = await rowOf(tx, id)
        const at = now()
        const said: Said = { by: refOf(person), at: at.toISOString(), reason: answer.reason }
        const by = actorOf(person)
        const payload = { reason: answer.reason }
        if (row.in_force === 1 && row.roll_back !== null) {
          const keeps = { roll_back: null }
          return moveOverlay(tx, row, keeps, { type: 'overlay.roll-back-refused', by, payload, at })
        }
        if (row.state === 'rejected' && saidBy(row.rejected)?.id === person.id) return overlayView(row)
        if (row.state !== 'proposed' && !(row.state === 'failed' && row.in_force === 0))
          throw new OverlayRefused(
            'conflict',
            `This overlay is ${row.state}: only what is not in force is rejected; roll it back.`,
          )
        mustBeShown(row, answer)
        own(person, row)
        const to = { state: 'rejected', rejected: JSON.stringify(said) } as const
        return counted(await moveOverlay(tx, row, to, { type: 'overlay.rejected', by, payload, at }))
      })
    },

    async rollBack(id, person, answer) {
      mustBeAdmin(person, 'rolled back')
      return enforcement.change(async () => {
        const row = await rowOf(db, id)
        const at = now()
        const said: Said = { by: refOf(person), at: at.toISOString(), reason: answer.reason }
        if (row.state === 'rolled-back' && saidBy(row.rolled_back)?.id === person.id) return overlayView(row)
        if (row.in_force !== 1)
          throw new OverlayRefused('conflict', `This overlay is ${row.state}: there is nothing of it in force.`)
        mustBeShown(row, answer)
        own(person, row)
        const asked = row.roll_back === null ? undefined : (JSON.parse(row.roll_back) as Said)
        if (!asked) {
          if (answer.confirms !== undefined)
            throw new OverlayRefused('conflict', 'Nobody asks to roll it back any more: load it anew.')
          mustSayWhy(answer)
          const by = actorOf(person)
          const payload = { reason: answer.reason }
          return db
            .transaction()
            .execute((tx) =>
              moveOverlay(
                tx,
                row,
                { roll_back: JSON.stringify(said) },
                { type: 'overlay.roll-back-asked', by, payload, at },
              ),
            )
        }
        // The same words of the same person are the same call again.
        if (asked.by.id === person.id && asked.reason === answer.reason) return overlayView(row)
        // Two who ask at the same moment have not looked at each other's reason: the second one does so knowingly.
        if (asked.by.id !== person.id && answer.confirms !== asked.at)
          throw new OverlayRefused(
            'conflict',
            `${asked.by.name} asked to roll it back (${asked.reason}). If you have looked at that and agree, say it again with confirms: ${JSON.stringify(asked.at)}, and it is done.`,
          )
        const to = { state: 'rolled-back', column: 'rolled_back', type: 'overlay.rolled-back' } as const
        return takeOut(row, to, said, person, (tx) => mustBeSecond(tx, person, asked.by))
      })
    },

    async retire(id, person, answer) {
      mustBeAdmin(person, 'retired')
      return enforcement.change(async () => {
        const row = await rowOf(db, id)
        if (row.state === 'retired' && saidBy(row.retired)?.id === person.id) return overlayView(row)
        if (row.in_force !== 1)
          throw new OverlayRefused('conflict', `This overlay is ${row.state}: there is nothing of it in force.`)
        mustBeShown(row, answer)
        if (!options.redundant(row, policies()))
          throw new OverlayRefused(
            'conflict',
            'The policy folder in force has not every policy of it: put the export there, reload, and try again.',
          )
        const said: Said = { by: refOf(person), at: now().toISOString(), reason: answer.reason }
        return takeOut(
          row,
          { state: 'retired', column: 'retired', type: 'overlay.retired' },
          said,
          person,
          async () => {},
        )
      })
    },

    async resume() {
      const rows = await db
        .selectFrom('overlays')
        .select('id')
        .where('state', '=', 'applied')
        .where('in_force', '=', 1)
        .execute()
      for (const { id } of rows)
        await enforcement.change(async () => {
          const row = await rowOf(db, id)
          if (row.state === 'applied') await look(row, await setOf(db, policies(), { without: id }))
        })
    },
  }

  /** A question that could not even be asked is a failure of the overlay, which stays in force. */
  async function asking(probe: () => Promise<Probed>): Promise<Probed> {
    try {
      return await probe()
    } catch (error) {
      log.error({ error }, 'the gate could not be asked about an overlay of a review')
      return {
        probes: [],
        broke: [],
        missed: [`the gate could not be asked: ${error instanceof Error ? error.message : error}`],
      }
    }
  }
}

/**
 * The set in force with an overlay more or less. The folder's files are as they are in force: what changed in the folder
 * since then is another person's affair, and comes with the next reload.
 * @throws OverlayRefused where it can't be used
 */
export async function setOf(
  db: Kysely<Tables>,
  { texts }: Policies,
  change: { with: OverlayRow } | { without: string },
): Promise<Policies> {
  const kept = await overlaysInForce(db)
  const refused = (problems: { file: string; line: number; message: string }[]) =>
    new OverlayRefused(
      'invalid',
      `Policy would not be valid with this: ${problems.map(({ file, line, message }) => `${file}:${line}: ${message}`).join('; ')}.`,
    )
  if (!kept.ok) throw refused(kept.problems)
  const overlays =
    'with' in change
      ? [...kept.files, { number: change.with.number, file: overlayFile(change.with.id), text: change.with.policy }]
      : kept.files.filter(({ file }) => file !== overlayFile(change.without))
  const folder = texts.filter(({ file }) => overlayOf(file) === undefined)
  const files = overlays.sort((a, b) => a.number - b.number).map(({ file, text }) => ({ file, text }))
  const loaded = loadPolicyTexts([...folder, ...files])
  if (!loaded.ok) throw refused(loaded.problems)
  return loaded.policies
}

/** @throws OverlayRefused */
function mustBeShown({ digest }: OverlayRow, answer: Answer): void {
  if (answer.digest !== undefined && answer.digest !== digest)
    throw new OverlayRefused('conflict', 'This is not the text of the overlay: load it anew, and read it.')
}

/** @throws OverlayRefused */
function mustSayWhy({ reason }: Answer): void {
  if (reason.trim() === '') throw new OverlayRefused('invalid', 'Say why, in a few words: `reason`.')
}

const saidBy = (json: string | null): PersonRef | undefined =>
  json === null ? undefined : (JSON.parse(json) as Said).by
const isSame = (json: string | null, { id }: PersonPrincipal): boolean =>
  json !== null && (JSON.parse(json) as PersonRef).id === id
const reasonOf = (what: string, why: string): string => (why === '' ? what : `${what}: ${why}`)
