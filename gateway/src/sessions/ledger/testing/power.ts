import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Disk } from '../disk.ts'

/** The machine stops here: thrown out of whatever the log was doing to its files. */
export class Stopped extends Error {
  override name = 'Stopped'
}

type Node = { kind: 'file'; bytes: Uint8Array; synced: boolean } | Folder
interface Folder {
  kind: 'folder'
  now: Map<string, Node>
  /** As it is on disk. */
  synced: Map<string, Node>
  /** What was done to the names since, in order. */
  pending: ((names: Map<string, Node>) => void)[]
}
const newFolder = (): Folder => ({ kind: 'folder', now: new Map(), synced: new Map(), pending: [] })

/**
 * A disk that remembers what of it would survive. Content survives once it is synced, else any part of it may, with
 * zeroes for the rest; a name survives once its folder is synced, else by chance. So it is for every file but SQLite's,
 * which says itself when a commit is on disk.
 */
export class RememberingDisk implements Disk {
  readonly #root: string
  readonly #disk: Disk
  readonly #top = newFolder()
  /** Operations until it stops, each in its middle or just before it. */
  left = Number.POSITIVE_INFINITY
  operations: string[] = []

  /** What is in the folder now is on disk. */
  constructor(root: string, disk: Disk) {
    this.#root = root
    this.#disk = disk
    mkdirSync(root, { recursive: true, mode: 0o700 })
    load(root, this.#top)
  }

  read = (file: string) => this.#disk.read(file)
  list = (folder: string) => this.#disk.list(folder)

  create(file: string, bytes: Uint8Array): void {
    this.#step(`create ${this.#relative(file)}`)
    const existed = this.#disk.read(file) !== undefined
    const node: Node = { kind: 'file', bytes, synced: false }
    if (!existed) this.#change(file, (names) => names.set(basename(file), node))
    this.#disk.create(file, bytes)
    this.#step(`sync ${this.#relative(file)}`)
    node.synced = true
  }
  rename(from: string, to: string): void {
    this.#step(`rename ${this.#relative(from)} ${this.#relative(to)}`)
    this.#disk.rename(from, to)
    const node = this.#folder(dirname(from)).now.get(basename(from))!
    this.#change(from, (names) => {
      if (names.get(basename(from)) === node) names.delete(basename(from))
      names.set(basename(to), node)
    })
  }
  remove(path: string): void {
    this.#step(`remove ${this.#relative(path)}`)
    this.#disk.remove(path)
    this.#change(path, (names) => names.delete(basename(path)))
  }
  makeFolder(folder: string): boolean {
    this.#step(`make ${this.#relative(folder)}`)
    const made = this.#disk.makeFolder(folder)
    const node = newFolder()
    if (made) this.#change(folder, (names) => names.set(basename(folder), node))
    return made
  }
  syncFolder(folder: string): void {
    this.#step(`syncFolder ${this.#relative(folder)}`)
    this.#disk.syncFolder(folder)
    const node = this.#folder(folder)
    node.synced = new Map(node.now)
    node.pending = []
  }

  /** Writes what would be there after a power cut. @param chance from 0 to 1 */
  survive(target: string, chance: () => number): void {
    write(this.#top, target, chance)
  }

  #step(operation: string): void {
    this.operations.push(operation)
    if (this.left-- <= 0) throw new Stopped(operation)
  }
  #change(path: string, change: (names: Map<string, Node>) => void): void {
    const folder = this.#folder(dirname(path))
    change(folder.now)
    folder.pending.push(change)
  }
  #folder(path: string): Folder {
    if (path === this.#root) return this.#top
    const node = this.#folder(dirname(path)).now.get(basename(path))
    if (node?.kind !== 'folder') throw new Error(`${path} is not there`)
    return node
  }
  #relative(path: string): string {
    return path.slice(this.#root.length + 1)
  }
}

function load(path: string, folder: Folder): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const at = join(path, entry.name)
    if (/^(entries\.sqlite|lock)/.test(entry.name)) continue
    let node: Node
    if (entry.isDirectory()) {
      node = newFolder()
      load(at, node)
    } else node = { kind: 'file', bytes: readFileSync(at), synced: true }
    folder.now.set(entry.name, node)
    folder.synced.set(entry.name, node)
  }
}

function write(folder: Folder, target: string, chance: () => number): void {
  mkdirSync(target, { recursive: true, mode: 0o700 })
  const names = new Map(folder.synced)
  for (const change of folder.pending) if (chance() < 0.5) change(names)
  for (const [name, node] of names) {
    if (node.kind === 'folder') write(node, join(target, name), chance)
    else {
      const { bytes, synced } = node
      const kept = Math.floor(chance() * (bytes.length + 1))
      const torn = Buffer.concat([bytes.subarray(0, kept), Buffer.alloc(chance() < 0.5 ? bytes.length - kept : 0)])
      writeFileSync(join(target, name), synced ? bytes : torn, { mode: 0o600 })
    }
  }
}

const WAL_HEADER = 32
const SECTOR = 512

/**
 * entries.sqlite as it is after a power cut in the middle of a commit: of what that has added to the write-ahead log any
 * sectors are there, zeroes or nothing in the place of the others.
 * @param before the folder before the commit, after which all was on disk; `after` the folder after it
 */
export function tornCommit(before: string, after: string, target: string, chance: () => number): void {
  cpSync(join(before, 'entries.sqlite'), join(target, 'entries.sqlite'))
  const old = readFileSync(join(before, 'entries.sqlite-wal'))
  const wal = Buffer.from(readFileSync(join(after, 'entries.sqlite-wal')))
  const same = old.subarray(0, WAL_HEADER).equals(wal.subarray(0, WAL_HEADER)) && wal.length >= old.length
  if (!same && old.length > 0) throw new Error('the write-ahead log was begun anew: this is not what it is for')
  const end = old.length + Math.floor(chance() * (wal.length - old.length + 1))
  for (let at = old.length; at < end; at += SECTOR) if (chance() < 0.2) wal.fill(0, at, Math.min(at + SECTOR, end))
  writeFileSync(join(target, 'entries.sqlite-wal'), wal.subarray(0, end))
}
