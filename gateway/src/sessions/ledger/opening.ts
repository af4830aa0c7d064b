import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { LedgerHead } from '@countersign/contract/evidence'
import { type Checkpoint, openCheckpoint, readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { fromUtf8, utf8 } from '@countersign/contract/ledger/encoding'
import { LedgerError } from '@countersign/contract/ledger/errors'
import {
  formatVerifierKey,
  parseVerifierKey,
  type SignerKey,
  type VerifierKey,
} from '@countersign/contract/ledger/note'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import Database from 'better-sqlite3'
import { type Disk, replaceFile } from './disk.ts'
import { type KeyLink, newKey, readKey, writeKey, writeVerifierKey } from './key.ts'
import { LedgerStopped } from './ledger.ts'
import type { LogOptions, LogParts } from './log.ts'
import { restore } from './restore.ts'
import { EntryRows } from './rows.ts'
import { TileFolder } from './tile-folder.ts'

type Opening = LogOptions & { origin: string; disk: Disk }

/**
 * Takes the folder, finds out which keys sign, what was signed last, and where the entries end.
 * @throws LedgerStopped, or what the disk says
 */
export async function openLog(options: Opening): Promise<{ parts: LogParts; found: string[] }> {
  const { folder, crypto, disk } = options
  const found: string[] = []
  const lock = takeLock(folder)
  let rows: EntryRows | undefined
  try {
    rows = new EntryRows(join(folder, 'entries.sqlite'), crypto.sha256)
    const tiles = new TileFolder(disk, folder)
    const { keys, signer, replaced } = signers(options, rows, found)
    const verifiers = keys.map(({ vkey }) => parseVerifierKey(crypto.sha256, vkey))
    const head = lastHead(options, rows, verifiers, found)
    const growing = await restore(
      crypto.sha256,
      { rows, tiles, head: head && readCheckpoint(head.note) },
      (what) => void found.push(what),
    )
    writeVerifierKey(disk, folder, signer)
    return {
      parts: { options, rows, tiles, growing, head, keys, signer, ...(replaced && { replaced }), lock },
      found,
    }
  } catch (error) {
    rows?.close()
    lock.close()
    throw error
  }
}

/** One writer: SQLite's lock on a file of its own, which the system drops however the process ends. */
function takeLock(folder: string): Database.Database {
  let lock: Database.Database | undefined
  try {
    closeSync(openSync(join(folder, 'lock'), 'a', 0o600))
    lock = new Database(join(folder, 'lock'), { timeout: 0 })
    lock.pragma('journal_mode = DELETE')
    lock.exec('begin exclusive')
    return lock
  } catch (error) {
    lock?.close()
    if (/^SQLITE_(BUSY|LOCKED)/.test((error as { code?: string }).code ?? ''))
      throw new LedgerStopped(`Another process writes the ledger in ${folder}: stop it`)
    throw error
  }
}

interface Signers {
  keys: KeyLink[]
  signer: SignerKey
  replaced?: SignerKey
}

/** The chain of keys, and the one in force; at the first start it is made. */
function signers(options: Opening, rows: EntryRows, found: string[]): Signers {
  const { folder, crypto, disk } = options
  const file = join(folder, 'key')
  const next = join(folder, 'key.next')
  const key = readKey(crypto, disk, file)
  const chain: KeyLink[] = JSON.parse((rows.meta('log.keys') as string | undefined) ?? '[]')
  if (chain.length === 0) {
    const begun = rows.count() > 0 || disk.read(join(folder, 'checkpoint')) !== undefined
    if (begun)
      throw new LedgerStopped(
        `The ledger can't go on: ${folder} has a ledger, but its entries.sqlite does not know by which keys it was signed: put back the newest copy of entries.sqlite and entries.sqlite-wal. If there is none, move data/ledger away (it stays as verifiable as it is) and a new ledger begins`,
      )
    const signer = key ?? newKey(crypto, options.origin)
    if (!key) writeKey(disk, file, signer)
    const keys = [{ vkey: formatVerifierKey(signer) }]
    rows.write({ entries: [], tails: new Map(), meta: new Map([['log.keys', JSON.stringify(keys)]]) })
    return { keys, signer }
  }
  const is = (one: SignerKey | undefined, link: KeyLink | undefined) =>
    one !== undefined && link !== undefined && formatVerifierKey(one) === link.vkey
  const last = chain.at(-1)!
  keepHandovers(options, rows, chain, found)
  if (is(key, last)) {
    // One that was to follow, and whose entry was never written.
    disk.remove(next)
    if (chain.length === 1 || last.handover) return { keys: chain, signer: key! }
  }
  const following = readKey(crypto, disk, next)
  if (is(key, chain.at(-2)) && is(following, last)) {
    found.push('a key was being replaced when the gateway ended: it has been now')
    return { keys: chain, signer: following!, replaced: key! }
  }
  throw new LedgerStopped(
    `The ledger can't be signed: ${file} ${key ? `holds the key ${formatVerifierKey(key)}` : 'is not there'}, but this ledger is signed by ${last.vkey}. Put back the copy that was made of its key. If there is none, move data/ledger away (it stays as verifiable as it is) and a new ledger begins`,
  )
}

/** Handovers are in files for others, and in the database, since nobody can make them again: each is put back from the other. */
function keepHandovers({ folder, crypto, disk }: Opening, rows: EntryRows, chain: KeyLink[], found: string[]): void {
  let learned = false
  chain.forEach((link, at) => {
    if (at === 0) return
    const file = join(folder, 'handover', String(link.entry))
    const bytes = disk.read(file)
    const text = bytes && fromUtf8(bytes)
    const both = [chain[at - 1]!, link].map(({ vkey }) => parseVerifierKey(crypto.sha256, vkey))
    const good = (note: string | undefined) => note !== undefined && signedBy(crypto, note, both) === 2
    if (!link.handover && good(text)) {
      link.handover = text!
      learned = true
    } else if (link.handover && text !== link.handover) {
      found.push(`handover/${link.entry} was damaged or missing: put back`)
      disk.makeFolder(join(folder, 'handover'))
      disk.syncFolder(folder)
      replaceFile(disk, file, utf8(link.handover))
    }
  })
  if (learned) rows.write({ entries: [], tails: new Map(), meta: new Map([['log.keys', JSON.stringify(chain)]]) })
}

function signedBy(crypto: LedgerCrypto, note: string, keys: readonly VerifierKey[]): number {
  try {
    return openCheckpoint(crypto, note, keys).signed.length
  } catch {
    return 0
  }
}

/** The newest checkpoint that this log has signed. A file that is torn or gone, or an older one, is put back as it was. */
function lastHead(
  { folder, crypto, disk }: Opening,
  rows: EntryRows,
  keys: readonly VerifierKey[],
  found: string[],
): LedgerHead | undefined {
  const file = join(folder, 'checkpoint')
  const remembered = rows.meta('log.signed') as string | undefined
  const bytes = disk.read(file)
  const there = bytes && readable(bytes)
  const putBack = (why: string) => {
    if (remembered === undefined) {
      if (bytes || rows.count() > 0) found.push(`the checkpoint ${why}: signed anew`)
      return undefined
    }
    found.push(`the checkpoint ${why}: put back`)
    replaceFile(disk, file, utf8(remembered))
    return headOf(readCheckpoint(remembered), remembered)
  }
  if (!bytes) return putBack('was gone')
  if (!there) return putBack('was damaged')
  const note = fromUtf8(bytes)!
  try {
    openCheckpoint(crypto, note, keys)
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error
    throw new LedgerStopped(
      `The ledger can't go on: its checkpoint is not one that it has signed (${error.message}). Put back the newest copy of ${file}, or remove it: then it is made from the entries`,
      { cause: error },
    )
  }
  if (remembered === undefined) return headOf(there, note)
  const known = readCheckpoint(remembered)
  if (known.size > there.size)
    return putBack(`was of ${there.size} entries, though one of ${known.size} had been signed`)
  return headOf(there, note)
}

const headOf = ({ origin, size }: Checkpoint, note: string): LedgerHead => ({ origin, size, note })

function readable(bytes: Uint8Array): Checkpoint | undefined {
  try {
    return readCheckpoint(bytes)
  } catch (error) {
    if (error instanceof LedgerError) return undefined
    throw error
  }
}
