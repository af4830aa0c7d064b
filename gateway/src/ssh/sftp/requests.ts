import { isUtf8 } from 'node:buffer'
import { type Attributes, Fields, FXF, FXP, idOf, Malformed } from './wire.ts'

/** What a client asks for, by the names in its packet. Handles are bytes, as one character each. */
export type Request = { id: number; packet: Buffer } & (
  | { op: 'open'; name: string; flags: number; attributes: Attributes }
  | { op: NameOp; name: string }
  | { op: 'expand-path'; name: string }
  | { op: 'mkdir' | 'setstat' | 'lsetstat'; name: string; attributes: Attributes }
  /** `extension` where it is not SFTP's own rename, which replaces nothing. */
  | { op: 'rename'; name: string; to: string; extension?: string }
  | { op: 'hardlink'; name: string; to: string }
  /** `name` is the link that is made, `to` what it says. */
  | { op: 'symlink'; name: string; to: string }
  | { op: HandleOp; handle: string }
  | { op: 'read'; handle: string; offset: number; length: number }
  | { op: 'write'; handle: string; offset: number; data: Buffer }
  | { op: 'fsetstat'; handle: string; attributes: Attributes }
  | { op: 'copy'; handle: string; offset: number; length: number; to: string; toOffset: number }
  | { op: 'limits' }
  /** Names of accounts by their numbers. */
  | { op: 'accounts' }
  /** What isn't served: an extension, or a type, by its name. */
  | { op: 'unknown'; what: string }
  /** What can't be decided on, as people may read it, and why. */
  | { op: 'unfit'; what: string; why: string }
)
export type NameOp = 'stat' | 'lstat' | 'opendir' | 'remove' | 'rmdir' | 'readlink' | 'realpath' | 'statvfs'
export type HandleOp = 'close' | 'readdir' | 'fstat' | 'fstatvfs' | 'fsync'
export type Of<Op extends Request['op']> = Extract<Request, { op: Op }>

/** Extensions that are served, with the version of each that is (OpenSSH's PROTOCOL, section 4). */
export const extensions: ReadonlyMap<string, string> = new Map([
  ['posix-rename@openssh.com', '1'],
  ['statvfs@openssh.com', '2'],
  ['fstatvfs@openssh.com', '2'],
  ['hardlink@openssh.com', '1'],
  ['fsync@openssh.com', '1'],
  ['lsetstat@openssh.com', '1'],
  ['limits@openssh.com', '1'],
  ['expand-path@openssh.com', '1'],
  ['copy-data', '1'],
  ['users-groups-by-id@openssh.com', '1'],
])

/** PATH_MAX of Linux, with what a host may put before a relative name. */
const LONGEST_NAME = 4096
/** Of a name that is refused people are shown so many bytes. */
const LONGEST_SHOWN = 300
/** SFTP knows no longer one (draft, section 6.2). */
export const LONGEST_HANDLE = 256

/** A name that can't be decided on, found while a packet is read. */
class Unfit extends Error {
  readonly of: string
  constructor(message: string, of = '') {
    super(message)
    this.of = of
  }
}

const nameOps: ReadonlyMap<number, NameOp> = new Map([
  [FXP.STAT, 'stat'],
  [FXP.LSTAT, 'lstat'],
  [FXP.OPENDIR, 'opendir'],
  [FXP.REMOVE, 'remove'],
  [FXP.RMDIR, 'rmdir'],
  [FXP.READLINK, 'readlink'],
  [FXP.REALPATH, 'realpath'],
])
const handleOps: ReadonlyMap<number, HandleOp> = new Map([
  [FXP.CLOSE, 'close'],
  [FXP.READDIR, 'readdir'],
  [FXP.FSTAT, 'fstat'],
])

/** Types of requests as the draft names them. */
const names: ReadonlyMap<number, string> = new Map(
  Object.entries(FXP).map(([name, type]) => [type, name.toLowerCase()]),
)

/** @throws Malformed for a packet that is none: nothing that follows can be trusted to be what it looks like */
export function requestOf(packet: Buffer): Request {
  const id = idOf(packet)
  const fields = new Fields(packet, 9)
  try {
    return { id, packet, ...read(packet[4]!, fields) } as Request
  } catch (error) {
    if (error instanceof Unfit) {
      const type = names.get(packet[4]!) ?? 'request'
      return { id, packet, op: 'unfit', what: [type, error.of].join(' ').trim(), why: error.message }
    }
    throw error
  }
}

