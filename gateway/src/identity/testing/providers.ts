import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { exportJWK, type JWK, SignJWT } from 'jose'
import type { IssuerConfig } from '../../config/schema.ts'
import { createIdentity, type IdentityOptions, type RoleGroups } from '../identity.ts'
import { type Principal, TokenError } from '../principal.ts'

export const roles: RoleGroups = { approver: ['dba'], reviewer: [], auditor: [], admin: [] }
export const silent = { warn() {}, info() {} }

/** An issuer's entry with what most have. */
export const entry = (config: Pick<IssuerConfig, 'issuer'> & Partial<IssuerConfig>): IssuerConfig => ({
  for: 'agents',
  audience: 'countersign',
  groups: 'groups',
  scopes: [],
  ...config,
})

export const identityOf = (issuers: IssuerConfig[], options: Partial<IdentityOptions> = {}) =>
  createIdentity({ issuers, roles, log: silent, ...options })

/** What came of it: the principal's kind and id, or the fault. */
export async function outcome(work: Promise<Principal>): Promise<string> {
  try {
    const { kind, id } = await work
    return `accepted: ${kind} ${id}`
  } catch (error) {
    if (error instanceof TokenError) return error.fault
    throw error
  }
}

/** A web server on loopback whose documents a test sets. */
export interface Served extends AsyncDisposable {
  url: string
  /** Path → what is answered: an object as JSON, a text as it is, or a function. */
  documents: Map<string, object | string | ((req: IncomingMessage, res: ServerResponse) => void)>
  /** Paths that were asked for. */
  asked: string[]
}

export async function serve(): Promise<Served> {
  const documents: Served['documents'] = new Map()
  const asked: string[] = []
  const server = createServer((req, res) => {
    const path = req.url ?? ''
    asked.push(path)
    const document = documents.get(path)
    if (document === undefined) res.writeHead(404).end()
    else if (typeof document === 'function') (document as (req: IncomingMessage, res: ServerResponse) => void)(req, res)
    else res.end(typeof document === 'string' ? document : JSON.stringify(document))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    documents,
    asked,
    async [Symbol.asyncDispose]() {
      server.close().closeAllConnections()
      await once(server, 'close').catch(() => {})
    },
  }
}

export interface SigningKey {
  kid: string
  private: KeyObject
  public: JWK
}

export async function signingKey(kid: string, more: Partial<JWK> = {}): Promise<SigningKey> {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { kid, private: pair.privateKey, public: { ...(await exportJWK(pair.publicKey)), kid, ...more } }
}

/** Signs claims as they are: none is added. */
export function signed(key: SigningKey, claims: Record<string, unknown>, header: Record<string, unknown> = {}) {
  const given = Object.fromEntries(
    Object.entries({ alg: 'RS256', kid: key.kid, ...header }).filter(([, v]) => v !== undefined),
  )
  return new SignJWT(claims).setProtectedHeader(given as { alg: string }).sign(key.private)
}
