import type { LedgerState } from '@countersign/contract/evidence'
import { type Checkpoint, type OpenedCheckpoint, readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { base64, fromBase64 } from '@countersign/contract/ledger/encoding'
import { LedgerError } from '@countersign/contract/ledger/errors'
import { claimedSigners, KeyChain } from '@countersign/contract/ledger/key-chain'
import { formatVerifierKey, parseVerifierKey } from '@countersign/contract/ledger/note'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import { hashReader } from '@countersign/contract/ledger/tiles'
import type { AlarmKind, Shown } from '../../../witness-api.ts'
import { ancestry, leadsTo, TooManyTiles, tilesBy } from './consistency.ts'
import { chainOf, followRotations, storedChain } from './keys.ts'
import type { CheckpointRow, LogRow, WitnessStore } from './witness-store.ts'

/** What is asked of a gateway. Rejects as GatewayApi does; a tile is null where there is none. */
export interface LogClient {
  ledger(): Promise<LedgerState>
  checkpoint(): Promise<string>
  tile(path: string): Promise<Uint8Array | null>
}

/** Something that an honest gateway does not show. */
export interface Suspect {
  kind: AlarmKind
  text: string
  known: CheckpointRow | undefined
  shown: Shown | undefined
  key: string | undefined
  proof: readonly Uint8Array[]
  /** Two signatures contradict each other: there is nothing to wait for. Else it is looked at again before it is said. */
  certain: boolean
  /** What this desktop relied on is not continued by what is shown. */
  replaces: boolean
}

export type Look =
  | { found: 'consistent'; log: LogRow; ledger: LedgerState; newest: CheckpointRow }
  | { found: 'suspect'; suspect: Suspect }
  /** Nothing was trusted yet, and what is shown can't be. */
  | { found: 'trouble'; problem: string }

export interface LookOptions {
  crypto: LedgerCrypto
  store: WitnessStore
  client: LogClient
  gateway: string
  /** Signed checkpoints that came by the feed since the last look. */
  heard: readonly string[]
  now: string
}

/** As many checkpoints are proven in one look; the others wait for the next. */
const mostPending = 200

/**
 * Looks at a gateway's log once: its checkpoint must be signed by a trusted key, be no smaller than any that was seen, and
 * every checkpoint that was seen must be an ancestor of it, by hashes read from its tiles. What holds is stored.
 * Rejects where the gateway can't be asked.
 */
export async function look(options: LookOptions): Promise<Look> {
  const { crypto, store, client, gateway, now } = options
  const known = store.logOf(gateway)
  if (known) for (const note of options.heard) take(options, known, storedChain(crypto, store, known), note, 'feed')
  // What was seen before we ask: an answer that is smaller can't be one that was overtaken on its way.
  const before = known && store.largest(known.id)
  const ledger = await client.ledger()
  const note = await client.checkpoint()
  const shown = shownOf(note, now, gateway)

  let checkpoint: Checkpoint
  try {
    checkpoint = readCheckpoint(note)
  } catch (error) {
    if (!before) return trouble(`What it shows as its checkpoint is none: ${(error as Error).message}`)
    return suspect('hidden', `what it shows as its checkpoint is none: ${(error as Error).message}`, {
      known: before,
      shown,
    })
  }
  const met = known ? { log: known } : meet(options, ledger, note, checkpoint)
  if ('problem' in met) return trouble(met.problem)
  const { log } = met
  const trusted = { known: before, shown, key: log.pinned }
  if (checkpoint.origin !== log.origin)
    return suspect('origin-changed', `it shows a log named ${checkpoint.origin}, where ${log.origin} was`, {
      ...trusted,
      replaces: true,
    })

  const rotations = followRotations(crypto, store, log, ledger, now)
  const chain = chainOf(crypto, log, rotations)
  let opened: OpenedCheckpoint
  try {
    opened = chain.open(note)
  } catch (error) {
    if ((error as LedgerError).code === 'bad-signature')
      return suspect('bad-signature', (error as Error).message, trusted)
    const text =
      log.how === 'person'
        ? 'its checkpoint is not signed by the key that was pinned here, nor by one that this key was handed over to'
        : 'its checkpoint is signed by another key, and the key before it did not hand over to that one'
    return suspect('key-changed', text, { ...trusted, replaces: true })
  }

  const head = row(log, opened, note, { seenAt: now, how: 'asked', source: gateway, state: 'pending' })
  const twin = store.ofSize(log.id, head.size).find((one) => one.root !== head.root && one.state !== 'conflict')
  if (twin)
    return suspect('forked', `it signed two different logs of ${head.size} entries`, {
      ...trusted,
      known: twin,
      certain: true,
      replaces: true,
    })
  if (before && head.size < before.size)
    return suspect('rolled-back', `it shows a log of ${head.size} entries, where one of ${before.size} was seen`, {
      ...trusted,
      replaces: true,
    })
  for (const heard of options.heard) {
    const refused = take(options, log, chain, heard, 'feed')
    if (refused)
      return suspect(
        refused.code === 'bad-signature' ? 'bad-signature' : 'key-changed',
        `the feed told of a checkpoint that does not hold: ${refused.message}`,
        {
          ...trusted,
          shown: shownOf(heard, now, gateway),
        },
      )
  }

  const wrong = await prove(options, { log, head, opened, rotations, trusted })
  if (wrong) return wrong
  return { found: 'consistent', log, ledger, newest: store.newest(log.id)! }
}

/** A log seen for the first time: by a key that is trusted already for the same log, or else by what it shows itself. */
function meet(
  { crypto, store, gateway, now }: LookOptions,
  ledger: LedgerState,
  note: string,
  { origin }: Checkpoint,
): { log: LogRow } | { problem: string } {
  const same = store.logs().filter((log) => log.origin === origin && log.givenUpAt === null)
  for (const log of same) {
    try {
      chainOf(crypto, log, followRotations(crypto, store, log, ledger, now)).open(note)
      store.bind(gateway, log.id)
      return { log }
    } catch {
      // Another log of this name.
    }
  }
  try {
    const key = parseVerifierKey(crypto.sha256, ledger.keys.at(-1)!)
    new KeyChain(crypto, [key]).open(note)
    const how = store.kept(`accepted ${gateway}`) ? 'accepted' : 'first-contact'
    let log: LogRow | undefined
    store.together(() => {
      log = store.addLog({ origin, pinned: formatVerifierKey(key), how, pinnedAt: now, since: now })
      store.bind(gateway, log.id)
    })
    return { log: log! }
  } catch (error) {
    return { problem: `Its checkpoint is not signed by the key that it names itself: ${(error as Error).message}` }
  }
}

/** Takes a checkpoint that came by another way. Answers why not. */
function take(
  { crypto: _, store, gateway, now }: LookOptions,
  log: LogRow,
  chain: KeyChain,
  note: string,
  how: 'feed',
): LedgerError | undefined {
  try {
    const opened = chain.open(note)
    store.addCheckpoint(row(log, opened, note, { seenAt: now, how, source: gateway, state: 'pending' }))
    return undefined
  } catch (error) {
    if (error instanceof LedgerError) return error
    throw error
  }
}

interface ToProve {
  log: LogRow
  head: CheckpointRow
  opened: OpenedCheckpoint
  rotations: ReturnType<typeof followRotations>
  trusted: Pick<Suspect, 'known' | 'shown' | 'key'>
}

/** Proves all that was seen to be ancestors of `head`, and stores it; answers what is wrong. */
async function prove(
  { crypto, store, client, gateway, now }: LookOptions,
  { log, head, opened, rotations, trusted }: ToProve,
): Promise<Look | undefined> {
  const { sha256 } = crypto
  const anchor = store.newest(log.id)
  const to = opened.checkpoint
  const read = hashReader(sha256, to.size, tilesBy(client.tile))
  const proven: CheckpointRow[] = []
  const handovers = rotations.filter(({ seenAt }) => seenAt === now)
  const others = store.pending(log.id, mostPending).filter(({ size, root }) => size !== head.size || root !== head.root)
  try {
    if (!anchor && !(await leadsTo(sha256, to, read)))
      return suspect('wrong-tiles', `its tiles are not those of its own checkpoint of ${to.size} entries`, trusted)
    for (const one of [
      ...(anchor ? [anchor] : []),
      ...handovers.map(({ handover }) => handoverRow(log, handover, gateway, now)),
      ...others,
    ]) {
      if (one.size > to.size && one.how === 'handover')
        return suspect('key-changed', 'it hands its log over by a checkpoint that is larger than its newest', {
          ...trusted,
          replaces: true,
        })
      if (one.size > to.size) continue
      const is = await ancestry(sha256, headOf(one), to, read)
      if (is.is === 'wrong-tiles')
        return suspect(
          'wrong-tiles',
          `its tiles are not those of its own checkpoint of ${to.size} entries, so it does not prove that this log grew from the one of ${one.size} entries`,
          { ...trusted, known: one },
        )
      if (is.is === 'forked') {
        const isAnchor = one === anchor
        if (!isAnchor && one.how !== 'handover') store.setState(one, 'conflict')
        return suspect(
          'forked',
          `its log of ${to.size} entries does not begin with the ${one.size} entries that were seen`,
          {
            ...trusted,
            known: one,
            proof: is.path,
            certain: true,
            replaces: isAnchor,
          },
        )
      }
      proven.push(one)
    }
  } catch (error) {
    if (error instanceof TooManyTiles) {
      if (proven.length === 0) throw error
    } else if (error instanceof LedgerError) {
      return suspect(
        'hidden',
        `it shows a checkpoint of ${to.size} entries, but not its log: ${error.message}`,
        trusted,
      )
    } else throw error
  }
  store.together(() => {
    store.setRotations(log.id, rotations)
    store.addCheckpoint(head)
    for (const one of proven) store.addCheckpoint(one)
    for (const one of [...proven, head]) store.setState(one, 'proven')
    store.thin(log.id)
  })
  return undefined
}

const handoverRow = (log: LogRow, note: string, gateway: string, now: string): CheckpointRow => {
  const { size, root } = readCheckpoint(note)
  return {
    log: log.id,
    size,
    root: base64(root),
    note,
    seenAt: now,
    how: 'handover',
    source: gateway,
    state: 'pending',
  }
}

export const row = (
  log: LogRow,
  { checkpoint }: OpenedCheckpoint,
  note: string,
  more: Pick<CheckpointRow, 'seenAt' | 'how' | 'source' | 'state'>,
): CheckpointRow => ({ log: log.id, size: checkpoint.size, root: base64(checkpoint.root), note, ...more })

const headOf = ({ size, root }: CheckpointRow) => ({ size, root: fromBase64(root)! })

/** A checkpoint as evidence, whatever it is. */
export function shownOf(note: string, at: string, from: string): Shown {
  const signedBy = claimedSigners(note)
  const text = note.slice(0, 64_000)
  try {
    const { origin, size, root } = readCheckpoint(note)
    return { note: text, origin, size, root: base64(root), at, from, signedBy }
  } catch {
    return { note: text, origin: '', size: 0, root: '', at, from, signedBy }
  }
}

export const knownAsShown = (known: CheckpointRow): Shown => shownOf(known.note, known.seenAt, known.source)

const trouble = (problem: string): Look => ({ found: 'trouble', problem })

export const suspicion = (kind: AlarmKind, text: string, more: Partial<Suspect>): Suspect => ({
  kind,
  text,
  known: undefined,
  shown: undefined,
  key: undefined,
  proof: [],
  certain: false,
  replaces: false,
  ...more,
})

const suspect = (...given: Parameters<typeof suspicion>): Look => ({ found: 'suspect', suspect: suspicion(...given) })
