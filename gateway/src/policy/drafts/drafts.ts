import { randomBytes } from 'node:crypto'
import type { PersonRef } from '@countersign/contract/identity'
import type { PolicyCheck, PolicyDraft, PolicyText } from '@countersign/contract/policies'
import { type Selectable, sql } from 'kysely'
import type { PolicyDraftsTable } from '../../store/review-tables.ts'
import type { Store } from '../../store/store.ts'
import { inOrder } from './check.ts'
import type { Checking } from './checking.ts'

/** So many drafts are kept, of so many characters each; a page of a list has so many together. */
export const MOST_DRAFTS = 500
export const LONGEST_DRAFT = 4 * 1024 * 1024
const PAGE = 8 * 1024 * 1024

/** What can't be done with a draft, and why, in a sentence. */
export class DraftRefused extends Error {
  override name = 'DraftRefused'
  readonly code: 'unknown' | 'conflict' | 'wrong' | 'full'
  /** Of a conflict: the one that is there. */
  readonly draft: PolicyDraft | undefined
  constructor(code: DraftRefused['code'], message: string, draft?: PolicyDraft) {
    super(message)
    this.code = code
    this.draft = draft
  }
}

export interface DraftWritten {
  title: string
  files: readonly PolicyText[]
  base?: string | undefined
  revision?: number | undefined
}

/** Sets of policies that people write, with what is wrong with them; nothing of it is enforced. */
export interface Drafts {
  /** The one that was changed last first. @throws DraftRefused */
  list(query: { limit: number; after?: string | undefined }): Promise<{ items: PolicyDraft[]; next: string | null }>
  get(id: string): Promise<PolicyDraft | undefined>
  /** @throws DraftRefused */
  create(draft: DraftWritten, person: PersonRef): Promise<PolicyDraft>
  /** @throws DraftRefused: `conflict` where another revision is there than the one that was changed */
  change(id: string, draft: DraftWritten, person: PersonRef): Promise<PolicyDraft>
  /** @returns false where there is none */
  remove(id: string): Promise<boolean>
}

