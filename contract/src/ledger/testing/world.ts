import { nodeCrypto } from '../../node/ledger-crypto.ts'
import type { BundleContent } from '../bundle.ts'
import { signCheckpoint } from '../checkpoint.ts'
import { concat, hex, utf8 } from '../encoding.ts'
import { makeEntry } from '../entry.ts'
import { GrowingLog } from '../growth.ts'
import type { LogReader } from '../log-verify.ts'
import { consistencyProof, inclusionProof } from '../merkle.ts'
import { formatVerifierKey, type KeyType, type SignerKey, signerKey } from '../note.ts'
import type { PayloadRow } from '../payload-verify.ts'
import type { EntryType, PayloadInput } from '../payloads.ts'
import { hashReader, tilePath } from '../tiles.ts'

export const crypto = nodeCrypto
export const { sha256 } = nodeCrypto
export const origin = 'gw.example.com/ledger'

export const key = (seed: string, name = origin, type: KeyType = 'ed25519'): SignerKey =>
  signerKey(crypto, name, type, sha256(utf8(seed)))

const agent = { id: 'https://idp#ci', issuer: 'https://idp', subject: 'ci', name: 'ci', groups: ['ci-agents'] }
export const ada = { id: 'https://idp#ada', issuer: 'https://idp', subject: 'ada', name: 'Ada' }
const policyFile = utf8('permit (principal, action, resource);\n')

/** A log, its payloads and recordings, all in memory and open to tampering. */
export class World {
  readonly log = new GrowingLog(sha256)
  readonly tiles = new Map<string, Uint8Array>()
  readonly leaves: Uint8Array[] = []
  readonly types: string[] = []
  rows: PayloadRow[] = []
  readonly recordings = new Map<string, Uint8Array>()
  /** First and last entry of each session. */
  readonly sessions = new Map<string, [number, number]>()
  readonly #erasedBy = new Map<number | string, number>()
  readonly handovers: Uint8Array[] = []
  readonly checkpoints: Uint8Array[] = []
  checkpoint: Uint8Array = new Uint8Array(0)
  key = key('first')
  #time = Date.parse('2026-11-21T10:00:00.000Z')

