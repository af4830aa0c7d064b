import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)

/**
 * The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677; PLUS binds to the server's certificate
 * as tls-server-end-point of RFC 5929).
 */
export class Scram {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'
  readonly #gs2: string
  readonly #binding: Buffer
  readonly #nonce = randomBytes(18).toString('base64')
  readonly #password: string
  #serverSignature: Buffer | undefined

  /** @throws Error where the server offers no mechanism that this client knows */
  constructor(offered: string[], password: string, tls: TLSSocket | undefined) {
    const endPoint = tls && tlsServerEndPoint(tls)
    if (endPoint && offered.includes('SCRAM-SHA-256-PLUS')) {
      this.mechanism = 'SCRAM-SHA-256-PLUS'
      this.#gs2 = 'p=tls-server-end-point,,'
      this.#binding = Buffer.concat([Buffer.from(this.#gs2), endPoint])
    } else if (offered.includes('SCRAM-SHA-256')) {
      this.mechanism = 'SCRAM-SHA-256'
      // "y" would say: I could bind, but you didn't offer it. It detects a downgrade by somebody in between.
      this.#gs2 = endPoint ? 'y,,' : 'n,,'
      this.#binding = Buffer.from(this.#gs2)
    } else {
      throw new Error(`the server offers no sign-in that the gateway knows (${offered.join(', ')})`)
    }
    this.#password = password.normalize('NFKC')
  }

  get first(): string {
    return `${this.#gs2}n=,r=${this.#nonce}`
  }

  /** The answer to the server's first message. @throws Error where the message is not what RFC 5802 asks for */
  async answer(serverFirst: string): Promise<string> {
    const fields = attributes(serverFirst)
    const nonce = fields.r ?? ''
    const salt = Buffer.from(fields.s ?? '', 'base64')
    const rounds = Number(fields.i)
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length)
      throw new Error('the server’s nonce is wrong')
    if (salt.length === 0 || !(Number.isInteger(rounds) && rounds >= 4096 && rounds <= 10_000_000)) {
      throw new Error('the server’s salt or number of rounds is not acceptable')
    }
    const salted = await derive(this.#password, salt, rounds, 32, 'sha256')
    const clientKey = hmac(salted, 'Client Key')
    const withoutProof = `c=${this.#binding.toString('base64')},r=${nonce}`
    const authMessage = `n=,r=${this.#nonce},${serverFirst},${withoutProof}`
    const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage)
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!))
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage)
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** @throws Error where the server hasn't shown that it knows the password too */
  verify(serverFinal: string): void {
    const given = Buffer.from(attributes(serverFinal).v ?? '', 'base64')
    const wanted = this.#serverSignature
    if (!wanted || given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      throw new Error('the server could not prove that it knows the password')
    }
  }
}

/** Hash of the server's certificate by its own signature's hash; undefined where that has none (Ed25519). */
function tlsServerEndPoint(tls: TLSSocket): Buffer | undefined {
  const certificate = tls.getPeerX509Certificate()
  const signature = /(md5|sha-?1|sha-?224|sha-?256|sha-?384|sha-?512)/i.exec(certificate?.signatureAlgorithm ?? '')
  if (!certificate || !signature) return undefined
  const hash = signature[1]!.toLowerCase().replace('-', '')
  return createHash(hash === 'md5' || hash === 'sha1' ? 'sha256' : hash)
    .update(certificate.raw)
    .digest()
}

function attributes(text: string): Record<string, string> {
  const out: Record<string, string> = {}
  for (const part of text.split(',')) if (part[1] === '=') out[part[0]!] = part.slice(2)
  return out
}

const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()
