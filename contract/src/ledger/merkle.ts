import { same } from './encoding.ts'
import { LedgerError } from './errors.ts'
import type { Sha256 } from './ports.ts'

/**
 * Merkle trees as RFC 6962, section 2.1 (RFC 9162, section 2.1, says the same, and gives the algorithms that verify).
 * Sizes and indexes are safe integers, so nothing here uses 32-bit operators on them.
 */

export const HASH_BYTES = 32

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** SHA-256(0x00 || entry), RFC 6962, section 2.1. */
export const leafHash = (sha256: Sha256, entry: Uint8Array): Uint8Array => sha256(LEAF, entry)

/** SHA-256(0x01 || left || right), RFC 6962, section 2.1. */
export const nodeHash = (sha256: Sha256, left: Uint8Array, right: Uint8Array): Uint8Array => sha256(NODE, left, right)

/** A complete subtree: the leaves from `index * 2**level` up to, not including, `(index + 1) * 2**level`. */
export type Completed = (level: number, index: number, hash: Uint8Array) => void

/** The hash of a complete subtree of the tree; level 0 are leaf hashes. Rejects where it can't be had. */
export type HashReader = (level: number, index: number) => Promise<Uint8Array>

/**
 * A tree that only grows, kept as the roots of its complete subtrees, widest first (a compact range from 0): at most 53
 * hashes whatever its size. Appending costs one node hash on average.
 */
export class CompactTree {
  readonly #sha256: Sha256
  readonly #hashes: Uint8Array[]
  #size: number

  constructor(sha256: Sha256, state: { size: number; hashes: readonly Uint8Array[] } = { size: 0, hashes: [] }) {
    checkSize(state.size)
    if (state.hashes.length !== compactLevels(state.size).length)
      throw new LedgerError(
        'out-of-range',
        `a tree of ${state.size} leaves is not made of ${state.hashes.length} hashes`,
      )
    this.#sha256 = sha256
    this.#size = state.size
    this.#hashes = [...state.hashes]
  }

  get size(): number {
    return this.#size
  }

