import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../config/config.ts'
import { Issuer, type IssuerConfig } from '../config/schema.ts'
import {
  entry,
  identityOf,
  outcome,
  type Served,
  type SigningKey,
  serve,
  signed,
  signingKey,
} from './testing/providers.ts'

/**
 * Tokens, metadata and key sets in the form in which the common providers issue them (their documentation and public
 * endpoints, 2026), signed with keys of the test. The entries are those of docs/access.md.
 */
const now = Math.floor(Date.now() / 1000)
const times = { iat: now - 5, nbf: now - 5, exp: now + 3600 }
const tenant = 'aaaabbbb-0000-cccc-1111-dddd2222eeee'
const stranger = 'ffffeeee-0000-dddd-1111-cccc2222bbbb'

type Claims = Record<string, unknown>
interface Provider {
  name: string
  /** `iss` of its tokens. `BASE` becomes the test server, for those whose metadata is found by the issuer. */
  issuer: string
  /** Where its metadata and keys are, below the server. */
  metadata?: string
  keys: string
  /** Of its metadata, beside issuer and jwks_uri. */
  says?: Claims
  /** Of its keys, beside kty, n, e and kid. */
  key: Claims
  /** Keys that it publishes beside the one that signs. */
  others?: Claims[]
  header?: Claims
  claims: Claims
  /** How the paragraph before its entry in docs/access.md begins. */
  docs: string
  expected: Claims
  /** Who must not pass for it, and as what that is refused. */
  neighbours: [name: string, fault: string, claims: Claims, header?: Claims][]
}

const documented = readFileSync(new URL('../../../docs/access.md', import.meta.url), 'utf8')
  .split('### Entries that were tried')[1]!
  .split('\n### ')[0]!
