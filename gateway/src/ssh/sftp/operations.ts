import type { Effect } from '../../gate/command.ts'
import type { Asked } from '../commands.ts'
import { isWithin, type Place, parentOf } from './places.ts'
import type { Of, Request } from './requests.ts'
import { type Attributes, FXF, FXP, packet, packetWith } from './wire.ts'

export type Access = 'sftp:read' | 'sftp:write'
const READ: readonly Access[] = ['sftp:read']
const WRITE: readonly Access[] = ['sftp:write']
const BOTH: readonly Access[] = ['sftp:read', 'sftp:write']

/** A name of a request, and what is done to what it names. */
export interface Named {
  name: string
  /** Whether the host follows a link at its end. */
  follow: boolean
  accesses: readonly Access[]
  /** Relative to the directory of the name at this place in the list, and not to where the channel begins. */
  beside?: number
}

/** A request by names, as it is decided. The places are of its names, in their order. */
export interface Operation {
  kind: string
  names: readonly Named[]
  /** What people read behind its kind; the names' where absent. */
  words?: (names: string[]) => string[]
  meaning: Record<string, unknown>
  /** Whether it changes where names lead: nothing else of the agent follows names meanwhile. */
  alone?: true
  /** Whether all that is in a directory goes along, from the first name to the second. */
  moves?: true
  /** What the host gets: the names that were decided, not those that were asked for. */
  packet(paths: string[]): Buffer
}

export type NamedRequest = Exclude<Extract<Request, { name: string }>, { op: 'expand-path' }>

/** A request of a client as an operation. */
export function operationOf(request: NamedRequest): Operation {
  const { op, name } = request
  switch (op) {
    case 'open':
      return opening(request)
    case 'stat':
    case 'lstat': {
      const [follow, type] = op === 'stat' ? ([true, FXP.STAT] as const) : ([false, FXP.LSTAT] as const)
      return one('stat', { name, follow, accesses: READ }, (path) => packet(type, 0, path), { operation: op })
    }
    case 'opendir':
      return one('list', { name, follow: true, accesses: READ }, (path) => packet(FXP.OPENDIR, 0, path))
    case 'readlink':
      return one('readlink', { name, follow: false, accesses: READ }, (path) => packet(FXP.READLINK, 0, path))
    case 'realpath':
      return one('realpath', { name, follow: true, accesses: READ }, (path) => packet(FXP.REALPATH, 0, path))
    case 'statvfs': {
      const send = (path: string) => packet(FXP.EXTENDED, 0, 'statvfs@openssh.com', path)
      return one('statvfs', { name, follow: true, accesses: READ }, send)
    }
    case 'remove':
      return one('remove', { name, follow: false, accesses: WRITE }, (path) => packet(FXP.REMOVE, 0, path))
    case 'rmdir':
      return one('rmdir', { name, follow: false, accesses: WRITE }, (path) => packet(FXP.RMDIR, 0, path))
    case 'mkdir': {
      const { attributes } = request
      const send = (path: string) => packetWith(FXP.MKDIR, 0, [path], attributes.raw)
      return one('mkdir', { name, follow: false, accesses: WRITE }, send, { attributes: told(attributes) })
    }
    case 'setstat':
    case 'lsetstat': {
      const { attributes } = request
      const follow = op === 'setstat'
      const send = (path: string) =>
        follow
          ? packetWith(FXP.SETSTAT, 0, [path], attributes.raw)
          : packetWith(FXP.EXTENDED, 0, ['lsetstat@openssh.com', path], attributes.raw)
      return {
        ...one('setstat', { name, follow, accesses: WRITE }, send, { operation: op, attributes: told(attributes) }),
        words: (names) => [...names, ...settings(attributes)],
      }
    }
    case 'rename': {
      const { to, extension } = request
      return {
        kind: 'rename',
        // What could not be read where it was may be readable where it goes.
        names: [
          { name, follow: false, accesses: BOTH },
          { name: to, follow: false, accesses: WRITE },
        ],
        meaning: { operation: extension ?? 'rename' },
        ...{ alone: true, moves: true },
        packet: ([from = '', to = '']) =>
          extension === undefined ? packet(FXP.RENAME, 0, from, to) : packet(FXP.EXTENDED, 0, extension, from, to),
      }
    }
    case 'hardlink':
      return {
        kind: 'link',
        // Two names of one file: whoever may use one of them uses both. Hosts differ in whether they follow it.
        names: [
          { name, follow: false, accesses: BOTH },
          { name: request.to, follow: false, accesses: WRITE },
          { name, follow: true, accesses: BOTH },
        ],
        words: ([from = '', to = '']) => [from, to],
        meaning: {},
        packet: ([from = '', to = '']) => packet(FXP.EXTENDED, 0, 'hardlink@openssh.com', from, to),
      }
    case 'symlink':
      return {
        kind: 'symlink',
        // Programs of the host follow it, and read or write what it leads to.
        names: [
          { name, follow: false, accesses: WRITE },
          { name: request.to, follow: true, accesses: BOTH, beside: 0 },
        ],
        words: ([link = '', target = '']) => [link, target],
        meaning: { target: request.to },
        alone: true,
        packet: ([link = '']) => packet(FXP.SYMLINK, 0, request.to, link),
      }
  }
}

