import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { RecordingHeader } from '@countersign/contract/recording'
import type { BaseLogger } from 'pino'
import { headerOf, mend, placeOf, seal } from './recording.ts'
import type { SessionRows } from './rows.ts'

const killed = 'the gateway was stopped without being able to end this session'

/**
 * Ends what a killed gateway left behind. Killed itself, it begins again: a plain recording is there until its sealed
 * form is, a session is open until its recording has an end.
 */
export async function recoverRecordings(room: {
  folder: string
  rows: SessionRows
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  now: () => string
}): Promise<void> {
  const { folder, rows, log } = room
  const open = new Map((await rows.open()).map(({ id, opened_at }) => [id, opened_at]))

  for await (const { id, path } of plainRecordings(folder)) {
    try {
      await recoverOne(id, path)
    } catch (error) {
      log.error({ session: id, path, error }, 'a recording could not be recovered: it is left as it is')
    }
  }
  // What is still open has no plain recording that could be recovered: gone, sealed before the store was set back, ….
  for (const id of open.keys()) {
    const session = await rows.get(id)
    if (session?.state !== 'open') continue
    log.error(
      { session: id },
      'a session was open when the gateway was killed, and its recording could not be recovered',
    )
    const { counts, recording } = session
    await rows.close(id, {
      state: 'interrupted',
      reason: killed,
      at: room.now(),
      counts,
      classes: undefined,
      bytes: recording.bytes,
      complete: false,
    })
  }

  /** One that says of itself that it lies elsewhere would never be found again. */
  function liesRight(path: string, { session, startedAt }: RecordingHeader): boolean {
    const at = Date.parse(startedAt)
    return (
      !Number.isNaN(at) &&
      new Date(at).toISOString() === startedAt &&
      placeOf(folder, session, startedAt).plain === path
    )
  }

  async function recoverOne(id: string, path: string): Promise<void> {
    let session = await rows.get(id)
    if (!session) {
      const header = await headerOf(path)
      if (header?.session !== id || !liesRight(path, header)) {
        // Not even its first line was written whole, or it isn't ours: nobody was ever told of it.
        log.warn({ path }, 'a recording without a beginning was found: it is left as it is')
        return
      }
      await rows.adopt(header)
      session = (await rows.get(id))!
    }
    const known = session.state === 'open' ? undefined : session.state
    const end = { state: known ?? ('interrupted' as const), reason: known ? (session.closedBecause ?? '') : killed }
    const found = await mend(path, end)
    if (!found.header || !found.end) {
      log.error({ session: id, path }, 'a recording without a beginning was found: it is left as it is')
      return
    }
    if (known) await rows.complete(id, found)
    else {
      const { state, reason, t } = found.end
      const at = new Date(Date.parse(found.header.startedAt) + t).toISOString()
      await rows.close(id, {
        state,
        reason,
        at,
        counts: found.counts,
        classes: found.classes,
        bytes: found.bytes,
        complete: true,
      })
      log.info({ session: id, state }, 'a session that a killed gateway left open was ended')
    }
    await seal(placeOf(folder, id, session.openedAt))
  }
}

/** Plain recordings by day; half-made sealed ones are removed on the way. */
async function* plainRecordings(folder: string): AsyncGenerator<{ id: string; path: string }> {
  const root = join(folder, 'recordings')
  for (const year of await namesIn(root, /^\d{4}$/))
    for (const month of await namesIn(join(root, year), /^\d\d$/))
      for (const day of await namesIn(join(root, year, month), /^\d\d$/)) {
        const place = join(root, year, month, day)
        for (const name of await namesIn(place, /^se_[a-z2-7]+\.ndjson(\.zst\.tmp)?$/)) {
          if (name.endsWith('.tmp')) await rm(join(place, name), { force: true })
          else yield { id: name.slice(0, -'.ndjson'.length), path: join(place, name) }
        }
      }
}

async function namesIn(folder: string, like: RegExp): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => like.test(name)).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
