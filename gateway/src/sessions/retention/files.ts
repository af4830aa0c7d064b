import { rm, rmdir, stat } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import type { RecordingLine } from '@countersign/contract/recording'
import { Counting } from '../counts.ts'
import { syncFolder } from '../recorder.ts'
import { linesOf, placeOf, readRecording } from '../recording.ts'

/** A session as far as its files are asked for. */
export interface Placed {
  id: string
  opened_at: string
}

/** Everything that is ever written of a recording, whatever a crash has left of it. */
function filesOf(folder: string, { id, opened_at }: Placed): string[] {
  const { plain, sealed } = placeOf(folder, id, opened_at)
  return [plain, sealed, `${sealed}.tmp`, `${plain}.cut`]
}

/** What the files of a recording take on disk. */
export async function bytesOf(folder: string, session: Placed): Promise<number> {
  const sizes = await Promise.all(filesOf(folder, session).map((file) => stat(file).then(({ size }) => size, absent)))
  return sizes.reduce((a, b) => a + b, 0)
}

/** Removes recordings; they are gone from their folders, on disk, when it resolves. Those that aren't there are no fault. */
export async function removeFiles(folder: string, sessions: readonly Placed[]): Promise<void> {
  const folders = new Set<string>()
  for (const session of sessions)
    for (const file of filesOf(folder, session)) {
      await rm(file, { force: true })
      folders.add(dirname(file))
    }
  for (const day of folders) {
    if ((await stat(day).then(() => 1, absent)) === 0) continue
    await syncFolder(day)
    // Only where nobody is about to make a recording; one that isn't empty stays.
    if (isPast(day)) await rmdir(day).catch(() => {})
  }
}

function isPast(day: string): boolean {
  const [year, month, date] = day.split(sep).slice(-3).map(Number) as [number, number, number]
  return Date.UTC(year, month - 1, date) < Date.now() - 2 * 86_400_000
}

/** The data classes that a recording touched, read from it; none where it isn't there. @throws what reading it says */
export async function classesIn(folder: string, { id, opened_at }: Placed): Promise<string[]> {
  const stream = await readRecording(placeOf(folder, id, opened_at))
  if (!stream) return []
  const counting = new Counting()
  for await (const line of linesOf(stream)) {
    // Only these say it; long results are not parsed for nothing.
    if (!line.includes('"classes":') && !line.includes('"masked":')) continue
    const event = JSON.parse(line.toString()) as RecordingLine
    if (event.type !== 'header') counting.add(event)
  }
  return [...counting.classes].sort()
}

function absent(error: NodeJS.ErrnoException): 0 {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return 0
  throw error
}
