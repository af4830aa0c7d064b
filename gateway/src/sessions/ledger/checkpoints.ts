import { join } from 'node:path'
import type { LedgerHead } from '@countersign/contract/evidence'
import { signCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { utf8 } from '@countersign/contract/ledger/encoding'
import type { TileBytes } from '@countersign/contract/ledger/growth'
import { TILE_WIDTH, type Tile } from '@countersign/contract/ledger/tiles'
import { replaceFile } from './disk.ts'
import { RecentHeads } from './heads.ts'
import { writeVerifierKey } from './key.ts'
import type { LogParts } from './log.ts'

/** Writes tiles and signed checkpoints of what is committed: always the tiles first. What fails may be tried again. */
export class Checkpoints {
  readonly #parts: LogParts
  readonly #heads: RecentHeads
  /** Keeps, with the next commit, what the next opening must know. */
  readonly #remember: (name: 'signed' | 'keys', value: string) => void
  /** Tiles for the next checkpoint that are to be written, and full ones that are. */
  #unwritten: TileBytes[] = []
  #written: Tile[] = []

  constructor(parts: LogParts, remember: (name: 'signed' | 'keys', value: string) => void) {
    this.#parts = parts
    this.#remember = remember
    this.#heads = new RecentHeads(parts.options.crypto)
    if (parts.head) this.#heads.add(parts.head)
  }

  get newest(): LedgerHead | undefined {
    return this.#heads.newest
  }

  /** Size of the oldest that a cosignature is taken for. */
  get oldest(): number {
    return this.#heads.oldest
  }

  /** Takes the full tiles that there are by now. Answers whether any is to be written. */
  takeFull(): boolean {
    this.#unwritten.push(...this.#parts.growing.full())
    return this.#unwritten.length > 0
  }

  writeTiles(): void {
    this.#parts.tiles.write(this.#unwritten)
    for (const { tile } of this.#unwritten) if (tile.width === TILE_WIDTH) this.#written.push(tile)
    this.#unwritten = []
  }

  /** By both keys while one is replaced by the other; that ends with it. */
  sign(): LedgerHead {
    const { growing, tiles, options, signer, replaced } = this.#parts
    const changed = growing.changed()
    // Partial tiles of a size that got no checkpoint are of no use.
    if (changed.length > 0) this.#unwritten = this.#unwritten.filter(({ tile }) => tile.width === TILE_WIDTH)
    this.#unwritten.push(...changed)
    this.writeTiles()
    tiles.sync()
    const size = growing.size
    const keys = replaced ? [replaced, signer] : [signer]
    const note = signCheckpoint(options.crypto, { size, root: growing.root() }, keys)
    const head = { origin: signer.name, size, note }
    this.#keep(head)
    if (replaced) this.#handOver(note)
    for (const tile of this.#written) tiles.removePartial(tile)
    this.#written = []
    return head
  }

  /** As RecentHeads.withCosignature. @throws LedgerError */
  withCosignature(key: string, note: string): LedgerHead {
    return this.#heads.withCosignature(key, note)
  }

  keepCosigned(head: LedgerHead): void {
    if (head.size === this.newest?.size) this.#keep(head)
    else this.#heads.cosigned(head)
  }

  #keep(head: LedgerHead): void {
    const { disk, folder } = this.#parts.options
    replaceFile(disk, join(folder, 'checkpoint'), utf8(head.note))
    this.#heads.add(head)
    // So a checkpoint that was put back from an older copy is known as such.
    this.#remember('signed', head.note)
  }

  /** Each step may have been done before, by a try that failed later. */
  #handOver(note: string): void {
    const { options, keys, signer } = this.#parts
    const { disk, folder } = options
    const last = keys.at(-1)!
    const place = join(folder, 'handover')
    if (disk.makeFolder(place)) disk.syncFolder(folder)
    replaceFile(disk, join(place, String(last.entry)), utf8(note))
    const next = join(folder, 'key.next')
    if (disk.read(next)) disk.rename(next, join(folder, 'key'))
    disk.syncFolder(folder)
    writeVerifierKey(disk, folder, signer)
    last.handover = note
    this.#remember('keys', JSON.stringify(keys))
    delete this.#parts.replaced
  }
}