export function createDrafts(options: {
  store: Store
  checking: Pick<Checking, 'check'>
  /** The set in force: what drafts begin from, and the overlays that come behind them. */
  inForce: () => { version: string; overlays: readonly PolicyText[] }
  clock: () => number
}): Drafts {
  const { store, checking, inForce, clock } = options
  const { db } = store
  const find = (id: string) => db.selectFrom('policy_drafts').selectAll().where('id', '=', id).executeTakeFirst()
  const conflict = (row: Selectable<PolicyDraftsTable>) =>
    new DraftRefused(
      'conflict',
      `${JSON.parse(row.changed_by).name} has changed this draft meanwhile: look at what is there, and save again.`,
      draftOf(row),
    )
  const checked = (files: readonly PolicyText[]): Promise<PolicyCheck> => {
    refuseFiles(files)
    return checking.check(files, inForce().overlays)
  }

  return {
    async list({ limit, after }) {
      const from = after === undefined ? undefined : cursorIn(after)
      // How long each is comes first: all of them together may be more than there is memory for.
      let query = db
        .selectFrom('policy_drafts')
        .select(['id', 'changed_at', sql<number>`length(files) + length("check")`.as('length')])
        .orderBy('changed_at', 'desc')
        .orderBy('id', 'desc')
      if (from)
        query = query.where((e) =>
          e.or([e('changed_at', '<', from[0]), e.and([e('changed_at', '=', from[0]), e('id', '<', from[1])])]),
        )
      const all = await query.limit(limit + 1).execute()
      const items: PolicyDraft[] = []
      let length = 0
      for (const [at, one] of all.entries()) {
        length += one.length
        const before = all[at - 1]
        if (before && (at === limit || length > PAGE))
          return { items, next: Buffer.from(JSON.stringify([before.changed_at, before.id])).toString('base64url') }
        const row = await find(one.id)
        if (row) items.push(draftOf(row))
      }
      return { items, next: null }
    },

    async get(id) {
      const row = await find(id)
      return row && draftOf(row)
    },

    async create({ title, files, base }, person) {
      const check = await checked(files)
      const at = new Date(clock()).toISOString()
      const by = JSON.stringify(refOf(person))
      const row = {
        ...{ id: newId(), title, base: base ?? inForce().version, at, by, changed_at: at, changed_by: by, revision: 0 },
        ...{ files: JSON.stringify(inOrder(files)), check: JSON.stringify(check) },
      }
      await db.transaction().execute(async (tx) => {
        const { count } = await tx
          .selectFrom('policy_drafts')
          .select((e) => e.fn.countAll<number>().as('count'))
          .executeTakeFirstOrThrow()
        if (Number(count) >= MOST_DRAFTS)
          throw new DraftRefused('full', `There are ${MOST_DRAFTS} drafts, as many as are kept: delete one first.`)
        await tx.insertInto('policy_drafts').values(row).execute()
      })
      return draftOf(row)
    },

    async change(id, { title, files, base, revision }, person) {
      if (revision === undefined)
        throw new DraftRefused('wrong', 'Say which revision of the draft was changed (revision).')
      const before = await find(id)
      if (!before) throw unknown()
      if (before.revision !== revision) throw conflict(before)
      const check = await checked(files)
      return db.transaction().execute(async (tx) => {
        const changed = await tx
          .updateTable('policy_drafts')
          .set({
            ...{ title, files: JSON.stringify(inOrder(files)), check: JSON.stringify(check), revision: revision + 1 },
            ...(base !== undefined && { base }),
            ...{ changed_by: JSON.stringify(refOf(person)), changed_at: new Date(clock()).toISOString() },
          })
          .where('id', '=', id)
          .where('revision', '=', revision)
          .returningAll()
          .executeTakeFirst()
        if (changed) return draftOf(changed)
        const there = await tx.selectFrom('policy_drafts').selectAll().where('id', '=', id).executeTakeFirst()
        throw there ? conflict(there) : unknown()
      })
    },

    async remove(id) {
      const { numDeletedRows } = await db.deleteFrom('policy_drafts').where('id', '=', id).executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
  }
}

const unknown = () => new DraftRefused('unknown', 'There is no such draft: it may have been deleted.')

/** Names once each, and no more text than is kept. @throws DraftRefused */
export function refuseFiles(files: readonly PolicyText[]): void {
  const names = new Set<string>()
  let length = 0
  for (const { file, text } of files) {
    // On a disk that knows no capitals they would be one.
    const name = file.toLowerCase()
    if (names.has(name)) throw new DraftRefused('wrong', `${file} is there twice: give each file a name of its own.`)
    names.add(name)
    length += text.length
  }
  if (length > LONGEST_DRAFT)
    throw new DraftRefused('wrong', `The files have ${length} characters together, ${LONGEST_DRAFT} at most.`)
}

function draftOf(row: Selectable<PolicyDraftsTable>): PolicyDraft {
  return {
    id: row.id,
    title: row.title,
    base: row.base,
    files: JSON.parse(row.files),
    by: JSON.parse(row.by),
    at: row.at,
    changedBy: JSON.parse(row.changed_by),
    changedAt: row.changed_at,
    revision: row.revision,
    check: JSON.parse(row.check),
  }
}

function cursorIn(after: string): [string, string] {
  try {
    const [at, id] = JSON.parse(Buffer.from(after, 'base64url').toString())
    if (typeof at === 'string' && typeof id === 'string') return [at, id]
  } catch {}
  throw new DraftRefused('wrong', '`after` is not one that this list gave: begin without it.')
}

const refOf = ({ id, issuer, subject, name }: PersonRef): PersonRef => ({ id, issuer, subject, name })

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const newId = () => `dr_${Array.from(randomBytes(16), (byte) => CROCKFORD[byte & 31]).join('')}`
