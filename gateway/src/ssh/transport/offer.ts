/** ssh2's list of what one side offers (RFC 4253, section 7.1). */
export interface Offer {
  readonly lists: Record<'kex' | 'serverHostKey', NameList> & Record<'cs' | 'sc', Record<Of, NameList>>
}
type Of = 'cipher' | 'mac' | 'compress' | 'lang'
interface NameList {
  readonly array: string[]
}

const KEXINIT = 20
const COOKIE = 16
/** Places of the ciphers among the ten lists of a KEXINIT, client to server and back. */
const CIPHERS = [2, 3] as const
/** As much as anybody offers, and more: the least that everybody takes (RFC 4253, section 6.1). */
const MOST = 35_000

/** OpenSSH sends its KEXINIT without waiting for ours, and so can be looked at before we offer anything. */
const ANSWERS_FIRST = /^SSH-2\.0-OpenSSH_/

/**
 * What follows an identification, as far as it must be known before we offer anything to this peer.
 * @param text all that has come, from the identification on
 * @param from where the identification ends
 * @returns `'wait'` for more of it, `'any'` where it is not known or not needed, or its ciphers in both directions
 */
export function lookAhead(text: Buffer, from: number): 'wait' | 'any' | { cs: string[]; sc: string[] } {
  if (!ANSWERS_FIRST.test(text.toString('latin1', text.lastIndexOf('SSH-', from), from))) return 'any'
  if (text.length < from + 5) return 'wait'
  const length = text.readUInt32BE(from)
  const padding = text[from + 4]!
  if (length > MOST || length < padding + 2) return 'any'
  if (text.length < from + 4 + length) return 'wait'
  const payload = text.subarray(from + 5, from + 4 + length - padding)
  if (payload[0] !== KEXINIT) return 'any'
  const lists: string[][] = []
  for (let at = 1 + COOKIE; lists.length <= CIPHERS[1]; ) {
    if (at + 4 > payload.length) return 'any'
    const size = payload.readUInt32BE(at)
    if (at + 4 + size > payload.length) return 'any'
    lists.push(payload.toString('latin1', at + 4, at + 4 + size).split(','))
    at += 4 + size
  }
  return { cs: lists[CIPHERS[0]]!, sc: lists[CIPHERS[1]]! }
}

/**
 * The same offer with AES-GCM alone where the peer knows it: the client's order decides (RFC 4253, section 7.1), OpenSSH's
 * has CTR first, and CTR with a MAC of its own costs us twice as much and three calls for each packet.
 */
export function preferring(offer: Offer, ciphers: { cs: string[]; sc: string[] }): Offer {
  const of = (way: 'cs' | 'sc') => {
    const { cipher, mac, compress, lang } = offer.lists[way]
    const known = cipher.array.filter((name) => name.includes('-gcm') && ciphers[way].includes(name))
    return {
      cipher: known.length > 0 ? known : cipher.array,
      ...{ mac: mac.array, compress: compress.array, lang: lang.array },
    }
  }
  const Same = offer.constructor as new (lists: unknown) => Offer
  const { kex, serverHostKey } = offer.lists
  return new Same({ kex: kex.array, serverHostKey: serverHostKey.array, cs: of('cs'), sc: of('sc') })
}
