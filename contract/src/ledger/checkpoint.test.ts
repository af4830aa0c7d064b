import { describe, expect, it } from 'vitest'
import {
  cosign,
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  readCheckpoint,
  signCheckpoint,
  withSignature,
} from './checkpoint.ts'
import { utf8 } from './encoding.ts'
import { LedgerError } from './errors.ts'
import { KeyChain } from './key-chain.ts'
import { formatVerifierKey, parseNote, signNote } from './note.ts'
import { formatProofFile, parseProofFile } from './proof-file.ts'
import { crypto, key, origin } from './testing/world.ts'

const root = crypto.sha256(utf8('root'))
const head = { size: 42, root }
const first = key('first')
const second = key('second')
const witness = key('witness', 'witness.example.com/w1', 'cosignature')
const code = (run: () => unknown) => {
  try {
    run()
    return 'none'
  } catch (error) {
    if (error instanceof LedgerError) return error.code
    throw error
  }
}

/** The example of C2SP tlog-checkpoint and tlog-cosignature. Its keys are not published. */
const example = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`

describe('checkpoints', () => {
  it('are read as the specification has them', () => {
    const checkpoint = readCheckpoint(example)
    expect(checkpoint).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163, extensions: [] })
    expect(formatCheckpoint(checkpoint)).toBe(parseNote(example).text)
    const { signature } = parseNote(example).signatures[1]!
    expect([signature.length, Buffer.from(signature).readBigUInt64BE()]).toEqual([72, 1_679_315_147n])
  })

  it.each([
    ['no origin', '\n1\nAAAA\n'],
    ['a size with a zero before it', `a\n01\n${'A'.repeat(43)}=\n`],
    ['a size in hex', `a\n0xab\n${'A'.repeat(43)}=\n`],
    ['a negative size', `a\n-1\n${'A'.repeat(43)}=\n`],
    ['a size past 2^53', `a\n9007199254740993\n${'A'.repeat(43)}=\n`],
    ['a short root', `a\n1\n${'A'.repeat(40)}\n`],
    ['a root with stray bits', `a\n1\n${'A'.repeat(42)}B=\n`],
    ['an empty extension line', `a\n1\n${'A'.repeat(43)}=\n\nx\n`],
    ['no end', `a\n1\n${'A'.repeat(43)}=`],
    ['an origin of 256 bytes', `${'é'.repeat(128)}\n1\n${'A'.repeat(43)}=\n`],
  ])('with %s are refused', (_what, text) => expect(code(() => parseCheckpoint(text))).toBe('malformed-checkpoint'))

  it('keep extension lines of others', () => {
    const text = `a\n1\n${'A'.repeat(43)}=\nx y\nz\n`
    expect(parseCheckpoint(text).extensions).toEqual(['x y', 'z'])
    expect(formatCheckpoint(parseCheckpoint(text))).toBe(text)
  })

  it('count only when a key of that very log signed them', () => {
    const note = signCheckpoint(crypto, head, [first])
    expect(openCheckpoint(crypto, note, [first]).signed.map(({ key }) => key.id)).toEqual([first.id])
    expect(code(() => openCheckpoint(crypto, note, [second]))).toBe('unknown-key')
    // A key that is trusted for another log.
    const other = key('other', 'other.example.com/ledger')
    const forged = signNote(crypto, formatCheckpoint({ ...head, origin, extensions: [] }), [other])
    expect(code(() => openCheckpoint(crypto, forged, [other, first]))).toBe('unknown-key')
    expect(
      code(() => openCheckpoint(crypto, withSignature(forged, cosign(crypto, forged, witness, 1)), [witness])),
    ).toBe('unknown-key')
  })

  it('are cosigned with a time, over the text with all of its lines', () => {
    const note = signCheckpoint(crypto, head, [first])
    const line = cosign(crypto, note, witness, 1_763_700_000)
    const cosigned = withSignature(note, line)
    expect(openCheckpoint(crypto, cosigned, [first, witness]).cosigned.map(({ at }) => at)).toEqual([1_763_700_000])
    expect(openCheckpoint(crypto, cosigned, [first]).cosigned).toEqual([])
    const later = withSignature(cosigned, cosign(crypto, note, witness, 1_763_700_001))
    expect(openCheckpoint(crypto, later, [first, witness]).cosigned.map(({ at }) => at)).toEqual([1_763_700_001])
    // The time is part of what is signed.
    const [log, mark] = parseNote(cosigned).signatures
    const forged = new Uint8Array(mark!.signature)
    forged[7]! ^= 1
    const { text } = parseNote(cosigned)
    const bad =
      signNote(crypto, text, [first]) +
      line.replace(/ \S+\n$/, ` ${Buffer.concat([idOf(witness.id), forged]).toString('base64')}\n`)
    expect(log!.name).toBe(origin)
    expect(code(() => openCheckpoint(crypto, bad, [first, witness]))).toBe('bad-signature')
    expect(code(() => cosign(crypto, note, first, 1))).toBe('malformed-key')
    expect(code(() => cosign(crypto, note, witness, 1.5))).toBe('out-of-range')
  })
})

const idOf = (id: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  return bytes
}

describe('a rotated key', () => {
  const payload = { from: formatVerifierKey(first), to: formatVerifierKey(second), reason: 'yearly' }
  const handover = signCheckpoint(crypto, { size: 11, root }, [first, second])

  it('is followed by whoever pinned the old one, by entry and handover', () => {
    const chain = new KeyChain(crypto, [first])
    const later = signCheckpoint(crypto, { size: 20, root }, [second])
    expect(code(() => chain.open(later))).toBe('unknown-key')
    expect(chain.rotate(10, payload, [handover])).toBeUndefined()
    expect(chain.open(later).signed.map(({ key }) => key.id)).toEqual([second.id])
    expect(chain.open(handover).checkpoint.size).toBe(11)
  })

  it('counts for nothing afterwards', () => {
    const chain = new KeyChain(crypto, [first])
    chain.rotate(10, payload, [handover])
    expect(chain.open(signCheckpoint(crypto, { size: 10, root }, [first])).checkpoint.size).toBe(10)
    expect(() => chain.open(signCheckpoint(crypto, { size: 11, root }, [first]))).toThrow(/had been replaced before/)
  })

  it.each([
    ['no handover', []],
    ['a handover that only the old key signed', [signCheckpoint(crypto, { size: 11, root }, [first])]],
    ['a handover that only the new key signed', [signCheckpoint(crypto, { size: 11, root }, [second])]],
    ['a handover from before the entry', [signCheckpoint(crypto, { size: 10, root }, [first, second])]],
  ])('with %s is not followed', (_what, handovers) => {
    const chain = new KeyChain(crypto, [first])
    expect(chain.rotate(10, payload, handovers)).toMatch(/no checkpoint over it is signed by both/)
    expect(code(() => chain.open(signCheckpoint(crypto, { size: 20, root }, [second])))).toBe('unknown-key')
  })

  it('of a stranger, or to a key of another log, is not followed', () => {
    const chain = new KeyChain(crypto, [key('stranger')])
    expect(chain.rotate(10, payload, [handover])).toBeUndefined()
    expect(code(() => chain.open(signCheckpoint(crypto, { size: 20, root }, [second])))).toBe('unknown-key')
    const to = formatVerifierKey(key('second', 'elsewhere.example.com'))
    expect(new KeyChain(crypto, [first]).rotate(10, { ...payload, to }, [handover])).toMatch(/another log/)
    expect(new KeyChain(crypto, [first]).rotate(10, { ...payload, to: 'x' }, [handover])).toMatch(
      /names a new key that is none/,
    )
  })
})

describe('proof files', () => {
  const proof = [root, crypto.sha256(root)]
  const file = formatProofFile({ index: 7, proof, checkpoint: example })
  it('are as C2SP tlog-proof has them, and read back', () => {
    expect(file.split('\n').slice(0, 2)).toEqual(['c2sp.org/tlog-proof@v1', 'index 7'])
    expect(parseProofFile(utf8(file))).toMatchObject({ index: 7, checkpoint: example })
    expect(parseProofFile(utf8(file.replace('index', 'extra AAAA\nindex'))).index).toBe(7)
    expect(parseProofFile(utf8(formatProofFile({ index: 0, proof: [], checkpoint: example }))).proof).toEqual([])
  })
  it.each([
    file.replace('@v1', '@v2'),
    file.replace('index 7', 'index 07'),
    file.replace('index 7\n', ''),
    file.replace('\n\n', '\n'),
    file.replace('=\n', '\n'),
    file.replace('index', 'extra !\nindex'),
  ])('are refused in another form', (text) => expect(code(() => parseProofFile(utf8(text)))).toBe('malformed-proof'))
})
