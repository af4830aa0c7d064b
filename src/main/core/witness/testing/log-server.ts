import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Cosignature, type LedgerState } from '@countersign/contract/evidence'
import { openCheckpoint, signCheckpoint, withSignature } from '@countersign/contract/ledger/checkpoint'
import { utf8 } from '@countersign/contract/ledger/encoding'
import { GrowingLog } from '@countersign/contract/ledger/growth'
import {
  formatSignature,
  formatVerifierKey,
  type KeyType,
  parseNote,
  parseVerifierKey,
  type SignerKey,
  signerKey,
} from '@countersign/contract/ledger/note'
import { tilePath } from '@countersign/contract/ledger/tiles'
import { nodeCrypto as crypto } from '@countersign/contract/node/ledger-crypto'
import { gatewayApi } from '../../gateway-api.ts'
import type { WitnessClient } from '../witness.ts'

export const origin = 'gw.example.com/ledger'
export const key = (seed: string, name = origin, type: KeyType = 'ed25519'): SignerKey =>
  signerKey(crypto, name, type, crypto.sha256(utf8(seed)))

/** A log as a gateway has it, honest as long as nobody asks it for something else. */
export class TestLog {
  readonly tiles = new Map<string, Uint8Array>()
  readonly #log = new GrowingLog(crypto.sha256)
  readonly #entries: string[] = []
  keys: SignerKey[]
  /** Keys that were replaced, and then the current one. */
  told: string[]
  handovers: string[] = []
  note = ''

  constructor(entries: readonly string[] | number, signer = key('first')) {
    this.keys = [signer]
    this.told = [formatVerifierKey(signer)]
    this.grow(entries)
  }

  /** Appends, writes its tiles, signs. */
  grow(more: readonly string[] | number): this {
    const entries =
      typeof more === 'number' ? Array.from({ length: more }, (_, i) => `entry ${this.#entries.length + i}`) : more
    for (const entry of entries) this.#log.append(utf8(entry))
    this.#entries.push(...entries)
    for (const { tile, bytes } of this.#log.changed()) this.tiles.set(tilePath(tile), new Uint8Array(bytes))
    this.note = signCheckpoint(crypto, { size: this.#log.size, root: this.#log.root() }, this.keys)
    return this
  }

  get size(): number {
    return this.#log.size
  }

  /** Hands over to a new key, as the contract has it: an entry, and a checkpoint over it signed by both. */
  rotate(to: SignerKey): this {
    this.keys = [this.keys.at(-1)!, to]
    this.grow(['key.rotated'])
    this.handovers.push(this.note)
    this.told.push(formatVerifierKey(to))
    this.keys = [to]
    return this
  }

  /** Another log with the same first `keep` entries, then `more` of its own. */
  fork(keep: number, more: number, signer = this.keys[0]!): TestLog {
    const own = Array.from({ length: more }, (_, i) => `another ${i}`)
    return new TestLog([...this.#entries.slice(0, keep), ...own], signer)
  }

  /** What stood there when it had so many entries. */
  earlier(size: number): TestLog {
    return new TestLog(this.#entries.slice(0, size), this.keys[0])
  }
}

export type Lie = (path: string, log: TestLog) => Uint8Array | string | number | undefined

/** Serves a log over HTTP. `lie` may answer in its stead: bytes, or a status; 0 cuts the connection. */
export interface LogServer extends AsyncDisposable {
  url: string
  log: TestLog
  lie: Lie
  asked: string[]
  cosignatures: Cosignature[]
  client: WitnessClient
  down(): Promise<void>
}

export async function serveLog(log: TestLog): Promise<LogServer> {
  const server = createServer((request, response) => void answer(request.url!, request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const api = gatewayApi(new URL(url), undefined)
  const witnesses = new Map<string, number>()
  const cosigned = new Map<string, string>()

  async function answer(path: string, request: NodeJS.ReadableStream, response: ServerResponse): Promise<void> {
    const asked = path.slice('/v1/ledger/'.length)
    served.asked.push(asked)
    const lied = served.lie(asked, served.log)
    if (lied === 0) return void response.destroy()
    if (typeof lied === 'number')
      return end(response, lied, JSON.stringify({ title: 'no', status: lied, detail: 'not now' }))
    if (lied !== undefined) return end(response, 200, lied)
    if (asked === 'cosignatures') {
      const body = Cosignature.parse(JSON.parse(await text(request)))
      const witness = parseVerifierKey(crypto.sha256, body.key)
      const { checkpoint, cosigned: by } = openCheckpoint(crypto, body.note, [...served.log.keys, witness])
      if (by.length !== 1) return end(response, 422, '{}')
      served.cosignatures.push(body)
      witnesses.set(body.key, checkpoint.size)
      const line = parseNote(body.note).signatures.find(({ name }) => name === witness.name)!
      cosigned.set(served.log.note, withSignature(served.log.note, formatSignature(line)))
      return end(response, 204, '')
    }
    const { note, told, handovers } = served.log
    if (asked === '') {
      const person = { id: 'idp#ada', issuer: 'idp', subject: 'ada', name: 'Ada' }
      const state: LedgerState = {
        origin: note.split('\n')[0]!,
        size: Number(note.split('\n')[1]),
        keys: told,
        handovers,
        witnesses: [...witnesses].map(([vkey, size]) => ({
          key: vkey,
          person,
          since: new Date(0).toISOString(),
          size,
        })),
      }
      return end(response, 200, JSON.stringify(state))
    }
    if (asked === 'checkpoint') return end(response, 200, cosigned.get(note) ?? note)
    const tile = served.log.tiles.get(asked)
    end(response, tile ? 200 : 404, tile ?? '{}')
  }

  const served: LogServer = {
    url,
    log,
    lie: () => undefined,
    asked: [],
    cosignatures: [],
    client: {
      ledger: () => api.ledger('t'),
      checkpoint: () => api.checkpoint('t'),
      tile: (path) => api.tile('t', path),
      cosign: (cosignature) => api.cosign('t', cosignature),
    },
    async down() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    async [Symbol.asyncDispose]() {
      api[Symbol.dispose]()
      if (server.listening) await served.down()
    },
  }
  return served
}

function end(response: ServerResponse, status: number, body: Uint8Array | string): void {
  response.writeHead(status)
  response.end(body)
}
