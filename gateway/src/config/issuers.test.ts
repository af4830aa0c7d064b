import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signingKey } from '../identity/testing/providers.ts'
import { at, entityId, metadataOf, type SamlKey, samlKey } from '../identity/testing/saml.ts'
import { loadConfig } from './config.ts'
import { selfSignedPair } from './tls.ts'

const now = new Date('2026-11-21T10:00:00Z')
let folder: string
let key: SamlKey
const put = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  chmodSync(join(folder, name), 0o600)
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'issuers-'))
  key = await samlKey()
  put('jwks.json', JSON.stringify({ keys: [(await signingKey('k')).public] }))
  put('private.json', JSON.stringify({ keys: [(await signingKey('k')).private.export({ format: 'jwk' })] }))
  put('list.json', '[]')
  put('null.json', 'null')
  put('page.html', '<html>')
  put('secret', 'from a file\n')
  put('ca.crt', (await selfSignedPair(folder, ['idp'], now)).pair.cert)
  put('metadata.xml', metadataOf([key]))
  put('soon.xml', metadataOf([key], { attributes: `validUntil="${at(now.getTime() + 86_400_000)}"` }))
  put('ended.xml', metadataOf([key], { attributes: `validUntil="${at(now.getTime() - 1)}"` }))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** An entry of issuers, as it would stand in the file: on line 4. */
async function load(entry: string, ...others: string[]) {
  const file = join(folder, 'gateway.yaml')
  writeFileSync(
    file,
    [
      'api: { listen: 127.0.0.1:0 }',
      'identity:',
      '  issuers:',
      ...[entry, ...others].map((one) => `    - { ${one} }`),
    ].join('\n'),
  )
  const result = await loadConfig(file, { environment: { SECRET: 's3cret' }, now })
  const lines = (problems: { line: number; message: string; mend: string }[]) =>
    problems
      .map(({ line, message, mend }) => `${line}: ${message}${mend ? `; ${mend}` : ''}`.replaceAll(`${folder}/`, ''))
      .filter(
        (line) =>
          !/no issuer for|client_id is missing|nobody is an approver|no connection|can reach the gateway/.test(line),
      )
  return {
    issuers: result.ok ? result.config.identity.issuers : undefined,
    problems: result.ok ? [] : lines(result.problems),
    warnings: lines(result.warnings),
  }
}

const agents = 'issuer: "https://idp.example.com", for: agents, audience: countersign'
const introspection =
  'introspection: { url: "https://idp.example.com/introspect", client_id: gw, client_secret: { env: SECRET } }'
const saml = (more: string) => `issuer: "${entityId}", for: agents, audience: countersign, saml: { ${more} }`

describe('what an entry refers to is read', () => {
  test('keys of a file', async () => {
    const { issuers, problems, warnings } = await load(`${agents}, jwks: { file: jwks.json }`)
    expect([...problems, ...warnings]).toEqual([])
    expect(issuers?.[0]?.jwks).toMatchObject({ keys: [{ kid: 'k' }] })
  })
  test('a secret, an authority and the defaults of introspection', async () => {
    const { issuers, problems } = await load(`${agents}, ca: ca.crt, network: private, ${introspection}`)
    expect(problems).toEqual([])
    expect(issuers?.[0]).toMatchObject({
      ca: expect.stringMatching(/^-----BEGIN CERTIFICATE/),
      network: 'private',
      introspection: { client_secret: 's3cret', auth: 'basic', tokens: 'opaque' },
    })
  })
  test('metadata of SAML', async () => {
    const { issuers, problems, warnings } = await load(
      saml('metadata: { file: metadata.xml }, recipient: "https://gw/v1/token"'),
    )
    expect([...problems, ...warnings]).toEqual([])
    expect(issuers?.[0]?.saml).toMatchObject({
      metadata: { xml: expect.stringContaining(entityId) },
      recipient: 'https://gw/v1/token',
    })
  })
  test('one or several, by text or list', async () => {
    const { issuers } = await load(
      `issuer: "https://idp.example.com", for: agents, audience: [a, b], authorized_party: x, require: { tid: t, roles: [r, s] }, groups_from: [env]`,
    )
    expect(issuers?.[0]).toMatchObject({
      audience: ['a', 'b'],
      authorized_party: ['x'],
      require: { tid: ['t'], roles: ['r', 's'] },
      groups_from: ['env'],
    })
  })
})

