import { posix } from 'node:path'
import type { Attributes, FileEntry, SFTPWrapper, Stats } from 'ssh2'
import { HOME, type Machine, USER } from './machine.ts'

/** SFTP v3 status codes (draft-ietf-secsh-filexfer-02, section 7). */
const OK = 0
const EOF = 1
const NO_SUCH_FILE = 2
const FAILURE = 4
const UNSUPPORTED = 8
/** Flags of an open (section 6.3). */
const WRITES = 0x02
const APPENDS = 0x04
const CREATES = 0x08
const TRUNCATES = 0x10
const EXCLUSIVELY = 0x20
/** The kinds of a file in its mode, as POSIX has them. */
const kinds = { isDirectory: 0o040000, isSymbolicLink: 0o120000, isFile: 0o100000 }
/** Larger files than anybody puts on a made-up host. */
const MOST = 64 << 20

type Handle =
  | { is: 'file'; path: string; bytes: Buffer; changed: boolean; appends: boolean }
  | { is: 'folder'; left: FileEntry[] }

/** Serves the machine's files by SFTP. */
export function serveFiles(sftp: SFTPWrapper, { files }: Machine): void {
  const handles = new Map<number, Handle>()
  let last = 0
  const at = (path: string) => posix.resolve(HOME, path)
  const opened = (handle: Handle): Buffer => {
    handles.set(++last, handle)
    const name = Buffer.alloc(4)
    name.writeUInt32BE(last)
    return name
  }
  const handleOf = (name: Buffer) => (name.length === 4 ? handles.get(name.readUInt32BE()) : undefined)
  const attributesOf = async (path: string, how: 'stat' | 'lstat'): Promise<Attributes> => {
    const { isDirectory, isSymbolicLink, mode, size, mtime } = await files[how](path)
    const kind = isDirectory ? kinds.isDirectory : isSymbolicLink ? kinds.isSymbolicLink : kinds.isFile
    const seconds = Math.floor(mtime.getTime() / 1000)
    return { mode: kind | (mode & 0o7777), uid: 1000, gid: 1000, size, atime: seconds, mtime: seconds }
  }
  /** Answers a request by what the work answers; what it throws is told as the failure that it is. */
  const answer = (id: number, work: () => Promise<void>) => {
    work().catch((error: Error) =>
      sftp.status(id, /ENOENT|no such file/i.test(error.message) ? NO_SUCH_FILE : FAILURE, error.message),
    )
  }
  const done = (id: number, work: () => Promise<unknown>) =>
    answer(id, async () => {
      await work()
      sftp.status(id, OK)
    })

  sftp.on('OPEN', (id, name, flags) =>
    answer(id, async () => {
      const path = at(name)
      const there = await files.exists(path)
      if (there && (await files.stat(path)).isDirectory) throw new Error('it is a folder')
      if (there && flags & EXCLUSIVELY) throw new Error('it exists')
      if (!there && !(flags & CREATES)) return void sftp.status(id, NO_SUCH_FILE)
      if (!there) await files.writeFile(path, '')
      const empty = !there || (flags & TRUNCATES) !== 0
      const bytes = empty ? Buffer.alloc(0) : Buffer.from(await files.readFileBuffer(path))
      const changed = empty && (flags & WRITES) !== 0
      sftp.handle(id, opened({ is: 'file', path, bytes, changed, appends: (flags & APPENDS) !== 0 }))
    }),
  )
  sftp.on('READ', (id, name, offset, length) => {
    const handle = handleOf(name)
    if (handle?.is !== 'file') return sftp.status(id, FAILURE)
    if (offset >= handle.bytes.length) return sftp.status(id, EOF)
    sftp.data(id, handle.bytes.subarray(offset, offset + Math.min(length, 256 << 10)))
  })
  sftp.on('WRITE', (id, name, offset, piece) => {
    const handle = handleOf(name)
    const from = handle?.is === 'file' && handle.appends ? handle.bytes.length : offset
    if (handle?.is !== 'file' || from + piece.length > MOST) return sftp.status(id, FAILURE)
    if (from + piece.length > handle.bytes.length) {
      const longer = Buffer.alloc(from + piece.length)
      handle.bytes.copy(longer)
      handle.bytes = longer
    }
    piece.copy(handle.bytes, from)
    handle.changed = true
    sftp.status(id, OK)
  })
  sftp.on('CLOSE', (id, name) => {
    const handle = handleOf(name)
    if (!handle) return sftp.status(id, FAILURE)
    handles.delete(name.readUInt32BE())
    done(id, async () => {
      if (handle.is === 'file' && handle.changed) await files.writeFile(handle.path, handle.bytes)
    })
  })
  sftp.on('OPENDIR', (id, name) =>
    answer(id, async () => {
      const path = at(name)
      const left: FileEntry[] = []
      for (const filename of ['.', '..', ...(await files.readdir(path))]) {
        const attrs = await attributesOf(posix.join(path, filename), 'lstat')
        left.push({ filename, longname: longName(filename, attrs), attrs })
      }
      sftp.handle(id, opened({ is: 'folder', left }))
    }),
  )
  sftp.on('READDIR', (id, name) => {
    const handle = handleOf(name)
    if (handle?.is !== 'folder') return sftp.status(id, FAILURE)
    const some = handle.left.splice(0, 100)
    if (some.length === 0) return sftp.status(id, EOF)
    sftp.name(id, some)
  })
  sftp.on('STAT', (id, name) => answer(id, async () => sftp.attrs(id, await attributesOf(at(name), 'stat'))))
  sftp.on('LSTAT', (id, name) => answer(id, async () => sftp.attrs(id, await attributesOf(at(name), 'lstat'))))
  sftp.on('FSTAT', (id, name) => {
    const handle = handleOf(name)
    if (handle?.is !== 'file') return sftp.status(id, FAILURE)
    const { path, bytes } = handle
    answer(id, async () => sftp.attrs(id, { ...(await attributesOf(path, 'stat')), size: bytes.length }))
  })
  const change = async (path: string, { mode, mtime, atime }: Attributes) => {
    if (mode !== undefined) await files.chmod(path, mode & 0o7777)
    if (mtime !== undefined) await files.utimes(path, new Date(Number(atime) * 1000), new Date(Number(mtime) * 1000))
  }
  sftp.on('SETSTAT', (id, name, attrs) => done(id, () => change(at(name), attrs)))
  sftp.on('FSETSTAT', (id, name, attrs) => {
    const handle = handleOf(name)
    if (handle?.is !== 'file') return sftp.status(id, FAILURE)
    done(id, () => change(handle.path, attrs))
  })
  sftp.on('REMOVE', (id, name) => done(id, () => files.rm(at(name))))
  sftp.on('RMDIR', (id, name) =>
    done(id, async () => {
      if ((await files.readdir(at(name))).length > 0) throw new Error('it is not empty')
      await files.rm(at(name), { recursive: true })
    }),
  )
  sftp.on('MKDIR', (id, name) => done(id, () => files.mkdir(at(name))))
  sftp.on('RENAME', (id, from, to) =>
    done(id, async () => {
      if (await files.exists(at(to))) throw new Error('it exists')
      await files.mv(at(from), at(to))
    }),
  )
  sftp.on('SYMLINK', (id, to, name) => done(id, () => files.symlink(to, at(name))))
  sftp.on('READLINK', (id, name) => answer(id, async () => sftp.name(id, [plainly(await files.readlink(at(name)))])))
  sftp.on('REALPATH', (id, name) =>
    answer(id, async () => {
      const path = at(name)
      sftp.name(id, [plainly((await files.exists(path)) ? await files.realpath(path) : path)])
    }),
  )
  sftp.on('end', () => {
    // ssh2 tells no exit status of its own sftp; scp takes a silent end for a failure.
    const { _protocol, outgoing } = sftp as unknown as Inside
    _protocol.exitStatus(outgoing.id, 0)
    sftp.end()
  })
  sftp.on('EXTENDED', (id) => sftp.status(id, UNSUPPORTED))
}

/** What ssh2 1.17 holds in it. */
interface Inside {
  _protocol: { exitStatus(channel: number, status: number): void }
  outgoing: { id: number }
}

const plainly = (filename: string): FileEntry => ({ filename, longname: filename, attrs: {} as Stats })

/** As `ls -l` writes it. */
function longName(name: string, { mode, size, mtime }: Attributes): string {
  const kind = (mode & 0o170000) === kinds.isDirectory ? 'd' : (mode & 0o170000) === kinds.isSymbolicLink ? 'l' : '-'
  const bits = [...'rwxrwxrwx'].map((letter, n) => ((mode >> (8 - n)) & 1 ? letter : '-')).join('')
  const at = new Date(mtime * 1000)
  const month = at.toLocaleString('en', { month: 'short', timeZone: 'UTC' })
  const when = `${month} ${String(at.getUTCDate()).padStart(2)} ${at.toISOString().slice(11, 16)}`
  return `${kind}${bits}    1 ${USER.padEnd(8)} ${USER.padEnd(8)} ${String(size).padStart(8)} ${when} ${name}`
}
