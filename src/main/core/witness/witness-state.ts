import type { LedgerState } from '@countersign/contract/evidence'
import { LedgerError } from '@countersign/contract/ledger/errors'
import { claimedSigners } from '@countersign/contract/ledger/key-chain'
import { keyLabel, openNote, parseNote, parseVerifierKey, type VerifierKey } from '@countersign/contract/ledger/note'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import type { SeenCheckpoint, WitnessState, WitnessStatus } from '../../../witness-api.ts'
import type { BundleDesk } from './bundle-desk.ts'
import type { CheckpointRow, LogRow, WitnessStore } from './witness-store.ts'

/** How many checkpoints a snapshot has; older ones are asked for. */
const shown = 100

/** What is witnessed, as screens show it. */
export function stateOf(of: {
  crypto: LedgerCrypto
  store: WitnessStore
  gateway: string | null
  status: WitnessStatus
  ledger: LedgerState | undefined
  cosigning: { possible: boolean; problem: string | null }
  bundles: BundleDesk
}): WitnessState {
  const { crypto, store, gateway, ledger } = of
  const log = gateway === null ? undefined : store.logOf(gateway)
  const own = store.kept('cosignature-vkey') ?? null
  const [size, at] = (log && store.kept(`cosigned ${log.id}`)?.split(' ')) ?? []
  return {
    gateway,
    status: of.status,
    log: log ? logState(store, log) : null,
    checkpoints: log ? seenCheckpoints(crypto, store, log, ledger, shown) : [],
    alarms: store.alarms(),
    witnesses: (ledger?.witnesses ?? []).map(({ key, person, since, size }) => ({
      key,
      person: person.name,
      since,
      size: size ?? null,
      own: key === own,
    })),
    cosigning: {
      on: gateway !== null && store.kept(`cosign ${gateway}`) === 'on',
      possible: of.cosigning.possible,
      key: own,
      last: size && at ? { size: Number(size), at } : null,
      problem: of.cosigning.problem,
    },
    verifications: store.verifications(),
    verdicts: store.verdicts().map(({ id, name, at, outcome, why }) => ({ id, name, at, outcome, why })),
  }
}

function logState(store: WitnessStore, log: LogRow): NonNullable<WitnessState['log']> {
  const rotations = store.rotations(log.id)
  const { seen, pending } = store.counts(log.id)
  return {
    id: log.id,
    origin: log.origin,
    since: log.since,
    keys: [
      { vkey: log.pinned, how: log.how, since: log.pinnedAt, handedOverAt: rotations[0]?.size ?? null },
      ...rotations.map(({ to, seenAt }, n) => ({
        vkey: to,
        how: 'handover' as const,
        since: seenAt,
        handedOverAt: rotations[n + 1]?.size ?? null,
      })),
    ],
    size: store.newest(log.id)?.size ?? 0,
    seen,
    pending,
    growth: store.growth(log.id),
  }
}

export function seenCheckpoints(
  crypto: LedgerCrypto,
  store: WitnessStore,
  log: LogRow,
  ledger: LedgerState | undefined,
  limit: number,
  skip = 0,
): SeenCheckpoint[] {
  const witnesses = (ledger?.witnesses ?? []).flatMap(({ key, person }) => {
    const parsed = witnessKey(crypto, key)
    return parsed ? [{ key: parsed, name: person.name }] : []
  })
  return store.checkpoints(log.id, limit, skip).map((one) => ({
    log: one.log,
    origin: log.origin,
    size: one.size,
    root: one.root,
    seenAt: one.seenAt,
    how: one.how,
    from: one.source,
    signedBy: claimedSigners(one.note).filter((label) => label.startsWith(`${log.origin}+`)),
    cosignedBy: cosigners(crypto, one, witnesses),
    state: one.state,
  }))
}

/** Whose cosignature is on it and holds: by keys that the gateway names, so this is its word on who they are. */
function cosigners(
  crypto: LedgerCrypto,
  { note }: CheckpointRow,
  witnesses: { key: VerifierKey; name: string }[],
): string[] {
  if (witnesses.length === 0 || parseNote(note).signatures.length < 2) return []
  return witnesses.flatMap(({ key, name }) => {
    try {
      return openNote(crypto, note, [key]).verified.length > 0 ? [`${name} (${keyLabel(key)})`] : []
    } catch (error) {
      if (error instanceof LedgerError) return []
      throw error
    }
  })
}

function witnessKey(crypto: LedgerCrypto, text: string): VerifierKey | undefined {
  try {
    const key = parseVerifierKey(crypto.sha256, text)
    return key.type === 'cosignature' ? key : undefined
  } catch {
    return undefined
  }
}