const problems: [name: string, entry: string, ...problems: (string | RegExp)[]][] = [
  [
    'an unknown key',
    `${agents}, audiences: x`,
    /unknown key "audiences" in identity\.issuers\[0\]; did you mean "audience"/,
  ],
  [
    'an unknown key of introspection',
    `${agents}, introspection: { url: "https://x", client_id: a, client_secret: { env: SECRET }, secret: x }`,
    /unknown key "secret" in identity\.issuers\[0\]\.introspection/,
  ],
  [
    'an inline secret',
    `${agents}, introspection: { url: "https://x", client_id: a, client_secret: hunter2 }`,
    /client_secret can't be read; a secret is never inline/,
  ],
  [
    'an audience that is a block',
    `issuer: "https://a.example.com", for: agents, audience: { a: b }`,
    /audience can't be read; write the audience, or a list/,
  ],
  ['no audience', `issuer: "https://a.example.com", for: agents, audience: []`, /audience can't be read|has 0 entries/],
  ['keys of neither file nor URL', `${agents}, jwks: jwks.json`, /jwks can't be read; write { file: PATH } or/],
  ['keys of both', `${agents}, jwks: { file: jwks.json, url: "https://x" }`, /jwks can't be read/],
  ['a network that is none', `${agents}, network: intern`, /network is "intern"/],
  [
    'a requirement that is a number',
    `${agents}, require: { tid: 7 }`,
    /require\.tid can't be read; write a text, or a list of texts/,
  ],
  [
    'a file that is not there',
    `${agents}, jwks: { file: other.json }`,
    '4: the file other.json does not exist; make it, or correct the path',
  ],
  [
    'keys that are a page',
    `${agents}, jwks: { file: page.html }`,
    '4: page.html is no JSON; write the JWKS of the issuer into it: { "keys": [ … ] }',
  ],
  ['keys that are a list', `${agents}, jwks: { file: list.json }`, /list\.json holds no keys/],
  ['keys that are null', `${agents}, jwks: { file: null.json }`, /null\.json holds no keys/],
  [
    'private keys alone',
    `${agents}, jwks: { file: private.json }`,
    "4: private.json holds no public key for signatures; export the issuer's JWKS anew",
  ],
  ['an authority that is none', `${agents}, ca: page.html`, /page\.html holds no certificate/],
  [
    'a secret that is not set',
    `${agents}, introspection: { url: "https://x", client_id: a, client_secret: { env: OTHER } }`,
    /environment variable OTHER is not set/,
  ],
  [
    'keys by http',
    `${agents}, jwks: { url: "http://idp.example.com/jwks" }`,
    '4: what is asked at http:// could be forged by anybody on the way; write https://',
  ],
  ['metadata by http', `${agents}, discovery: "http://idp.example.com/x"`, /asked at http/],
  [
    'introspection by ftp',
    `${agents}, introspection: { url: "ftp://x", client_id: a, client_secret: { env: SECRET } }`,
    /asked at ftp/,
  ],
  [
    'a password in a URL',
    `${agents}, discovery: "https://a:b@idp.example.com/x"`,
    '4: the URL holds a password; remove it',
  ],
  ['a fragment in a URL', `${agents}, discovery: "https://idp.example.com/x#y"`, /fragment/],
  [
    'keys and discovery',
    `${agents}, discovery: "https://x.example.com", jwks: { file: jwks.json }`,
    '4: with jwks no metadata is asked for; keep one of discovery and jwks',
  ],
  [
    'all tokens asked about, and keys',
    `${agents}, jwks: { file: jwks.json }, ${introspection.replace(' }', '}').replace('client_id: gw', 'client_id: gw, tokens: all')}`,
    /no keys are of use/,
  ],
  [
    'an issuer of all tenants',
    'issuer: "https://login.microsoftonline.com/{tenantid}/v2.0", for: agents, audience: a',
    "4: an issuer is of one tenant: this one has a placeholder; write the tenant's own issuer",
  ],
  [
    'all of GitHub',
    'issuer: "https://token.actions.githubusercontent.com", for: agents, audience: a',
    /signs for every repository on GitHub; .*require: \{ repository_owner_id/,
  ],
  ['all of GitLab', 'issuer: "https://gitlab.com", for: agents, audience: a', /every project on gitlab\.com/],
  [
    'all of Google',
    'issuer: "https://accounts.google.com", for: agents, audience: a, require: {}',
    /everybody with a Google account/,
  ],
  [
    'SAML for both',
    saml('metadata: { file: metadata.xml }').replace('for: agents', 'for: both'),
    '4: an assertion does not tell agents from people; write for: agents or for: people',
  ],
  [
    'SAML with keys',
    `${saml('metadata: { file: metadata.xml }')}, jwks: { file: jwks.json }`,
    '4: jwks means nothing for SAML; remove it',
  ],
  ['SAML without metadata', saml('recipient: x'), /metadata/],
  [
    'metadata of another',
    saml('metadata: { file: metadata.xml }').replace(entityId, 'https://other.example.com'),
    /metadata\.xml: it describes https:\/\/idp\.example\.com\/saml, not https:\/\/other/,
  ],
  [
    'metadata that has ended',
    saml('metadata: { file: ended.xml }'),
    '4: the metadata ended at 2026-11-21T09:59:59.999Z; get it anew',
  ],
  ['metadata that is a page', saml('metadata: { file: page.html }'), /page\.html: it can't be read/],
  ['metadata by http', saml('metadata: { url: "http://idp.example.com/metadata" }'), /asked at http/],
]
test.each(problems)('a problem: %s', async (_name, entry, ...expected) => {
  const { issuers, problems } = await load(entry)
  expect(issuers).toBeUndefined()
  expect(problems).toEqual(expected.map((one) => (one instanceof RegExp ? expect.stringMatching(one) : one)))
})

test('a SAML entity id is a name: http, a query and a URN are fine', async () => {
  for (const id of ['http://www.okta.com/exk1', 'https://accounts.google.com/o/saml2?idpid=C01', 'urn:example:idp']) {
    put('named.xml', metadataOf([key], { entity: id }))
    const { problems } = await load(saml('metadata: { file: named.xml }').replace(entityId, id))
    expect(problems, id).toEqual([])
  }
})

const warnings: [name: string, entry: string, ...warnings: (string | RegExp)[]][] = [
  [
    'tokens without an audience',
    `${agents}, authorized_party: x`,
    /tokens of these clients are accepted whatever they were made for/,
  ],
  ['an authority that is not used', `${agents}, ca: ca.crt, jwks: { file: jwks.json }`, /ca is not used/],
  [
    'metadata that ends soon',
    saml('metadata: { file: soon.xml }'),
    '4: the metadata ends at 2026-11-22T10:00:00.000Z; get it anew',
  ],
  ['a client as a name', `${agents}, subject: azp`, /azp names everybody who uses that client/],
]
test.each(warnings)('a warning: %s', async (_name, entry, ...expected) => {
  const { problems, warnings } = await load(entry)
  expect(problems).toEqual([])
  expect(warnings).toEqual(expected.map((one) => (one instanceof RegExp ? expect.stringMatching(one) : one)))
})

test('several that are asked about opaque tokens need a prefix each, but for one', async () => {
  const named = (issuer: string, prefix?: string) =>
    `issuer: "https://${issuer}.example.com", for: agents, audience: a, introspection: { url: "https://${issuer}.example.com/i", client_id: c, client_secret: { env: SECRET }${prefix === undefined ? '' : `, prefix: ${prefix}`} }`
  expect((await load(named('a'), named('b', 'b_'), named('c', 'c_'))).problems).toEqual([])
  expect((await load(named('a'), named('b'))).problems).toEqual([
    '5: issuers[0] is asked about the same tokens; give each a prefix that its tokens begin with, but for one at most',
  ])
  expect((await load(named('a', 'x_'), named('b', 'x_'))).problems).toHaveLength(1)
  expect((await load(named('a', 'cst_x'))).problems).toEqual([expect.stringMatching(/own tokens begin with cst_/)])
})
