import { base64, fromBase64, fromDecimal, fromUtf8 } from './encoding.ts'
import { LedgerError } from './errors.ts'
import { HASH_BYTES } from './merkle.ts'

/** C2SP tlog-proof: an entry's inclusion proof and the checkpoint that it leads to, as one text. */
export interface ProofFile {
  index: number
  proof: Uint8Array[]
  /** The signed checkpoint, verbatim. */
  checkpoint: string
}

const FIRST = 'c2sp.org/tlog-proof@v1'

export const formatProofFile = ({ index, proof, checkpoint }: ProofFile): string =>
  `${[FIRST, `index ${index}`, ...proof.map(base64)].join('\n')}\n\n${checkpoint}`

/** An `extra` line is taken and left alone: nothing vouches for it. @throws LedgerError `malformed-proof` */
export function parseProofFile(bytes: Uint8Array): ProofFile {
  const text = fromUtf8(bytes) ?? ''
  const blank = text.indexOf('\n\n')
  const [first, ...lines] = text.slice(0, Math.max(blank, 0)).split('\n')
  if (first !== FIRST) throw malformed('it does not begin as one, or has no end')
  if (lines[0]?.startsWith('extra ')) {
    if (fromBase64(lines.shift()!.slice(6)) === undefined) throw malformed('its extra line is not base64')
  }
  const index = /^index /.test(lines[0] ?? '') ? fromDecimal(lines.shift()!.slice(6)) : undefined
  if (index === undefined) throw malformed('it has no index')
  return { index, proof: parseHashes(lines), checkpoint: text.slice(blank + 2) }
}

/** Hashes in base64, one a line (without newline). @throws LedgerError `malformed-proof` */
export function parseHashes(lines: readonly string[]): Uint8Array[] {
  // A tree has at most 2**53 entries here; C2SP tlog-witness allows 63 lines.
  if (lines.length > 63) throw malformed('it has more than 63 hashes')
  return lines.map((line) => {
    const hash = fromBase64(line)
    if (hash?.length !== HASH_BYTES) throw malformed(`"${line.slice(0, 80)}" is no hash`)
    return hash
  })
}

const malformed = (why: string) => new LedgerError('malformed-proof', `this is no proof: ${why}`)
