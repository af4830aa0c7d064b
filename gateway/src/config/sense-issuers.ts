import { isLoopback } from './address.ts'
import type { Path } from './document.ts'
import type { IssuerEntry } from './schema.ts'
import type { Findings, Parts } from './sense.ts'

/** Issuers that sign for everybody who has an account there: who of them is meant must be said by `require`. */
const forEverybody: Record<string, { whose: string; claim: string }> = {
  'https://token.actions.githubusercontent.com': { whose: 'every repository on GitHub', claim: 'repository_owner_id' },
  'https://gitlab.com': { whose: 'every project on gitlab.com', claim: 'namespace_id' },
  'https://accounts.google.com': { whose: 'everybody with a Google account', claim: 'email, or hd' },
}

/** Claims that name the client of a token, whoever it is about. */
const clients = ['azp', 'appid', 'cid', 'client_id']

/** What has the right shape in `identity.issuers` and still can't be right, or is likely not meant. */
export function checkIssuers(parts: Parts, findings: Findings): void {
  const { problem, warning } = findings
  const seen = new Map<string, number>()
  for (const [index, issuer] of parts.issuers) {
    const path = ['identity', 'issuers', index]
    checkName(issuer, path, findings)
    const first = seen.get(issuer.issuer)
    if (first !== undefined) problem([...path, 'issuer'], `the same issuer is issuers[${first}]`, 'keep one of the two')
    seen.set(issuer.issuer, index)
    checkUrls(issuer, path, findings)
    if (issuer.saml) checkSaml(issuer, path, findings)
    else checkTokens(issuer, path, findings)
    if (issuer.for === 'both' && !issuer.saml)
      warning(
        [...path, 'for'],
        "for: both tells agents from people by the token's own claims",
        'use an issuer for people and another for agents',
      )
    if (issuer.for !== 'agents' && issuer.client_id === undefined && !issuer.saml)
      warning(path, "people of this issuer can't sign in with a console: client_id is missing", 'add client_id')
  }
  checkIntrospections(parts, findings)
  if (parts.issuers.length === 0 || !parts.whole) return
  for (const [group, words] of [
    ['people', 'nobody can decide'],
    ['agents', 'no agent can connect'],
  ] as const)
    if (!parts.issuers.some(([, issuer]) => issuer.for === group || issuer.for === 'both'))
      warning(['identity', 'issuers'], `there is no issuer for ${group}: ${words}`, `add one with for: ${group}`)
}

function checkName({ issuer, saml }: IssuerEntry, path: Path, { problem }: Findings): void {
  const at = [...path, 'issuer']
  const url = new URL(issuer)
  // A SAML entity id is a name: nothing is asked for there.
  if (!saml) {
    if (url.protocol === 'http:' && !isLoopback(url.hostname))
      problem(at, 'an issuer by http:// could be forged by anybody on the way', 'write https://')
    else if (url.protocol !== 'https:' && url.protocol !== 'http:')
      problem(at, `an issuer can't be ${url.protocol}`, 'write https://')
    // RFC 8414 section 2 allows neither query nor fragment.
    if (issuer.includes('?'))
      problem(at, 'an issuer has no query and no fragment', "copy it from the issuer's metadata")
    if (/[{}]|%7b/i.test(issuer))
      problem(at, 'an issuer is of one tenant: this one has a placeholder', "write the tenant's own issuer")
  }
  // It would make ISSUER#SUBJECT ambiguous.
  if (issuer.includes('#')) problem(at, 'an issuer has no query and no fragment', "copy it from the issuer's metadata")
  if (url.username || url.password) problem(at, 'an issuer holds no password', 'remove it')
}

/** Every URL that is asked something. */
function checkUrls(issuer: IssuerEntry, path: Path, { problem }: Findings): void {
  const { discovery, jwks, introspection, saml } = issuer
  const urls: [Path, string | undefined][] = [
    [['discovery'], discovery],
    [['jwks', 'url'], jwks && 'url' in jwks ? jwks.url : undefined],
    [['introspection', 'url'], introspection?.url],
    [['saml', 'metadata', 'url'], saml && 'url' in saml.metadata ? saml.metadata.url : undefined],
  ]
  for (const [at, text] of urls) {
    if (text === undefined) continue
    const { protocol, hostname, username, password, hash } = new URL(text)
    if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback(hostname)))
      problem(
        [...path, ...at],
        `what is asked at ${protocol}// could be forged by anybody on the way`,
        'write https://',
      )
    if (username || password) problem([...path, ...at], 'the URL holds a password', 'remove it')
    if (hash) problem([...path, ...at], 'the URL has a fragment, which is never sent', 'remove it')
  }
}

/** An issuer of JWTs or opaque tokens. */
function checkTokens(issuer: IssuerEntry, path: Path, { problem, warning }: Findings): void {
  const { discovery, jwks, introspection, authorized_party, require } = issuer
  if (jwks && discovery !== undefined)
    problem([...path, 'discovery'], 'with jwks no metadata is asked for', 'keep one of discovery and jwks')
  if (introspection?.tokens === 'all' && (jwks || discovery !== undefined))
    problem(
      [...path, 'introspection', 'tokens'],
      'all tokens are asked about, so no keys are of use',
      'write tokens: opaque, or remove jwks and discovery',
    )
  if (issuer.ca !== undefined && jwks && 'file' in jwks && !introspection)
    warning([...path, 'ca'], 'nothing is asked over the network, so ca is not used', 'remove it')
  if (authorized_party)
    warning(
      [...path, 'authorized_party'],
      'tokens of these clients are accepted whatever they were made for: who gets one elsewhere can use it here',
      'let the issuer write the audience instead',
    )
  if (issuer.subject !== undefined && clients.includes(issuer.subject) && Object.keys(require ?? {}).length === 0)
    warning(
      [...path, 'subject'],
      `${issuer.subject} names everybody who uses that client, people too, where the issuer writes it for them`,
      'require a claim that only the client’s own tokens have (docs/access.md), or write subject: sub',
    )
  const everybody = forEverybody[issuer.issuer]
  if (everybody && Object.keys(require ?? {}).length === 0)
    problem(
      path,
      `this issuer signs for ${everybody.whose}`,
      `say whose tokens are meant: require: { ${everybody.claim.split(',')[0]}: … } (${everybody.claim})`,
    )
}

function checkSaml(issuer: IssuerEntry, path: Path, { problem }: Findings): void {
  if (issuer.for === 'both')
    problem([...path, 'for'], 'an assertion does not tell agents from people', 'write for: agents or for: people')
  const others = [
    'discovery',
    'jwks',
    'introspection',
    'authorized_party',
    'id_tokens',
    'client_id',
    'resource',
  ] as const
  for (const key of others)
    if (issuer[key] !== undefined) problem([...path, key], `${key} means nothing for SAML`, 'remove it')
}

/** A gateway token is never asked about, and each opaque token is asked of one issuer. */
function checkIntrospections(parts: Parts, { problem }: Findings): void {
  const prefixes = new Map<string, number>()
  for (const [index, { introspection }] of parts.issuers) {
    if (!introspection) continue
    const path = ['identity', 'issuers', index, 'introspection']
    const prefix = introspection.prefix ?? ''
    if (prefix.startsWith('cst_'))
      problem(
        [...path, 'prefix'],
        "the gateway's own tokens begin with cst_",
        'write what the tokens of this issuer begin with',
      )
    const first = prefixes.get(prefix)
    if (first !== undefined)
      problem(
        path,
        `issuers[${first}] is asked about the same tokens`,
        'give each a prefix that its tokens begin with, but for one at most',
      )
    else prefixes.set(prefix, index)
  }
}
