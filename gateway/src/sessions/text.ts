import { hash } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import type { Store } from '../store/store.ts'
import { tablesOf } from './tables.ts'

/** Commands wait here until so many, or so many bytes of them, have come together … */
const flushAt = { texts: 1024, bytes: 1024 * 1024 }
/** … and of one command only the beginning is found by its words. */
const indexedLength = 64 * 1024
/** So much of one session is known as indexed already, so that a loop of one statement costs nothing. */
const remembered = { texts: 512, length: 128 * 1024 }
/** Where the store refuses, this much waits for it at most: then the oldest are given up, which the recording still has. */
export const mostWaiting = { texts: 20_000, length: 16 * 1024 * 1024 }

export interface TextIndex {
  /** Queues a command's text. Quick: what is in the queue is written later, together. */
  add(session: string, text: string): void
  /** What waits to be written: how many, and how many characters. */
  readonly waiting: { texts: number; length: number }
  /** Writes what is queued. */
  flush(): Promise<void>
  /** What is remembered of a session that has ended goes. */
  forget(session: string): void
}

/**
 * The full-text index of commands: one entry per distinct text of a session. Adding a text again is nothing, so that a
 * recording may be indexed anew after a crash.
 */
export function createTextIndex(store: Store, log: { error(fields: object, text: string): void }): TextIndex {
  const db = tablesOf(store)
  const known = new Map<string, { texts: Set<string>; length: number }>()
  let queue: { session: string; text: string }[] = []
  /** Characters in the queue. */
  let length = 0
  let writing: Promise<void> = Promise.resolve()
  let asked = false

  const write = async () => {
    asked = false
    const batch = queue
    queue = []
    length = 0
    if (batch.length === 0) return
    try {
      // SQLite takes 32,766 values a statement.
      for (let at = 0; at < batch.length; at += flushAt.texts) await insert(batch.slice(at, at + flushAt.texts))
    } catch (error) {
      queue = [...batch, ...queue]
      for (const { text } of batch) length += text.length
      bound()
      throw error
    }
  }
  /** Gives up the oldest where too much waits. */
  const bound = () => {
    let given = 0
    while (queue.length - given > mostWaiting.texts || length > mostWaiting.length)
      length -= queue[given++]!.text.length
    if (given === 0) return
    queue = queue.slice(given)
    log.error({ commands: given }, 'commands will not be found by their words: too many wait to be indexed')
  }
  // Two statements for the whole batch: one for each command would cost more than all else that records it.
  const insert = (batch: typeof queue) =>
    db.transaction().execute(async (tx) => {
      const texts = new Map<string, string>()
      const values = batch.map(({ session, text }) => {
        const digest = hash('sha256', text, 'buffer').subarray(0, 16)
        texts.set(`${session} ${digest.toString('hex')}`, text)
        return { id: undefined, session, hash: digest }
      })
      const fresh = await tx
        .insertInto('command_texts')
        .values(values)
        .onConflict((c) => c.columns(['session', 'hash']).doNothing())
        .returning(['id', 'session', 'hash'])
        .execute()
      if (fresh.length === 0) return
      const entries = fresh.map((row) => ({
        rowid: row.id!,
        text: texts.get(`${row.session} ${Buffer.from(row.hash).toString('hex')}`)!,
      }))
      await tx.insertInto('command_index').values(entries).execute()
    })
  const flush = () => {
    writing = writing.catch(() => {}).then(write)
    return writing
  }

  return {
    add(session, text) {
      const short = text.length > indexedLength ? text.slice(0, indexedLength) : text
      const seen = known.get(session)
      if (seen?.texts.has(short)) return
      if (!seen || seen.texts.size >= remembered.texts || seen.length >= remembered.length)
        known.set(session, { texts: new Set([short]), length: short.length })
      else {
        seen.texts.add(short)
        seen.length += short.length
      }
      queue.push({ session, text: short })
      length += short.length
      bound()
      if (!asked && (queue.length >= flushAt.texts || length >= flushAt.bytes)) {
        asked = true
        // Not now: whoever records a command waits for this.
        setImmediate(() => flush().catch((error) => log.error({ error }, 'commands could not be indexed')))
      }
    },
    get waiting() {
      return { texts: queue.length, length }
    },
    flush,
    forget: (session) => void known.delete(session),
  }
}

/**
 * A condition for `sessions`: one of its commands has all these words, the last one as a beginning. A word that the
 * tokenizer splits (`public.customers`) is a phrase.
 * @returns undefined where the text has nothing to look for
 */
export function hasCommandLike(text: string): RawBuilder<boolean> | undefined {
  const words = text
    .replaceAll('\0', ' ')
    .split(/\s+/)
    .filter((word) => /[\p{L}\p{N}]/u.test(word))
  if (words.length === 0) return undefined
  const match = words.map((word, i) => `"${word.replaceAll('"', '""')}"${i === words.length - 1 ? '*' : ''}`).join(' ')
  return sql<boolean>`sessions.id in (select session from command_texts where id in
    (select rowid from command_index where command_index match ${match}))`
}