type Bare = Request extends infer R ? (R extends unknown ? Omit<R, 'id' | 'packet'> : never) : never

function read(type: number, fields: Fields): Bare {
  const whole = <T extends Bare>(request: T): T => {
    fields.end()
    return request
  }
  const nameOp = nameOps.get(type)
  if (nameOp) return whole({ op: nameOp, name: name(fields) })
  const handleOp = handleOps.get(type)
  if (handleOp) return whole({ op: handleOp, handle: handle(fields) })
  switch (type) {
    case FXP.READ:
      return whole({ op: 'read', handle: handle(fields), offset: fields.offset(), length: fields.u32() })
    case FXP.WRITE:
      return whole({ op: 'write', handle: handle(fields), offset: fields.offset(), data: fields.bytes() })
    case FXP.OPEN:
      return whole({ op: 'open', name: name(fields), flags: flags(fields), attributes: attributes(fields) })
    case FXP.MKDIR:
      return whole({ op: 'mkdir', name: name(fields), attributes: attributes(fields) })
    case FXP.SETSTAT:
      return whole({ op: 'setstat', name: name(fields), attributes: attributes(fields) })
    case FXP.FSETSTAT:
      return whole({ op: 'fsetstat', handle: handle(fields), attributes: attributes(fields) })
    case FXP.RENAME:
      return whole({ op: 'rename', name: name(fields), to: name(fields) })
    case FXP.SYMLINK: {
      // OpenSSH has them the other way round than the draft, and so has everybody since.
      const to = name(fields)
      return whole({ op: 'symlink', to, name: name(fields) })
    }
    case FXP.EXTENDED:
      return extended(fields.word(), fields, whole)
    default:
      return { op: 'unknown', what: `request ${type}` }
  }
}

function extended(extension: string, fields: Fields, whole: <T extends Bare>(request: T) => T): Bare {
  switch (extension) {
    case 'posix-rename@openssh.com':
      return whole({ op: 'rename', name: name(fields), to: name(fields), extension })
    case 'hardlink@openssh.com':
      return whole({ op: 'hardlink', name: name(fields), to: name(fields) })
    case 'lsetstat@openssh.com':
      return whole({ op: 'lsetstat', name: name(fields), attributes: attributes(fields) })
    case 'statvfs@openssh.com':
      return whole({ op: 'statvfs', name: name(fields) })
    case 'expand-path@openssh.com':
      return whole({ op: 'expand-path', name: name(fields) })
    case 'fstatvfs@openssh.com':
      return whole({ op: 'fstatvfs', handle: handle(fields) })
    case 'fsync@openssh.com':
      return whole({ op: 'fsync', handle: handle(fields) })
    case 'limits@openssh.com':
      return whole({ op: 'limits' })
    case 'users-groups-by-id@openssh.com':
      fields.bytes()
      fields.bytes()
      return whole({ op: 'accounts' })
    case 'copy-data': {
      const [from, offset, length] = [handle(fields), fields.offset(), fields.offset()]
      return whole({ op: 'copy', handle: from, offset, length, to: handle(fields), toOffset: fields.offset() })
    }
    default:
      return { op: 'unknown', what: `extension ${extension.slice(0, 64)}` }
  }
}

function name(fields: Fields): string {
  const bytes = fields.bytes()
  const shown = () => bytes.subarray(0, LONGEST_SHOWN).toString().replaceAll('\0', '\ufffd')
  if (bytes.length > LONGEST_NAME) throw new Unfit(`its name is longer than ${LONGEST_NAME} bytes`, shown())
  // Policy's strings are Unicode: of other bytes it would decide on something else than what the host is given.
  if (!isUtf8(bytes)) throw new Unfit('its name is not valid UTF-8', shown())
  if (bytes.includes(0)) throw new Unfit('its name holds a NUL byte', shown())
  return bytes.toString()
}

function handle(fields: Fields): string {
  const text = fields.word()
  if (text.length > LONGEST_HANDLE) throw new Malformed('a handle that is longer than handles are')
  return text
}

function flags(fields: Fields): number {
  const flags = fields.u32()
  const known = FXF.READ | FXF.WRITE | FXF.APPEND | FXF.CREAT | FXF.TRUNC | FXF.EXCL
  if ((flags & ~known) !== 0) throw new Unfit('it is opened in a way that version 3 of SFTP does not have')
  return flags
}

function attributes(fields: Fields): Attributes {
  const attributes = fields.attributes()
  if (attributes.more) throw new Unfit('it sets extended attributes, which are not served here')
  return attributes
}