  append<T extends EntryType>(type: T, payload: PayloadInput<T>): number {
    const n = this.log.size
    this.#time += 250
    const at = new Date(this.#time).toISOString()
    const entry = makeEntry(sha256, { n, at, type, payload, salt: sha256(utf8(`salt ${n}`)) })
    this.log.append(entry.leaf)
    this.leaves.push(entry.leaf)
    this.types.push(type)
    this.rows.push({ row: `audit/${n}`, entry: n, payload: entry.payload, salt: entry.salt, type, at })
    return n
  }

  /** A session with as many commands, of which the first is approved by Ada; its recording in chunks of `chunk` bytes. */
  session(id: string, commands: number, chunk = 700): void {
    const client = { address: '127.0.0.1' }
    const first = this.log.size
    this.append('session.opened', {
      session: id,
      connection: 'orders',
      protocol: 'postgres',
      mode: 'enforce',
      agent,
      client,
    })
    let recording = utf8(`${JSON.stringify({ type: 'header', session: id })}\n`)
    for (let i = 1; i <= commands; i++) {
      const digest = `sha256:${hex(sha256(utf8(`${id} ${i}`)))}`
      if (i === 1) {
        const approval = `ap_${id}`
        this.append('approval.opened', {
          approval,
          session: id,
          connection: 'orders',
          agent: agent.id,
          digest,
          requirements: [],
          expiresAt: '2026-11-21T11:00:00.000Z',
        })
        this.append('approval.decided', {
          approval,
          person: ada,
          verdict: 'approve',
          reason: 'asked for',
          window: 'once',
          digest,
        })
        this.append('approval.closed', { approval, state: 'used' })
      }
      const verdict = { outcome: 'allow' as const, policies: ['base.cedar#1'] }
      this.append('command', { session: id, command: `c${i}`, kind: 'select', digest, effects: [], verdict })
      recording = concat(
        recording,
        utf8(`${JSON.stringify({ seq: i, type: 'command', text: `select ${i} -- ${id}`, digest })}\n`),
      )
    }
    let chunks = 0
    for (let offset = 0; offset < recording.length; offset += chunk) {
      const bytes = recording.subarray(offset, offset + chunk)
      this.append('recording.chunk', {
        session: id,
        index: chunks++,
        offset,
        length: bytes.length,
        sha256: hex(sha256(bytes)),
      })
    }
    this.append('session.closed', {
      session: id,
      state: 'closed',
      reason: 'the client went',
      recording: { bytes: recording.length, chunks },
      commands,
    })
    this.recordings.set(id, recording)
    this.sessions.set(id, [first, this.log.size - 1])
  }

  policy(): void {
    this.append('policy.changed', {
      version: 'v1',
      files: [{ path: 'base.cedar', sha256: hex(sha256(policyFile)) }],
      by: { kind: 'gateway' },
    })
  }

  /** Writes the tiles and signs. */
  sign(keys: SignerKey[] = [this.key]): void {
    for (const { tile, bytes } of this.log.changed()) this.tiles.set(tilePath(tile), new Uint8Array(bytes))
    this.checkpoint = utf8(signCheckpoint(crypto, { size: this.log.size, root: this.log.root() }, keys))
    this.checkpoints.push(this.checkpoint)
  }

  rotate(to: SignerKey): number {
    const n = this.append('key.rotated', {
      from: formatVerifierKey(this.key),
      to: formatVerifierKey(to),
      reason: 'yearly',
    })
    this.sign([this.key, to])
    this.handovers.push(this.checkpoint)
    this.key = to
    return n
  }

  /** Erases payloads and recordings, with the entry that says so. */
  erase(entries: [number, number][], recordings: string[]): number {
    const n = this.append('deletion.run', {
      run: 'run-1',
      rule: 'recordings: 90d',
      by: { kind: 'gateway' },
      entries,
      recordings,
    })
    const gone = (entry: number) => entries.some(([first, last]) => first <= entry && entry <= last)
    this.rows = this.rows.map((row) => (gone(row.entry) ? { ...row, payload: null, salt: null } : row))
    for (const [first, last] of entries) for (let entry = first; entry <= last; entry++) this.#erasedBy.set(entry, n)
    for (const session of recordings) {
      this.recordings.delete(session)
      this.#erasedBy.set(session, n)
    }
    return n
  }

  reader(): LogReader {
    const { tiles, rows, recordings } = this
    return {
      checkpoint: async () => this.checkpoint,
      handovers: async () => this.handovers,
      tile: async (tile) => tiles.get(tilePath(tile)),
      entries: async () => this.log.size,
      async *payloads() {
        for (let at = 0; at < rows.length; at += 100) yield rows.slice(at, at + 100)
      },
      recordings: {
        length: async (session) => recordings.get(session)?.length,
        read: async (session, offset, length) =>
          recordings.get(session)?.subarray(offset, offset + length) ?? new Uint8Array(0),
        async *list() {
          yield* recordings.keys()
        },
      },
    }
  }

  /** A bundle of a session: all entries that name it, what they need, and one earlier checkpoint. */
  async bundle(session: string): Promise<BundleContent> {
    const size = this.log.size
    const read = hashReader(sha256, size, async (tile) => this.tiles.get(tilePath(tile)))
    const always = new Set(['deletion.run', 'key.rotated', 'policy.changed'])
    const [first, last] = this.sessions.get(session)!
    const rows = this.rows.filter((row) => always.has(row.type!) || (first <= row.entry && row.entry <= last))
    const entries = await Promise.all(
      rows.map(async ({ entry: n, payload, salt, type }) => ({
        n,
        type: type!,
        leaf: this.leaves[n]!,
        ...(payload && salt ? { opened: { payload, salt } } : { erasedBy: this.#erasedBy.get(n)! }),
        proof: await inclusionProof(sha256, n, size, read),
      })),
    )
    const earlier = await Promise.all(
      this.checkpoints.slice(0, -1).map(async (note) => {
        const checkpoint = new TextDecoder().decode(note)
        return { checkpoint, proof: await consistencyProof(sha256, Number(checkpoint.split('\n')[1]), size, read) }
      }),
    )
    const recording = this.recordings.get(session)
    const decided = rows.filter(({ type, payload }) => type === 'approval.decided' && payload)
    const hasPolicy = this.types.includes('policy.changed')
    return {
      about: { kind: 'session', session },
      madeAt: new Date('2026-11-21T12:00:00.000Z'),
      checkpoint: new TextDecoder().decode(this.checkpoint),
      entries,
      recordings: [
        recording
          ? {
              session,
              async *open() {
                for (let at = 0; at < recording.length; at += 333) yield recording.subarray(at, at + 333)
              },
            }
          : { session, erasedBy: this.#erasedBy.get(session)! },
      ],
      earlier,
      ...(hasPolicy && { policy: { version: 'v1', files: [{ path: 'base.cedar', bytes: policyFile }] } }),
      people: [ada],
      decisions: decided.map(({ entry, at }) => ({
        entry,
        approval: `ap_${session}`,
        person: ada.id,
        verdict: 'approve' as const,
        reason: 'asked for',
        at: at!,
      })),
    }
  }
}

/** A world with two sessions that were recorded, over a few tiles, signed twice. */
export function smallWorld(): World {
  const world = new World()
  world.append('gateway.started', { version: '0.1.0' })
  world.policy()
  world.session('se_one', 40)
  world.sign()
  for (let i = 0; i < 640; i++) world.append('sign-in', { outcome: 'ok', via: 'api' })
  world.session('se_two', 12)
  world.sign()
  return world
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part)
  return concat(...parts)
}
