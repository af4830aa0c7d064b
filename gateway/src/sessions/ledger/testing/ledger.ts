import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LogReport, verifyLog } from '@countersign/contract/ledger/log-verify'
import { parseVerifierKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import type { Disk } from '../disk.ts'
import { ledgerReader } from '../entries.ts'
import { LedgerLog, type NewLedgerEntry } from '../log.ts'

export const origin = 'gw.example.com/ledger'
export const gateway = { kind: 'gateway' } as const

export const openLedger = (folder: string, disk?: Disk) =>
  LedgerLog.open({ folder, origin, crypto: nodeCrypto, ...(disk && { disk }) })

/** What a verifier says who has pinned this key, and has seen these checkpoints. */
export async function verified(folder: string, vkey: string, seen: readonly string[] = []): Promise<LogReport> {
  using reader = ledgerReader(folder)
  return await verifyLog(nodeCrypto, reader, { keys: [parseVerifierKey(nodeCrypto.sha256, vkey)], seen })
}

export const codes = (report: LogReport) => report.findings.map(({ code }) => code)

let made = 0
/** An entry that no other is like. */
export function entry(more: Partial<NewLedgerEntry> = {}): NewLedgerEntry {
  made++
  return {
    at: new Date(Date.UTC(2026, 10, 21, 10) + made).toISOString(),
    type: 'sign-in',
    payload: { outcome: 'ok', via: 'api', reason: `unlike any other ${made}` },
    ...more,
  }
}

export function fill(log: LedgerLog, count: number, more: Partial<NewLedgerEntry> = {}): void {
  for (let i = 0; i < count; i++) log.add(entry(more))
  log.commit()
}

export function temporaryFolder(): Disposable & { path: string; at(...names: string[]): string } {
  const path = mkdtempSync(join(tmpdir(), 'countersign-ledger-'))
  return {
    path,
    at: (...names) => join(path, ...names),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
