import type { Asking, Status } from './asking.ts'
import { type Fields, FX, FXP, Malformed } from './wire.ts'

/** What a name means on the host at this moment. */
export interface Place {
  /** As it was asked for: absolute, without `.`, `..` and doubled slashes, links not followed. */
  asked: string
  /** With all links followed, the last one only where it was to be. Nothing on the way to it is a link. */
  path: string
  /** Directories that the name goes through and out of again by `..`, links followed. */
  passed: string[]
  /** What is there; `unreachable`: nothing could be, and what the host said of it. */
  is: 'directory' | 'link' | 'other' | 'absent' | { unreachable: Status }
  /** Whether it ends in a slash, and so can only be a directory. */
  slashed: boolean
}

/** As many as Linux follows. */
const MOST_LINKS = 40
/** Parts of a name, its links' included. */
const MOST_PARTS = 512
const TYPE = 0o170000
const DIRECTORY = 0o040000
const LINK = 0o120000

/** A name whose meaning can't be told, and why. */
export class Unresolved extends Error {
  override name = 'Unresolved'
}

/**
 * Follows a name part by part, as the host's kernel will (path_resolution(7)), with LSTAT and READLINK: REALPATH is no
 * more than a tidying of text on some hosts. What it says holds at this moment only.
 * @param base where a relative name begins, absolute
 * @param follow whether a link at the end is followed
 * @throws Unresolved where it can't be told; Malformed where the host doesn't speak SFTP
 */
export async function placeOf(asking: Asking, base: string, name: string, follow: boolean): Promise<Place> {
  let left = partsOf(wholeOf(base, name))
  const { asked, slashed } = asAsked(base, name)
  const found = { asked, passed: [] as string[], slashed }
  let at: string[] = []
  let is: Place['is'] = 'directory'
  let walked = 0
  let links = 0
  while (left.length > 0) {
    if (left[0] === '..') {
      if (at.length > 0) found.passed.push(pathOf(at))
      at = at.slice(0, -1)
      left = left.slice(1)
      is = 'directory'
      continue
    }
    const up = left.indexOf('..')
    const run = up < 0 ? left : left.slice(0, up)
    walked += run.length
    if (walked > MOST_PARTS) throw new Unresolved('its name has too many parts')
    const looked = await Promise.all(run.map((_, n) => look(asking, pathOf([...at, ...run.slice(0, n + 1)]))))
    const n = looked.findIndex((is) => is !== 'directory')
    if (n < 0) {
      at = [...at, ...run]
      left = left.slice(run.length)
      is = 'directory'
      continue
    }
    const here = looked[n]!
    const through = [...at, ...run.slice(0, n + 1)]
    const rest = left.slice(n + 1)
    const last = rest.length === 0
    if (here !== 'link' || (last && !follow && !slashed)) {
      if (last) return { ...found, path: pathOf(through), is: here }
      // Nothing can be below what is no directory: whatever it is asked for, the host has no such file.
      const because = typeof here === 'object' ? here.unreachable : { code: FX.NO_SUCH_FILE, message: 'No such file' }
      const path = tidied(pathOf([...through, ...rest]))
      const passed = rest.includes('..') ? [...found.passed, pathOf(through)] : found.passed
      return { ...found, path, passed, is: { unreachable: because } }
    }
    if (++links > MOST_LINKS) throw new Unresolved('its name leads through too many symbolic links')
    const target = await targetOf(asking, pathOf(through))
    at = target.startsWith('/') ? [] : through.slice(0, -1)
    left = [...partsOf(target), ...rest]
    if (left.length > MOST_PARTS) throw new Unresolved('its name has too many parts')
    is = 'directory'
  }
  return { ...found, path: pathOf(at), is }
}

/** A name as it stands there: nobody has looked where it leads. */
export function asAsked(base: string, name: string): Place {
  const whole = wholeOf(base, name)
  const asked = tidied(whole)
  return { asked, path: asked, passed: [], is: 'other', slashed: /\/\.{0,2}$/.test(whole) }
}

/** The directory that a name is in. */
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'

/** Whether `path` is `directory`, or below it. */
export const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)

/** The name that the host gives in an answer with exactly one. */
export function oneName(fields: Fields): string {
  if (fields.u32() !== 1) throw new Malformed('an answer that should have one name')
  const name = fields.bytes()
  const text = name.toString()
  if (name.length > 4096 || text.includes('\0') || text.includes('\ufffd'))
    throw new Unresolved('the host answers with a name that is not valid UTF-8')
  return text
}

async function look(asking: Asking, path: string): Promise<Place['is']> {
  const told = await asking.ask(FXP.LSTAT, path)
  if ('refused' in told) {
    if (told.refused.code === FX.NO_SUCH_FILE) return 'absent'
    return { unreachable: told.refused }
  }
  const { mode } = told.fields.attributes()
  if (mode === undefined) throw new Unresolved('the host does not tell what is a link')
  if ((mode & TYPE) === LINK) return 'link'
  return (mode & TYPE) === DIRECTORY ? 'directory' : 'other'
}

async function targetOf(asking: Asking, path: string): Promise<string> {
  const told = await asking.ask(FXP.READLINK, path)
  if ('refused' in told) throw new Unresolved('the host does not tell where a link on its way leads')
  const target = oneName(told.fields)
  if (target === '') throw new Unresolved('a link on its way leads nowhere')
  return target
}

const wholeOf = (base: string, name: string): string => (name.startsWith('/') ? name : `${base}/${name}`)

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.')

const pathOf = (parts: readonly string[]): string => `/${parts.join('/')}`

function tidied(path: string): string {
  const parts: string[] = []
  for (const part of partsOf(path))
    if (part === '..') parts.pop()
    else parts.push(part)
  return pathOf(parts)
}
