import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nodeCrypto } from '../node/ledger-crypto.ts'
import { fromBase64, hex, utf8 } from './encoding.ts'
import {
  CompactTree,
  compactLevels,
  consistencyProof,
  type HashReader,
  inclusionProof,
  leafHash,
  nodeHash,
  restoreTree,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts'
import { argon } from './testing/argon2020.ts'

const { sha256 } = nodeCrypto

/** RFC 6962, section 2.1, word for word: what everything else is held against. */
function mth(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return nodeHash(sha256, mth(leaves.slice(0, k)), mth(leaves.slice(k)))
}
function path(m: number, leaves: Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return []
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return m < k
    ? [...path(m, leaves.slice(0, k)), mth(leaves.slice(k))]
    : [...path(m - k, leaves.slice(k)), mth(leaves.slice(0, k))]
}
function subproof(m: number, leaves: Uint8Array[], known: boolean): Uint8Array[] {
  if (m === leaves.length) return known ? [] : [mth(leaves)]
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return m <= k
    ? [...subproof(m, leaves.slice(0, k), known), mth(leaves.slice(k))]
    : [...subproof(m - k, leaves.slice(k), false), mth(leaves.slice(0, k))]
}

const leavesOf = (size: number) => Array.from({ length: size }, (_, i) => leafHash(sha256, utf8(`leaf ${i}`)))
const readerOf =
  (leaves: Uint8Array[]): HashReader =>
  async (level, index) => {
    const part = leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)
    expect(part).toHaveLength(2 ** level)
    return mth(part)
  }
const treeOf = (leaves: Uint8Array[]) => {
  const tree = new CompactTree(sha256)
  for (const leaf of leaves) tree.append(leaf)
  return tree
}
const flip = (bytes: Uint8Array, bit: number) => {
  const copy = new Uint8Array(bytes)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}