  /** Enough to go on later: `new CompactTree(sha256, tree.state)`. */
  get state(): { size: number; hashes: readonly Uint8Array[] } {
    return { size: this.#size, hashes: [...this.#hashes] }
  }

  /** Appends a leaf by its hash. `completed` is told of every subtree that is complete with it, the leaf first. */
  append(leaf: Uint8Array, completed?: Completed): void {
    let hash = leaf
    let level = 0
    let index = this.#size
    completed?.(0, index, hash)
    while (index % 2 === 1) {
      hash = nodeHash(this.#sha256, this.#hashes.pop()!, hash)
      index = (index - 1) / 2
      level++
      completed?.(level, index, hash)
    }
    this.#hashes.push(hash)
    this.#size++
  }

  /** MTH(D[size]); of an empty tree SHA-256 of nothing. */
  root(): Uint8Array {
    if (this.#size === 0) return this.#sha256()
    return this.#hashes.reduceRight((right, left) => nodeHash(this.#sha256, left, right))
  }
}

/** The levels of the complete subtrees that a tree of this size is made of, widest first. */
export function compactLevels(size: number): number[] {
  const levels: number[] = []
  for (let level = 0, rest = size; rest > 0; level++, rest = Math.floor(rest / 2))
    if (rest % 2 === 1) levels.unshift(level)
  return levels
}

/** A growing tree continued from one that is stored. */
export async function restoreTree(sha256: Sha256, size: number, read: HashReader): Promise<CompactTree> {
  checkSize(size)
  const hashes: Uint8Array[] = []
  let begin = 0
  for (const level of compactLevels(size)) {
    hashes.push(await read(level, begin / 2 ** level))
    begin += 2 ** level
  }
  return new CompactTree(sha256, { size, hashes })
}

/** PATH(index, D[size]), RFC 6962, section 2.1.1: from the leaf's sibling up to the root's child. */
export async function inclusionProof(
  sha256: Sha256,
  index: number,
  size: number,
  read: HashReader,
): Promise<Uint8Array[]> {
  checkSize(size)
  if (!Number.isSafeInteger(index) || index < 0 || index >= size)
    throw new LedgerError('out-of-range', `entry ${index} is not in a log of ${size} entries`)
  const proof: Promise<Uint8Array>[] = []
  let [begin, end] = [0, size]
  while (end - begin > 1) {
    const middle = begin + split(end - begin)
    if (index < middle) {
      proof.unshift(subtreeHash(sha256, middle, end, read))
      end = middle
    } else {
      proof.unshift(subtreeHash(sha256, begin, middle, read))
      begin = middle
    }
  }
  return Promise.all(proof)
}

/** PROOF(from, D[to]), RFC 6962, section 2.1.2. From an empty tree, or to the same one, it is empty (C2SP tlog-witness). */
export async function consistencyProof(
  sha256: Sha256,
  from: number,
  to: number,
  read: HashReader,
): Promise<Uint8Array[]> {
  checkSize(from)
  checkSize(to)
  if (from > to) throw new LedgerError('out-of-range', `a log of ${from} entries does not grow into one of ${to}`)
  if (from === 0) return []
  const proof: Promise<Uint8Array>[] = []
  let [begin, end] = [0, to]
  while (from < end) {
    const middle = begin + split(end - begin)
    if (from <= middle) {
      proof.unshift(subtreeHash(sha256, middle, end, read))
      end = middle
    } else {
      proof.unshift(subtreeHash(sha256, begin, middle, read))
      begin = middle
    }
  }
  // The verifier knows the old root: it is left out where it is a subtree of the new tree as it is.
  if (begin > 0) proof.unshift(subtreeHash(sha256, begin, end, read))
  return Promise.all(proof)
}

/** The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2); undefined where the proof has another length. */
export function rootOfInclusion(
  sha256: Sha256,
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
): Uint8Array | undefined {
  if (!isSize(size) || !isSize(index) || index >= size) return undefined
  let [first, last] = [index, size - 1]
  let hash = leaf
  for (const sibling of proof) {
    if (last === 0 || sibling.length !== HASH_BYTES) return undefined
    if (first % 2 === 1 || first === last) {
      hash = nodeHash(sha256, sibling, hash)
      while (first % 2 === 0 && first !== 0) {
        first = first / 2
        last = Math.floor(last / 2)
      }
    } else hash = nodeHash(sha256, hash, sibling)
    first = Math.floor(first / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? hash : undefined
}

/** Whether `leaf` (a leaf hash) is entry `index` of the tree of that size and root. */
export function verifyInclusion(
  sha256: Sha256,
  claim: { index: number; size: number; root: Uint8Array; leaf: Uint8Array; proof: readonly Uint8Array[] },
): boolean {
  const root = rootOfInclusion(sha256, claim.index, claim.size, claim.leaf, claim.proof)
  return root !== undefined && same(root, claim.root)
}

/** Whether the tree `to` is the tree `from` with entries appended and nothing else changed (RFC 9162, section 2.1.4.2). */
export function verifyConsistency(
  sha256: Sha256,
  claim: { from: TreeHead; to: TreeHead; proof: readonly Uint8Array[] },
): boolean {
  const { from, to, proof } = claim
  if (!isSize(from.size) || !isSize(to.size) || from.size > to.size) return false
  if (from.size === 0) return proof.length === 0 && same(from.root, sha256())
  if (from.size === to.size) return proof.length === 0 && same(from.root, to.root)
  const isPowerOfTwo = compactLevels(from.size).length === 1
  const roots = rootsOfConsistency(sha256, from.size, to.size, isPowerOfTwo ? [from.root, ...proof] : proof)
  return roots !== undefined && same(roots.older, from.root) && same(roots.newer, to.root)
}

/**
 * The roots that the path of a consistency proof leads to; undefined where it has another length. The path is the proof,
 * and before it the older root where `from` is a power of two (RFC 9162, section 2.1.4.2, step 2). Where `newer` is the
 * root of a checkpoint, `older` is the root that its log had at `from` entries, whatever anybody says.
 */
export function rootsOfConsistency(
  sha256: Sha256,
  from: number,
  to: number,
  path: readonly Uint8Array[],
): { older: Uint8Array; newer: Uint8Array } | undefined {
  if (!isSize(from) || !isSize(to) || from < 1 || from >= to) return undefined
  if (path.length === 0 || path.some((hash) => hash.length !== HASH_BYTES)) return undefined
  let [first, last] = [from - 1, to - 1]
  while (first % 2 === 1) {
    first = (first - 1) / 2
    last = Math.floor(last / 2)
  }
  let [older, newer] = [path[0]!, path[0]!]
  for (const hash of path.slice(1)) {
    if (last === 0) return undefined
    if (first % 2 === 1 || first === last) {
      older = nodeHash(sha256, hash, older)
      newer = nodeHash(sha256, hash, newer)
      while (first % 2 === 0 && first !== 0) {
        first = first / 2
        last = Math.floor(last / 2)
      }
    } else newer = nodeHash(sha256, newer, hash)
    first = Math.floor(first / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? { older, newer } : undefined
}

export interface TreeHead {
  size: number
  root: Uint8Array
}

/** MTH(D[begin:end]) where `begin` is a multiple of the smallest power of two that is no less than `end - begin`. */
async function subtreeHash(sha256: Sha256, begin: number, end: number, read: HashReader): Promise<Uint8Array> {
  const width = end - begin
  const levels = compactLevels(width)
  if (levels.length === 1) return read(levels[0]!, begin / width)
  const middle = begin + split(width)
  const [left, right] = await Promise.all([
    subtreeHash(sha256, begin, middle, read),
    subtreeHash(sha256, middle, end, read),
  ])
  return nodeHash(sha256, left, right)
}

/** The largest power of two smaller than `size`. */
function split(size: number): number {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

const isSize = (size: number) => Number.isSafeInteger(size) && size >= 0

function checkSize(size: number) {
  if (!isSize(size)) throw new LedgerError('out-of-range', `${size} is not the size of a log`)
}
