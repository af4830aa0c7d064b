import type { PolicyText, PolicyVersion, PolicyVersionPage } from '@countersign/contract/policies'
import type { Kysely } from 'kysely'
import type { Tables } from '../store/tables.ts'

/** `after` that no list of ours gave out. */
export class BadVersionCursor extends Error {
  override name = 'BadVersionCursor'
}

/** Where nobody kept why a set came into force: it was before reasons were kept. */
const UNSAID = 'loaded from the policy folder'

interface Time {
  id: number
  at: string
  version: string
  by: string | null
  reason: string | null
}

/**
 * Each time that a set came into force, the newest first.
 * @throws BadVersionCursor
 */
export async function policyVersions(
  db: Kysely<Tables>,
  { limit, after }: { limit: number; after?: string | undefined },
): Promise<{ items: PolicyVersion[]; next: string | null }> {
  if (after !== undefined && !/^[1-9]\d{0,15}$/.test(after))
    throw new BadVersionCursor('`after` is not one that this list gave: begin without it')
  let query = timesOf(db).orderBy('id', 'desc')
  if (after !== undefined) query = query.where('id', '<=', Number(after))
  // One more on either side: what it was until, and what it was another than.
  const times: Time[] = await query.limit(limit + 1).execute()
  const later =
    after === undefined
      ? undefined
      : await timesOf(db).where('id', '>', Number(after)).orderBy('id').limit(1).executeTakeFirst()
  const filesAt = remembering((version) => filesIn(db, version))
  const items: PolicyVersion[] = []
  for (const [index, time] of times.slice(0, limit).entries()) {
    const before = times[index + 1]
    const next = times[index - 1] ?? later
    items.push(versionOf(time, next, await filesAt(time.version), before && (await filesAt(before.version))))
  }
  return { items, next: times.length > limit ? String(times[limit]!.id) : null }
}

/** A version with its files, as of the last time that it came into force; undefined where it never was. */
export async function policyVersion(db: Kysely<Tables>, version: string): Promise<PolicyVersionPage | undefined> {
  const time = await timesOf(db).where('version', '=', version).orderBy('id', 'desc').limit(1).executeTakeFirst()
  if (!time) return undefined
  const before = await timesOf(db).where('id', '<', time.id).orderBy('id', 'desc').limit(1).executeTakeFirst()
  const next = await timesOf(db).where('id', '>', time.id).orderBy('id').limit(1).executeTakeFirst()
  const texts = await filesIn(db, version)
  return { ...versionOf(time, next, texts, before && (await filesIn(db, before.version))), texts }
}

const timesOf = (db: Kysely<Tables>) => db.selectFrom('policy_times').select(['id', 'at', 'version', 'by', 'reason'])

function versionOf(
  { version, at, by, reason }: Time,
  next: Time | undefined,
  files: readonly PolicyText[],
  before: readonly PolicyText[] = [],
): PolicyVersion {
  return {
    version,
    from: at,
    ...(next && { until: next.at }),
    by: by === null ? { kind: 'gateway', name: 'the gateway' } : { kind: 'person', name: String(JSON.parse(by).name) },
    reason: reason ?? UNSAID,
    files: files.map(({ file }) => file),
    changed: changedFiles(before, files),
  }
}

/** Which files of a set are others than those of the set before. */
export function changedFiles(
  before: readonly PolicyText[],
  files: readonly PolicyText[],
): { file: string; what: 'added' | 'changed' | 'removed' }[] {
  const old = new Map(before.map(({ file, text }) => [file, text]))
  const now = new Set(files.map(({ file }) => file))
  return [
    ...files
      .filter(({ file, text }) => old.get(file) !== text)
      .map(({ file }) => ({ file, what: old.has(file) ? ('changed' as const) : ('added' as const) })),
    ...before.filter(({ file }) => !now.has(file)).map(({ file }) => ({ file, what: 'removed' as const })),
  ]
}

async function filesIn(db: Kysely<Tables>, version: string): Promise<PolicyText[]> {
  const row = await db.selectFrom('policy_versions').select('files').where('version', '=', version).executeTakeFirst()
  return row ? JSON.parse(row.files) : []
}

function remembering<T>(ask: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const known = new Map<string, Promise<T>>()
  return (key) => {
    const answer = known.get(key) ?? ask(key)
    known.set(key, answer)
    // Those of neighbours are asked for again; of a long list not all are kept.
    if (known.size > 8) known.delete(known.keys().next().value!)
    return answer
  }
}