/** Setting attributes of what is open. */
export const setting = (names: readonly Named[], attributes: Attributes): Operation => ({
  kind: 'setstat',
  names: names.map((named) => ({ ...named, accesses: WRITE })),
  words: (names) => [...names, ...settings(attributes)],
  meaning: { operation: 'fsetstat', attributes: told(attributes) },
  packet: () => Buffer.alloc(0),
})

/** Copying on the host, from one open file into another. */
export const copying = (from: readonly Named[], to: readonly Named[], meaning: Record<string, unknown>): Operation => ({
  kind: 'copy',
  names: [
    ...from.map((named) => ({ ...named, accesses: READ })),
    ...to.map((named) => ({ ...named, accesses: WRITE })),
  ],
  meaning,
  packet: () => Buffer.alloc(0),
})

/** What READ and WRITE of a handle that was opened so are decided by. */
export function accessesOf(flags: number): { reads: boolean; writes: boolean } {
  const { READ, WRITE, APPEND, CREAT, TRUNC, EXCL } = FXF
  // Without either, hosts open for reading.
  const reads = (flags & READ) !== 0 || (flags & WRITE) === 0
  return { reads, writes: (flags & (WRITE | APPEND | CREAT | TRUNC | EXCL)) !== 0 }
}

/**
 * An operation as the gate is asked: each of its names, as it was asked for and as it leads, with each access.
 * @param found.base where the channel begins: whoever is there knows of the directories above
 * @param found.members what moves along, relative to the places
 */
export function askedOf(
  connection: string,
  operation: Operation,
  { base, places, members = [] }: { base: string; places: readonly Place[]; members?: readonly string[] },
): Asked {
  const { kind, words, meaning } = operation
  const names = places.map(shown)
  const along = members.length === 0 ? [] : [`(and ${members.length} in it)`]
  const text = [kind, ...(words?.(names) ?? [...new Set(names)]), ...along].join(' ')
  const asked = [kind, ...places.map(({ asked }) => quoted(asked))].join(' ')
  const command: Effect['command'] = { argv: asked, program: kind, shell: false }
  const effects = new Map<string, Effect>()
  const add = (action: Access, path: string) => {
    const id = `${connection}/${path}`
    effects.set(`${action} ${id}`, { action, resource: { type: 'Path', id, attrs: { path } }, command })
  }
  places.forEach((place, n) => {
    for (const access of operation.names[n]!.accesses) {
      add(access, place.asked)
      add(access, place.path)
      for (const member of members) add(access, `${place.path === '/' ? '' : place.path}/${member}`)
    }
    // Otherwise `DIRECTORY/../known` would tell whether there is such a directory.
    for (const passed of place.passed)
      if (!isWithin(base, passed) && !isWithin(place.path, passed)) add('sftp:read', passed)
  })
  return {
    text,
    kind,
    effects: [...effects.values()],
    meaning: {
      ...meaning,
      places: places.map(({ asked, path }) => [asked, path]),
      ...(members.length > 0 && { members }),
    },
  }
}

/** A name as a shell takes it for itself. */
export const quoted = (name: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`

/** As it is to be sent: a slash at the end says that it must be a directory. */
export const sentAs = ({ path, slashed }: Place): string => (slashed && path !== '/' ? `${path}/` : path)

/** Where a name begins that is relative. */
export const baseOf = ({ beside }: Named, base: string, places: readonly Place[]): string =>
  beside === undefined ? base : parentOf(places[beside]!.path)

function opening({ name, flags, attributes }: Of<'open'>): Operation {
  const { reads, writes } = accessesOf(flags)
  const exclusive = (flags & FXF.CREAT) !== 0 && (flags & FXF.EXCL) !== 0
  const kind = reads && writes ? 'update' : writes ? 'put' : 'get'
  const special = attributes.mode === undefined ? 0 : attributes.mode & 0o7000
  return {
    kind,
    names: [{ name, follow: !exclusive, accesses: reads && writes ? BOTH : writes ? WRITE : READ }],
    ...(special && { words: (names) => [...names, `mode=${octal(attributes.mode!)}`] }),
    meaning: { flags, attributes: told(attributes), ...(writes && { input: 'not shown' }) },
    packet: ([path = '']) => packetWith(FXP.OPEN, 0, [path, flags], attributes.raw),
  }
}

function one(
  kind: string,
  named: Named,
  send: (path: string) => Buffer,
  meaning: Record<string, unknown> = {},
): Operation {
  return { kind, names: [named], meaning, packet: ([path = '']) => send(path) }
}

const shown = ({ asked, path }: Place): string =>
  asked === path ? quoted(asked) : `${quoted(asked)} (${quoted(path)})`

const octal = (mode: number) => (mode & 0o7777).toString(8).padStart(4, '0')

function settings({ size, owner, mode, times }: Attributes): string[] {
  return [
    ...(size === undefined ? [] : [`size=${size}`]),
    ...(owner ? [`owner=${owner.uid}:${owner.gid}`] : []),
    ...(mode === undefined ? [] : [`mode=${octal(mode)}`]),
    ...(times ? [`modified=${new Date(times.modified * 1000).toISOString().replace('.000', '')}`] : []),
  ]
}

/** As the digest has them. */
function told({ size, owner, mode, times }: Attributes): Record<string, unknown> {
  return {
    ...(size !== undefined && { size: String(size) }),
    ...(owner && { owner: `${owner.uid}:${owner.gid}` }),
    ...(mode !== undefined && { mode }),
    ...(times && { times: `${times.accessed} ${times.modified}` }),
  }
}
