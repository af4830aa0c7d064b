import { hash } from 'node:crypto'
import type { Kysely, Selectable } from 'kysely'
import type { OverlaysTable } from '../store/review-tables.ts'
import type { Tables } from '../store/tables.ts'
import type { PolicyProblem } from './load.ts'
import { overlayFile, readOverlay } from './overlay-text.ts'

/** A file of a set that is in no folder. */
export interface OverlayFile {
  /** Overlays are in force in the order of their numbers. */
  number: number
  file: string
  text: string
}

export type OverlayFiles = { ok: true; files: OverlayFile[] } | { ok: false; problems: PolicyProblem[] }

/**
 * The overlays that are to be in force, as the store has them: files of the set behind those of the folder, in the order
 * in which they were proposed. One that is not what was proposed, or is no overlay, is a problem: the set is refused then.
 */
export async function overlaysInForce(db: Kysely<Tables>): Promise<OverlayFiles> {
  const rows = await db
    .selectFrom('overlays')
    .select(['id', 'number', 'agent', 'connection', 'policy', 'digest'])
    .where('in_force', '=', 1)
    .orderBy('number')
    .execute()
  const problems = rows.flatMap(problemsOf)
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, files: rows.map(({ id, number, policy }) => ({ number, file: overlayFile(id), text: policy })) }
}

/** SHA-256 of an overlay's text, in hex: who applies it says which one. */
export function overlayDigest(policy: string): string {
  return hash('sha256', policy)
}

function problemsOf({
  id,
  agent,
  connection,
  policy,
  digest,
}: Pick<Selectable<OverlaysTable>, 'id' | 'agent' | 'connection' | 'policy' | 'digest'>): PolicyProblem[] {
  const problem = (message: string): PolicyProblem => ({
    file: overlayFile(id),
    line: 0,
    message,
    mend: 'run countersign-gateway verify: it was changed where it is kept',
  })
  if (overlayDigest(policy) !== digest) return [problem('its text is not the one that was proposed')]
  const key = JSON.stringify([agent, connection, digest])
  if (whole.has(key)) return []
  const bounds = agent === '' ? { connection, principals: [{ op: 'All' as const }] } : { agent, connection }
  const read = readOverlay(policy, bounds)
  if (!read.ok) return read.problems.map(problem)
  whole.add(key)
  if (whole.size > MOST_WHOLE) whole.delete(whole.values().next().value!)
  return []
}

/** Overlays that were read and are what they should be, by whom and what they are about and their text's digest. */
const whole = new Set<string>()
const MOST_WHOLE = 10_000