describe('published vectors', () => {
  // The reference inputs and roots of Certificate Transparency's own tests (google/certificate-transparency, trillian, transparency-dev/merkle).
  const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
  const roots = [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ]

  it('has the roots of the CT reference tree', () => {
    const tree = new CompactTree(sha256)
    expect(hex(tree.root())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    inputs.forEach((input, i) => {
      tree.append(leafHash(sha256, Buffer.from(input, 'hex')))
      expect(hex(tree.root())).toBe(roots[i])
    })
  })

  it("hashes a record as Go's sumdb/tlog does", () => {
    expect(Buffer.from(leafHash(sha256, utf8('hello world'))).toString('base64')).toBe(
      'TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=',
    )
  })

  it("verifies the proofs of Google's Argon 2020 log (961,984,013 entries) that Go's sumdb/tlog is tested with", () => {
    const hashes = (all: string[]) => all.map((one) => fromBase64(one)!)
    const to = { size: argon.size, root: fromBase64(argon.root)! }
    const claim = {
      index: 10_000,
      ...to,
      leaf: leafHash(sha256, fromBase64(argon.leafInput)!),
      proof: hashes(argon.inclusion),
    }
    expect(verifyInclusion(sha256, claim)).toBe(true)
    expect(verifyInclusion(sha256, { ...claim, index: 10_001 })).toBe(false)
    const from = { size: 3_654_490, root: fromBase64('AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ=')! }
    expect(verifyConsistency(sha256, { from, to, proof: hashes(argon.consistency) })).toBe(true)
    expect(
      verifyConsistency(sha256, { from: { ...from, size: from.size + 1 }, to, proof: hashes(argon.consistency) }),
    ).toBe(false)
  })
})

describe('every tree of up to 36 leaves', () => {
  const all = leavesOf(36)
  it('has the root, the proofs and the restored tree that RFC 6962 defines', async () => {
    for (let size = 0; size <= 36; size++) {
      const leaves = all.slice(0, size)
      const tree = treeOf(leaves)
      expect(hex(tree.root())).toBe(hex(mth(leaves)))
      const read = readerOf(leaves)
      const restored = await restoreTree(sha256, size, read)
      expect(restored.state).toEqual(tree.state)
      const root = tree.root()
      for (let index = 0; index < size; index++) {
        const proof = await inclusionProof(sha256, index, size, read)
        expect(proof.map(hex)).toEqual(path(index, leaves).map(hex))
        expect(verifyInclusion(sha256, { index, size, root, leaf: leaves[index]!, proof })).toBe(true)
      }
      for (let from = 1; from <= size; from++) {
        const proof = await consistencyProof(sha256, from, size, read)
        expect(proof.map(hex)).toEqual(subproof(from, leaves, true).map(hex))
        const claim = { from: { size: from, root: mth(all.slice(0, from)) }, to: { size, root }, proof }
        expect(verifyConsistency(sha256, claim)).toBe(true)
      }
      expect(await consistencyProof(sha256, 0, size, read)).toEqual([])
    }
  })
})

describe('random trees', () => {
  it('accept no proof with a flipped bit, a hash more or less, another index, size, leaf or root', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 400 }), fc.nat(), fc.nat(), fc.nat(), async (size, a, b, bit) => {
        const leaves = leavesOf(size)
        const read = readerOf(leaves)
        const root = treeOf(leaves).root()
        const index = a % size
        const proof = await inclusionProof(sha256, index, size, read)
        const good = { index, size, root, leaf: leaves[index]!, proof }
        expect(verifyInclusion(sha256, good)).toBe(true)
        const at = b % proof.length
        const bad = [
          { ...good, proof: proof.map((hash, i) => (i === at ? flip(hash, bit % 256) : hash)) },
          { ...good, proof: proof.toSpliced(at, 1) },
          { ...good, proof: proof.toSpliced(at, 0, proof[at]!) },
          { ...good, proof: proof.toSpliced(at, 1, proof[at]!.subarray(0, 31)) },
          { ...good, index: (index + 1) % size },
          { ...good, index: size },
          { ...good, index: -1 },
          { ...good, index: index + 0.5 },
          { ...good, leaf: flip(good.leaf, bit % 256) },
          { ...good, root: flip(root, bit % 256) },
        ]
        for (const one of bad) expect(verifyInclusion(sha256, one)).toBe(false)

        const from = 1 + (b % size)
        const consistency = await consistencyProof(sha256, from, size, read)
        const claim = { from: { size: from, root: mth(leaves.slice(0, from)) }, to: { size, root }, proof: consistency }
        expect(verifyConsistency(sha256, claim)).toBe(true)
        expect(
          verifyConsistency(sha256, { ...claim, from: { ...claim.from, root: flip(claim.from.root, bit % 256) } }),
        ).toBe(false)
        expect(verifyConsistency(sha256, { ...claim, to: { ...claim.to, root: flip(root, bit % 256) } })).toBe(false)
        expect(verifyConsistency(sha256, { ...claim, proof: [...consistency, root] })).toBe(false)
        expect(verifyConsistency(sha256, { from: claim.to, to: claim.from, proof: consistency })).toBe(from === size)
        if (consistency.length > 0) {
          const spot = a % consistency.length
          expect(verifyConsistency(sha256, { ...claim, proof: consistency.toSpliced(spot, 1) })).toBe(false)
          const flipped = consistency.map((hash, i) => (i === spot ? flip(hash, bit % 256) : hash))
          expect(verifyConsistency(sha256, { ...claim, proof: flipped })).toBe(false)
        }
      }),
      { numRuns: 150, seed: 6962 },
    )
  })

  it('keep no more hashes than the size has ones, also beyond 32 bits', () => {
    expect(compactLevels(2 ** 40 + 5)).toEqual([40, 2, 0])
    const size = 2 ** 40 + 3
    const tree = new CompactTree(sha256, { size, hashes: leavesOf(3) })
    const completed: [number, number][] = []
    tree.append(leavesOf(1)[0]!, (level, index) => completed.push([level, index]))
    expect(completed).toEqual([
      [0, 2 ** 40 + 3],
      [1, 2 ** 39 + 1],
      [2, 2 ** 38],
    ])
    expect(() => new CompactTree(sha256, { size: 3, hashes: [] })).toThrow(/not made of/)
  })
})
