import { createHash, type Hash } from 'node:crypto'
import type { Transferred } from '@countersign/contract/recording'
import type { DetectedKind } from '../../masking/detectors.ts'
import type { Running } from '../commands.ts'
import type { Named } from './operations.ts'
import type { Place } from './places.ts'

/** A file or directory that the host has opened, and what was decided of it. */
export interface Opened {
  readonly run: Running
  readonly names: readonly Named[]
  readonly places: readonly Place[]
  readonly reads: boolean
  readonly writes: boolean
  /** Absent for a directory. */
  readonly tally?: Tally
  /** What was looked for in it, and not found, before it was handed out. */
  without: readonly DetectedKind[]
  /** Names of a directory that were listed. */
  listed: number
  /** Requests of this handle that the host has yet to answer. */
  unanswered: number
  /** Set once CLOSE went to the host: it is done when nothing is unanswered. */
  closing: boolean
  /** What went wrong first, for the record. */
  failure: string | undefined
}

/**
 * What passed of a file: how many bytes, and their hash, as long as they pass in order from the first on. Bytes count
 * once the host has answered, and are hashed once they pass.
 */
export class Tally {
  #read = 0
  #written = 0
  /** Where the next byte in order would be. */
  #next = 0
  /** Undefined once bytes passed out of order, or both ways. */
  #hash: Hash | undefined = createHash('sha256')
  /** Bytes that were hashed: also those that the host has yet to answer. */
  #hashed = 0
  #ended: boolean

  /**
   * @param begins `empty`: what is written is all of it; `anyhow`: what is written goes behind whatever is there,
   * and not where it says
   */
  constructor(begins: 'empty' | 'anyhow' | 'known') {
    this.#ended = begins === 'empty'
    if (begins === 'anyhow') this.#hash = undefined
  }

  /** Whether its size is needed to tell if all of it has passed. */
  get open(): boolean {
    return this.#hash !== undefined && !this.#ended && this.#read + this.#written > 0
  }

  read(offset: number, data: Buffer): void {
    if (this.#written > 0) this.#hash = undefined
    this.#read += data.length
    this.#pass(offset, data)
    this.#ended = false
  }

  /** The host says that nothing is at this offset any more. */
  end(offset: number): void {
    if (offset === this.#next) this.#ended = true
  }

  writing(offset: number, data: Buffer): void {
    if (this.#read > 0) this.#hash = undefined
    this.#pass(offset, data)
  }

  written(bytes: number): void {
    this.#written += bytes
  }

  /** It was cut off, or made longer: right behind what has passed that changes nothing of it. */
  cut(bytes: bigint): void {
    if (bytes === BigInt(this.#next)) this.#ended = true
    else this.#hash = undefined
  }

  /** The host has answered what `cut` told. */
  cutOff(done: boolean): void {
    if (!done) this.#hash = undefined
  }

  /** What passed is not all that there is to it: something failed, or changed it without passing here. */
  broken(): void {
    this.#hash = undefined
  }

  size(bytes: bigint): void {
    if (bytes === BigInt(this.#next)) this.#ended = true
  }

  /** @returns what passed; once */
  transferred(): Transferred {
    const whole = this.#hash !== undefined && this.#ended && this.#hashed === this.#read + this.#written
    return {
      read: this.#read,
      written: this.#written,
      ...(whole && { sha256: this.#hash!.digest('hex') }),
    }
  }

  #pass(offset: number, data: Buffer): void {
    if (offset !== this.#next) this.#hash = undefined
    this.#next = offset + data.length
    this.#hashed += data.length
    this.#hash?.update(data)
  }
}
