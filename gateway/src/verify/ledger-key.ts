import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8 } from '@countersign/contract/ledger/encoding'
import { formatVerifierKey, parseVerifierKey } from '@countersign/contract/ledger/note'
import { printable } from '@countersign/contract/ledger/report-text'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { processTerminal, type Terminal } from '@countersign/contract/node/verify-file'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { LedgerLog } from '../sessions/ledger/log.ts'
import { placeOfData } from './command.ts'
import { isRunning } from './reading.ts'

/** `countersign-gateway ledger show-key`: the verifier key, for people to write down. Sets the exit code. */
export async function showKey(config: string): Promise<void> {
  await withData(config, async (data, terminal) => {
    const file = join(data, 'ledger', 'vkey')
    try {
      const key = parseVerifierKey(nodeCrypto.sha256, (fromUtf8(await readFile(file)) ?? '').trimEnd())
      terminal.out(formatVerifierKey(key))
      return 0
    } catch (error) {
      terminal.err(
        (error as NodeJS.ErrnoException).code === 'ENOENT'
          ? `there is no ledger in ${printable(data)} yet: the gateway makes one, and its key, when it starts`
          : `${printable(file)} can't be used: ${printable((error as Error).message)}`,
      )
      return 1
    }
  })
}

/** `countersign-gateway ledger rotate-key`: entry, new key and handover are on disk when it ends. Sets the exit code. */
export async function rotateKey(config: string, reason: string): Promise<void> {
  await withData(config, async (data, terminal) => {
    if (isRunning(data)) {
      terminal.err(`a gateway is at work on ${printable(data)}, and only one may write its ledger: stop it first`)
      return 1
    }
    const folder = join(data, 'ledger')
    try {
      // Read first: opening a ledger that isn't there would make one.
      await readFile(join(folder, 'vkey'))
      const { log, found } = await LedgerLog.open({ folder, crypto: nodeCrypto })
      try {
        for (const what of found) terminal.err(printable(what))
        terminal.out(log.rotateKey(reason, { kind: 'gateway' }))
      } finally {
        log.close()
      }
      terminal.err(
        'the key was replaced: give the new one to everybody who wrote the old one down (bundles and verify follow from the old one, too)',
      )
      return 0
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        terminal.err(`there is no ledger in ${printable(data)} yet: the gateway makes one, and its key, when it starts`)
      else if (error instanceof LedgerStopped) terminal.err(printable(error.message))
      else throw error
      return 1
    }
  })
}

async function withData(config: string, work: (data: string, terminal: Terminal) => Promise<0 | 1 | 2>): Promise<void> {
  const terminal = processTerminal('countersign-gateway')
  try {
    const place = await placeOfData(config, terminal)
    process.exitCode = place ? await work(place.data, terminal) : 2
  } finally {
    terminal.close()
  }
}