const entries = [...documented.matchAll(/(?:^|\n\n)(\S[^`]*(?:`[^`]+`[^`]*)*)\n```yaml\n([\s\S]*?)```/g)].map(
  ([, words = '', yaml = '']) => ({ words: words.slice(words.lastIndexOf('\n\n') + 1).trim(), yaml }),
)

/** The entry of docs/access.md behind the paragraph that begins so, without what would have to be read from elsewhere. */
function described(words: string): IssuerConfig {
  const found = entries.filter((one) => one.words.startsWith(words))
  if (found.length !== 1) throw new Error(`${found.length} paragraphs begin with ${words}`)
  const { jwks: _, discovery: __, introspection, saml: ___, ...rest } = Issuer.parse(parse(found[0]!.yaml))
  return { ...rest, ...(introspection && { introspection: { ...introspection, client_secret: 's3cret' } }) }
}

const entraKey = { use: 'sig', x5t: 'L1KfKFI_jnXbwWc22xZxw1sUHH0', x5c: ['MIIC/jCCAeagAwIBAgIJ'] }
const entraV2 = {
  aud: '8f3f2bd4-0000-4000-8000-1c2d3e4f5a6b',
  iss: `https://login.microsoftonline.com/${tenant}/v2.0`,
  ...times,
  aio: 'k2RgYNi2',
  azp: '11112222-bbbb-3333-cccc-4444dddd5555',
  azpacr: '1',
  idtyp: 'app',
  oid: 'aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb',
  rh: '1.AXkA',
  roles: ['agents-ci'],
  sub: 'aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb',
  tid: tenant,
  uti: 'uTi-1',
  ver: '2.0',
}
const github = {
  jti: '0ae0d20a-5a79-4ea4-b4ae-7b5f2f6a9d3c',
  sub: 'repo:octo-org/octo-repo:environment:prod',
  aud: 'countersign',
  ref: 'refs/heads/main',
  sha: '1f2e3d',
  repository: 'octo-org/octo-repo',
  repository_owner: 'octo-org',
  repository_owner_id: '65',
  repository_id: '74',
  repository_visibility: 'private',
  run_id: '1530',
  run_number: '10',
  run_attempt: '2',
  actor: 'octocat',
  actor_id: '12',
  workflow: 'deploy',
  head_ref: '',
  base_ref: '',
  event_name: 'workflow_dispatch',
  ref_type: 'branch',
  ref_protected: 'true',
  environment: 'prod',
  job_workflow_ref: 'octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main',
  runner_environment: 'github-hosted',
  iss: 'https://token.actions.githubusercontent.com',
  ...times,
}
const serviceAccount = {
  aud: ['countersign'],
  ...times,
  iss: 'https://kubernetes.default.svc.cluster.local',
  jti: 'd4f7a2c1-9b0a-4d0e-8a55-2f1f6f3f2b10',
  'kubernetes.io': {
    namespace: 'agents',
    node: { name: 'node-1', uid: '646e7c5e-0000-4000-8000-3b1f2f2f2f2f' },
    pod: { name: 'deployer-7d4b9c', uid: '5e0bd49b-0000-4000-8000-6f1f2f2f2f2f' },
    serviceaccount: { name: 'deployer', uid: '14ee3fa4-0000-4000-8000-7a1f2f2f2f2f' },
    warnafter: now + 3000,
  },
  sub: 'system:serviceaccount:agents:deployer',
}
const keycloak = {
  ...{ exp: times.exp, iat: times.iat },
  jti: 'trrtcc:5b8c1f5e-4f4e-4b8b-9a0e-0d4a0b9f3c11',
  iss: 'BASE/realms/agents',
  aud: 'account',
  sub: '36fa0f91-f94d-4a0c-afed-6b7d952e47da',
  typ: 'Bearer',
  azp: 'deployer',
  acr: '1',
  'allowed-origins': ['/*'],
  realm_access: { roles: ['agents-ci', 'offline_access', 'default-roles-agents', 'uma_authorization'] },
  resource_access: { account: { roles: ['manage-account', 'view-profile'] } },
  scope: 'profile email',
  email_verified: false,
  clientHost: '10.0.0.9',
  preferred_username: 'service-account-deployer',
  clientAddress: '10.0.0.9',
  client_id: 'deployer',
}
const google = {
  aud: 'https://gw.example.com',
  azp: '113774264463038321964',
  email: 'deployer@shop-1234.iam.gserviceaccount.com',
  email_verified: true,
  exp: times.exp,
  iat: times.iat,
  iss: 'https://accounts.google.com',
  sub: '113774264463038321964',
}

const providers: Provider[] = [
  {
    name: 'Keycloak, without an audience mapper',
    issuer: 'BASE/realms/agents',
    keys: '/realms/agents/protocol/openid-connect/certs',
    says: {
      token_endpoint: 'BASE/realms/agents/protocol/openid-connect/token',
      grant_types_supported: ['client_credentials'],
    },
    key: { alg: 'RS256', use: 'sig', x5c: ['MIICmzCCAYMCBgF'], x5t: 'x', 'x5t#S256': 'y' },
    others: [{ alg: 'RSA-OAEP', use: 'enc' }],
    header: { typ: 'JWT' },
    claims: keycloak,
    docs: 'Keycloak, without',
    expected: {
      subject: 'deployer',
      name: 'service-account-deployer',
      groups: ['agents-ci', 'offline_access', 'default-roles-agents', 'uma_authorization'],
    },
    neighbours: [
      ['another client', 'audience', { azp: 'grafana', client_id: 'grafana' }],
      ['a person by the same client', 'subject', { client_id: undefined, preferred_username: 'ada' }],
      ['an ID token', 'malformed', { typ: 'ID', nonce: 'n' }],
      ['a refresh token', 'malformed', { typ: 'Refresh' }],
      ['an offline token', 'malformed', { typ: 'Offline' }],
      ['another realm', 'issuer', { iss: 'BASE/realms/master' }],
      ['roles that are no list', 'malformed', { realm_access: { roles: { admin: true } } }],
    ],
  },
  {
    name: 'Keycloak, with an audience mapper',
    issuer: 'BASE/realms/shop',
    keys: '/realms/shop/protocol/openid-connect/certs',
    key: { alg: 'RS256', use: 'sig' },
    header: { typ: 'JWT' },
    claims: { ...keycloak, iss: 'BASE/realms/shop', aud: ['countersign', 'account'] },
    docs: 'Keycloak, with an',
    expected: { subject: keycloak.sub, groups: ['manage-account', 'view-profile'] },
    neighbours: [
      ['a token for account alone', 'audience', { aud: 'account' }],
      ['an audience that is an object', 'audience', { aud: { countersign: true } }],
    ],
  },
  {
    name: 'Entra, v1 tokens',
    issuer: `https://sts.windows.net/${tenant}/`,
    metadata: `/${tenant}/.well-known/openid-configuration`,
    keys: '/common/discovery/keys',
    says: { token_endpoint: `https://login.microsoftonline.com/${tenant}/oauth2/token` },
    key: entraKey,
    header: { typ: 'JWT', x5t: entraKey.x5t },
    claims: {
      aud: 'api://countersign',
      iss: `https://sts.windows.net/${tenant}/`,
      ...times,
      aio: 'E2BgYDj',
      appid: '11112222-bbbb-3333-cccc-4444dddd5555',
      appidacr: '1',
      idp: `https://sts.windows.net/${tenant}/`,
      idtyp: 'app',
      oid: entraV2.oid,
      rh: '0.AX',
      roles: ['agents-ci'],
      sub: entraV2.oid,
      tid: tenant,
      uti: 'u',
      ver: '1.0',
    },
    docs: 'Entra, v1',
    expected: { subject: '11112222-bbbb-3333-cccc-4444dddd5555', groups: ['agents-ci'] },
    neighbours: [
      [
        'another tenant, whose keys are the same',
        'issuer',
        { iss: `https://sts.windows.net/${stranger}/`, tid: stranger },
      ],
      ['a v2 token', 'issuer', { iss: `https://login.microsoftonline.com/${tenant}/v2.0`, ver: '2.0' }],
      ['a person through the same application', 'subject', { idtyp: undefined, scp: 'user_impersonation', sub: 'x' }],
      ['a token for Graph', 'audience', { aud: 'https://graph.microsoft.com' }],
    ],
  },
  {
    name: 'Entra, v2 tokens',
    issuer: `https://login.microsoftonline.com/${tenant}/v2.0`,
    metadata: `/${tenant}/v2.0/.well-known/openid-configuration`,
    keys: `/${tenant}/discovery/v2.0/keys`,
    says: { tenant_region_scope: 'EU', cloud_instance_name: 'microsoftonline.com' },
    key: { ...entraKey, issuer: `https://login.microsoftonline.com/${tenant}/v2.0` },
    header: { typ: 'JWT' },
    claims: entraV2,
    docs: 'Entra, v2',
    expected: { subject: entraV2.azp, groups: ['agents-ci'] },
    neighbours: [
      ['another tenant', 'issuer', { iss: `https://login.microsoftonline.com/${stranger}/v2.0`, tid: stranger }],
      ['a person through the same application', 'subject', { idtyp: 'user' }],
      ['a token that is bound to a key', 'malformed', { cnf: { kid: 'pop' } }],
      ['an audience like it', 'audience', { aud: entraV2.aud.toUpperCase() }],
    ],
  },
  {
    name: 'Entra, groups of a person',
    issuer: `https://login.microsoftonline.com/${tenant}/v2.0`,
    metadata: `/people/${tenant}/v2.0/.well-known/openid-configuration`,
    keys: `/people/${tenant}/discovery/v2.0/keys`,
    key: entraKey,
    header: { typ: 'JWT' },
    claims: {
      ...entraV2,
      idtyp: 'user',
      roles: undefined,
      groups: ['dba'],
      name: 'Ada',
      scp: 'access',
      sub: 'pairwise',
    },
    docs: 'Entra, people',
    expected: { subject: entraV2.oid, groups: ['dba'], roles: ['approver'], name: 'Ada' },
    neighbours: [
      [
        'more than 200 groups',
        'malformed',
        {
          groups: undefined,
          _claim_names: { groups: 'src1' },
          _claim_sources: { src1: { endpoint: 'https://graph.windows.net' } },
        },
      ],
      ['more groups than a URL takes', 'malformed', { groups: undefined, hasgroups: true }],
    ],
  },
  {
    name: 'Okta, custom authorization server',
    issuer: 'BASE/oauth2/default',
    keys: '/oauth2/default/v1/keys',
    key: { alg: 'RS256', use: 'sig' },
    header: {},
    claims: {
      ver: 1,
      jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
      iss: 'BASE/oauth2/default',
      aud: 'api://default',
      iat: times.iat,
      exp: times.exp,
      cid: '0oabskvc6442nkvQO0h7',
      scp: ['countersign'],
      sub: '0oabskvc6442nkvQO0h7',
      agent_groups: ['agents-ci'],
    },
    docs: 'Okta, custom',
    expected: { subject: '0oabskvc6442nkvQO0h7', groups: ['agents-ci'] },
    neighbours: [
      ['another authorization server of the org', 'issuer', { iss: 'BASE/oauth2/aus1' }],
      ['the org authorization server', 'issuer', { iss: 'BASE', aud: 'BASE' }],
      ['another scope', 'subject', { scp: ['profile'] }],
      ['an ID token', 'malformed', { nonce: 'n', at_hash: 'h', auth_time: now }],
    ],
  },
  {
    name: 'Auth0',
    issuer: 'BASE/',
    keys: '/.well-known/jwks.json',
    key: { alg: 'RS256', use: 'sig', x5t: 'x', x5c: ['MIIDDTCC'] },
    header: { typ: 'JWT' },
    claims: {
      'https://countersign/groups': ['agents-ci'],
      iss: 'BASE/',
      sub: 'awZfdIir8YFdGZWkvCejDoUb7SjTDicx@clients',
      aud: 'https://countersign',
      iat: times.iat,
      exp: times.exp,
      scope: 'connect',
      gty: 'client-credentials',
      azp: 'awZfdIir8YFdGZWkvCejDoUb7SjTDicx',
    },
    docs: 'Auth0, an application',
    expected: { subject: 'awZfdIir8YFdGZWkvCejDoUb7SjTDicx@clients', groups: ['agents-ci'] },
    neighbours: [
      ['a person', 'subject', { gty: undefined, sub: 'auth0|6553da60a54af58e29493993' }],
      ['the Management API', 'audience', { aud: 'BASE/api/v2/' }],
      ['an issuer without its slash', 'issuer', { iss: 'BASE' }],
    ],
  },
  {
    name: 'Auth0, tokens of RFC 9068',
    issuer: 'BASE/custom/',
    keys: '/custom/.well-known/jwks.json',
    key: { alg: 'RS256', use: 'sig' },
    header: { typ: 'at+jwt' },
    claims: {
      iss: 'BASE/custom/',
      sub: 'auth0|6553da60a54af58e29493993',
      aud: ['https://countersign', 'BASE/custom/userinfo'],
      iat: times.iat,
      exp: times.exp,
      jti: 'j',
      client_id: 'console',
      scope: 'openid',
      permissions: ['dba'],
    },
    docs: 'Auth0, people',
    expected: { subject: 'auth0|6553da60a54af58e29493993', roles: ['approver'] },
    neighbours: [['its userinfo alone', 'audience', { aud: 'BASE/custom/userinfo' }]],
  },
  {
    name: 'Google, a service account',
    issuer: 'https://accounts.google.com',
    metadata: '/google/.well-known/openid-configuration',
    keys: '/oauth2/v3/certs',
    key: { alg: 'RS256', use: 'sig' },
    header: { typ: 'JWT' },
    claims: google,
    docs: 'Google',
    expected: { subject: google.email, name: google.email, groups: [] },
    neighbours: [
      ['a service account of another project', 'subject', { email: 'deployer@evil-1.iam.gserviceaccount.com' }],
      ['an address that is not verified', 'subject', { email_verified: false }],
      ['no word of whether it is verified', 'subject', { email_verified: undefined }],
      ['no address', 'subject', { email: undefined, email_verified: undefined }],
      [
        'a person who signed in to a client',
        'malformed',
        { at_hash: 'h', hd: 'example.com', email: 'ada@example.com' },
      ],
      ['its issuer without https', 'issuer', { iss: 'accounts.google.com' }],
    ],
  },
  {
    name: 'GitHub Actions',
    issuer: 'https://token.actions.githubusercontent.com',
    metadata: '/github/.well-known/openid-configuration',
    keys: '/github/.well-known/jwks',
    says: { subject_types_supported: ['public', 'pairwise'], claims_supported: ['sub', 'aud', 'repository'] },
    key: { alg: 'RS256', use: 'sig', x5t: 'x', x5c: ['MIIDrDCCApSgAwIB'] },
    header: { typ: 'JWT', x5t: 'x' },
    claims: github,
    docs: 'GitHub',
    expected: {
      subject: 'repo:octo-org/octo-repo:environment:prod',
      groups: ['repository=octo-org/octo-repo', 'environment=prod', 'ref_protected=true'],
    },
    neighbours: [
      ['a repository of somebody else', 'subject', { repository: 'evil/octo-repo', repository_owner_id: '66' }],
      ['another repository of the owner', 'subject', { repository: 'octo-org/third' }],
      ['an owner who took over the name', 'subject', { repository_owner_id: '99' }],
      ['a token for another cloud', 'audience', { aud: 'sts.amazonaws.com' }],
      ['the default audience', 'audience', { aud: 'https://github.com/octo-org' }],
      ['an environment that is a list of objects', 'malformed', { environment: [{ name: 'prod' }] }],
      ['a repository with a line break', 'malformed', { environment: 'prod\nx' }],
      ['a group that looks like a claim', 'malformed', { groups: ['environment=prod'] }],
    ],
  },
  {
    name: 'GitLab CI',
    issuer: 'https://gitlab.example.com',
    metadata: '/gitlab/.well-known/openid-configuration',
    keys: '/gitlab/oauth/discovery/keys',
    key: { use: 'sig', alg: 'RS256' },
    header: { typ: 'JWT' },
    claims: {
      namespace_id: '72',
      namespace_path: 'my-group',
      project_id: '20',
      project_path: 'my-group/my-project',
      user_id: '1',
      user_login: 'sample-user',
      user_email: 'sample-user@example.com',
      user_access_level: 'developer',
      pipeline_id: '574',
      pipeline_source: 'push',
      job_id: '302',
      ref: 'main',
      ref_type: 'branch',
      ref_path: 'refs/heads/main',
      ref_protected: 'true',
      groups_direct: ['my-group/sub'],
      runner_id: 1,
      runner_environment: 'self-hosted',
      sha: '714a629',
      project_visibility: 'public',
      ci_config_ref_uri: 'gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main',
      jti: 'j',
      iss: 'https://gitlab.example.com',
      ...times,
      sub: 'project_path:my-group/my-project:ref_type:branch:ref:main',
      aud: 'countersign',
    },
    docs: 'GitLab',
    expected: {
      subject: 'project_path:my-group/my-project:ref_type:branch:ref:main',
      groups: ['project_path=my-group/my-project', 'ref_protected=true'],
    },
    neighbours: [
      ['a project of another namespace', 'subject', { namespace_id: '73', namespace_path: 'evil' }],
      ['a fork', 'subject', { namespace_id: '4711', project_path: 'fork/my-project' }],
      ['a token for Vault', 'audience', { aud: 'https://vault.example.com' }],
    ],
  },
  {
    name: 'Kubernetes, a projected service account token',
    issuer: 'https://kubernetes.default.svc.cluster.local',
    keys: '',
    key: { use: 'sig', alg: 'RS256' },
    header: {},
    claims: serviceAccount,
    docs: 'Kubernetes',
    expected: {
      subject: 'system:serviceaccount:agents:deployer',
      groups: ['kubernetes.io.namespace=agents', 'kubernetes.io.serviceaccount.name=deployer'],
    },
    neighbours: [
      ['a token for the API server', 'audience', { aud: ['https://kubernetes.default.svc.cluster.local'] }],
      [
        'a token of a Secret, as they were made before 1.24',
        'issuer',
        { iss: 'kubernetes/serviceaccount', aud: undefined, exp: undefined },
      ],
      ['a token without an end', 'malformed', { exp: undefined }],
    ],
  },
]

/** Made once: each provider's keys differ in what is written beside them. */
const pairs = Promise.all([signingKey('the-key'), signingKey('the-key')])

describe.each(providers)('$name', (provider) => {
  let server: Served
  let key: SigningKey
  let elsewhere: SigningKey
  let config: IssuerConfig
  const placed = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll('BASE', server.url)) as T

  beforeAll(async () => {
    server = await serve()
    const [one, other] = await pairs
    key = { ...one!, public: { ...one!.public, ...provider.key } }
    elsewhere = { ...other!, public: { ...other!.public, ...provider.key } }
    const issuer = placed(provider.issuer)
    const keys = [
      ...(provider.others ?? []).map((more) => ({ ...elsewhere.public, kid: 'other', ...more })),
      key.public,
    ]
    server.documents.set(provider.keys, { keys })
    const metadata = { issuer, jwks_uri: `${server.url}${provider.keys}`, ...placed(provider.says ?? {}) }
    const path = provider.metadata ?? `${new URL(issuer).pathname.replace(/\/$/, '')}/.well-known/openid-configuration`
    server.documents.set(path, metadata)
    const discovery = provider.metadata === undefined ? {} : { discovery: `${server.url}${provider.metadata}` }
    config = {
      ...described(provider.docs),
      issuer,
      ...(provider.keys === '' ? { jwks: { keys } } : discovery),
    }
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  const token = (changes: Claims = {}, header: Claims = {}, by = key) =>
    signed(by, placed({ ...provider.claims, ...changes }), { ...provider.header, ...header })

  test('is who it says', async () => {
    const principal = await identityOf([config]).authenticate(await token())
    expect(principal).toMatchObject({ issuer: config.issuer, ...provider.expected })
    expect(principal.id).toBe(`${config.issuer}#${principal.subject}`)
  })

  test.each(provider.neighbours)('is not %s (%s)', async (_name, fault, changes, header) => {
    expect(await outcome(identityOf([config]).authenticate(await token(changes, header)))).toBe(fault)
  })

  test('is not somebody with the same claims and another key', async () => {
    expect(await outcome(identityOf([config]).authenticate(await token({}, {}, elsewhere)))).toBe('signature')
  })
})

test('Okta, org authorization server: its answer to introspection', async () => {
  await using server = await serve()
  const key = await signingKey('k')
  const iss = 'https://example.okta.com'
  const answer = {
    active: true,
    scope: 'countersign',
    username: 'deployer',
    exp: times.exp,
    iat: times.iat,
    sub: '0oabskvc6442nkvQO0h7',
    aud: iss,
    iss,
    jti: 'AT.1',
    token_type: 'Bearer',
    client_id: '0oabskvc6442nkvQO0h7',
    uid: undefined as string | undefined,
  }
  const own = described('Okta, org')
  const config = { ...own, introspection: { ...own.introspection!, url: `${server.url}/oauth2/v1/introspect` } }
  const ask = async (change: Partial<typeof answer>) => {
    server.documents.set('/oauth2/v1/introspect', { ...answer, ...change })
    return outcome(identityOf([config]).authenticate(await signed(key, { iss, cid: answer.client_id, aud: iss })))
  }
  expect(await ask({})).toBe(`accepted: agent ${iss}#0oabskvc6442nkvQO0h7`)
  expect(await ask({ client_id: '0oaother' })).toBe('subject')
  expect(await ask({ aud: 'https://other.okta.com' })).toBe('audience')
  expect(await ask({ iss: 'https://other.okta.com' })).toBe('issuer')
  expect(await ask({ active: false })).toBe('expired')
})

test('every entry of docs/access.md passes check', async () => {
  expect(entries.map(({ words }) => words.split(/[,. ]/)[0])).toHaveLength(15)
  const folder = mkdtempSync(join(tmpdir(), 'documented-'))
  try {
    const key = await signingKey('k')
    writeFileSync(join(folder, 'cluster.jwks.json'), JSON.stringify({ keys: [key.public] }))
    for (const { words, yaml } of entries) {
      const file = join(folder, 'gateway.json')
      const identity = { issuers: [parse(yaml) as object] }
      writeFileSync(file, JSON.stringify({ api: { listen: '127.0.0.1:0' }, identity }))
      const result = await loadConfig(file, { environment: { OKTA_SECRET: 's', IDP_SECRET: 's' } })
      expect(result.ok ? [] : result.problems, words).toEqual([])
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('keys by their URL, without metadata: asked for again when one isn’t known', async () => {
  await using server = await serve()
  const [one, other] = [await signingKey('one'), await signingKey('two')]
  server.documents.set('/keys', { keys: [one.public] })
  const identity = identityOf([
    entry({ issuer: google.iss, audience: google.aud, jwks: { url: `${server.url}/keys` } }),
  ])
  expect(await outcome(identity.authenticate(await signed(one, google)))).toMatch(/^accepted/)
  server.documents.set('/keys', { keys: [other.public] })
  expect(await outcome(identity.authenticate(await signed(other, google)))).toMatch(/^accepted/)
  expect(await outcome(identity.authenticate(await signed(one, { ...google, jti: 'again' })))).toBe('signature')
  expect(server.asked).toEqual(['/keys', '/keys'])
})

test('Entra’s metadata for all tenants is of none', async () => {
  await using server = await serve()
  server.documents.set('/common', {
    issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0',
    jwks_uri: `${server.url}/keys`,
  })
  const key = await signingKey('k')
  server.documents.set('/keys', { keys: [key.public] })
  const config = entry({ issuer: entraV2.iss, audience: entraV2.aud, discovery: `${server.url}/common` })
  expect(await outcome(identityOf([config]).authenticate(await signed(key, entraV2)))).toBe('issuer-unreachable')
})

describe('ID tokens, where an entry takes them', () => {
  test('are taken as credentials, or for an exchange that says so', async () => {
    const key = await signingKey('k')
    const config = entry({ issuer: google.iss, audience: google.aud, jwks: { keys: [key.public] } })
    const id = await signed(key, { ...google, at_hash: 'h', nonce: 'n' })
    const access = await signed(key, google, { typ: 'at+jwt' })
    const refusing = identityOf([config])
    const taking = identityOf([{ ...config, id_tokens: true }])
    expect(await outcome(refusing.authenticate(id))).toBe('malformed')
    expect(await outcome(taking.authenticate(id))).toMatch(/^accepted/)
    const exchanged = async (token: string, type: 'id_token' | 'access_token' | 'jwt') =>
      outcome(refusing.verify({ token, type }).then(({ principal }) => principal))
    expect(await exchanged(id, 'id_token')).toMatch(/^accepted/)
    expect(await exchanged(id, 'access_token')).toBe('malformed')
    expect(await exchanged(id, 'jwt')).toBe('malformed')
    expect(await exchanged(access, 'id_token')).toBe('malformed')
    expect(await exchanged(access, 'access_token')).toMatch(/^accepted/)
  })
})
