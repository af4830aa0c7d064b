import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8 } from '@countersign/contract/ledger/encoding'
import type { Findings } from '@countersign/contract/ledger/findings'
import {
  formatVerifierKey,
  keyLabel,
  openNote,
  parseSignerKey,
  parseVerifierKey,
  sameKey,
  type VerifierKey,
} from '@countersign/contract/ledger/note'
import type { LedgerCrypto, LedgerSigning } from '@countersign/contract/ledger/ports'
import type { LogMemory } from './log-rows.ts'

/**
 * The files that name the log's keys, against the chain of keys that the log remembers. They prove nothing about
 * entries, but one that was replaced is what people would be given, or what the gateway would sign with.
 */
export async function checkKeys(room: {
  folder: string
  crypto: LedgerCrypto & LedgerSigning
  memory: LogMemory
  pinned: readonly VerifierKey[]
  found: Findings
}): Promise<void> {
  const { folder, crypto, memory, pinned, found } = room
  const chain: VerifierKey[] = []
  for (const text of memory.keys)
    try {
      chain.push(parseVerifierKey(crypto.sha256, text))
    } catch (error) {
      found.wrong('meta', { row: 'meta/log.keys' }, `row meta/log.keys was changed: ${(error as Error).message}`)
    }
  const current = chain.at(-1)
  if (!current) {
    found.wrong('meta', { row: 'meta/log.keys' }, 'row meta/log.keys names no key: the log does not know who signs it')
    return
  }
  const stranger = pinned.find((key) => !chain.some((one) => sameKey(one, key)))
  if (stranger)
    found.wrong(
      'key-replaced',
      { row: 'meta/log.keys' },
      `the key was replaced: this ledger is signed by ${keyLabel(current)}, and ${keyLabel(stranger)}, which you trust, was never one of its keys`,
    )
  if (memory.signed !== undefined) checkSigned(memory.signed, chain, room)
  for (const { entry, note } of memory.handovers)
    if ((await textOf(join(folder, 'handover', String(entry)))) !== note)
      found.wrong(
        'handover',
        { tile: `handover/${entry}` },
        `ledger/handover/${entry} is not the checkpoint by which the key was handed over, as row meta/log.keys has it: one of the two was changed`,
      )
  const vkey = await textOf(join(folder, 'vkey'))
  if (vkey === undefined)
    found.missing('key-file', { tile: 'vkey' }, 'ledger/vkey is not there: the next start writes it anew')
  else if (vkey !== `${formatVerifierKey(current)}\n` && !handsOver(vkey, chain))
    found.wrong(
      'key-file',
      { tile: 'vkey' },
      `ledger/vkey was changed: it is not ${keyLabel(current)}, which signs this ledger`,
    )
  await checkSigner(room, current, chain)
}

/** What the log remembers to have signed counts as seen before: it must be what it has signed. */
function checkSigned(note: string, chain: readonly VerifierKey[], { crypto, found }: Parameters<typeof checkKeys>[0]) {
  try {
    openNote(crypto, note, chain)
  } catch (error) {
    found.wrong(
      'meta',
      { row: 'meta/log.signed' },
      `row meta/log.signed was changed: it is no checkpoint of this log (${(error as Error).message})`,
    )
  }
}

/** While a key is handed over, the file may still be that of the one before. */
const handsOver = (vkey: string, chain: readonly VerifierKey[]) =>
  chain.length > 1 && vkey === `${formatVerifierKey(chain.at(-2)!)}\n`

/** The signer's key is not everybody's to read: then nothing is said of it. */
async function checkSigner(
  { folder, crypto, found }: Parameters<typeof checkKeys>[0],
  current: VerifierKey,
  chain: readonly VerifierKey[],
): Promise<void> {
  let text: string | undefined
  try {
    text = await textOf(join(folder, 'key'))
  } catch (error) {
    if (/^(EACCES|EPERM)$/.test((error as NodeJS.ErrnoException).code ?? '')) return
    throw error
  }
  const where = { tile: 'key' }
  if (text === undefined) {
    found.missing(
      'key-file',
      where,
      'ledger/key is not there: the gateway can’t go on with this ledger; put its copy back',
    )
    return
  }
  try {
    const key = parseSignerKey(crypto, text.trimEnd())
    if (text !== `${text.trimEnd()}\n`) throw new Error('it does not end as it was written')
    if (![current, chain.at(-2)].some((one) => one && sameKey(one, key)))
      found.wrong(
        'key-file',
        where,
        `ledger/key was replaced: it is not the key of ${keyLabel(current)}, which signs this ledger`,
      )
  } catch (error) {
    found.wrong('key-file', where, `ledger/key was changed: ${(error as Error).message}`)
  }
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return fromUtf8(await readFile(file)) ?? '\ufffd'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
