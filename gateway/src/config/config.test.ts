import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from './config.ts'
import { formatProblem } from './problem.ts'
import { selfSignedPair } from './tls.ts'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-config-'))
  writeFileSync(join(folder, 'password'), 'from a file\n', { mode: 0o600 })
  writeFileSync(join(folder, 'open-password'), 'x', { mode: 0o600 })
  chmodSync(join(folder, 'open-password'), 0o644)
  writeFileSync(join(folder, 'empty'), '')
  writeFileSync(join(folder, 'nul'), 'a\0b')
  writeFileSync(join(folder, 'huge'), 'x'.repeat(70_000))
  mkdirSync(join(folder, 'directory'))
  for (const [name, now] of [
    ['pair', new Date()],
    ['other', new Date()],
    ['old', new Date('2020-01-01')],
  ] as const) {
    const { pair } = await selfSignedPair(join(folder, name), ['gw.example.com'], now)
    writeFileSync(join(folder, `${name}.crt`), pair.cert)
    writeFileSync(join(folder, `${name}.key`), pair.key, { mode: 0o600 })
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function load(text: string, environment: NodeJS.ProcessEnv = { PASSWORD: 'from the environment' }) {
  const file = join(folder, 'gateway.yaml')
  writeFileSync(file, text)
  const result = await loadConfig(file, { environment })
  const lines = (problems: Parameters<typeof formatProblem>[0][]) =>
    problems.map((p) => formatProblem({ ...p, file: 'gateway.yaml' }).replaceAll(folder, ''))
  return {
    config: result.ok ? result.config : undefined,
    problems: result.ok ? [] : lines(result.problems),
    warnings: lines(result.warnings),
  }
}

const good = `
api: { listen: 127.0.0.1:7440 }
postgres: { listen: 127.0.0.1:7432 }
identity:
  issuers:
    - { issuer: "https://people.example.com", for: people, audience: countersign, client_id: console }
    - { issuer: "https://agents.example.com", for: agents, audience: countersign }
  roles: { approver: [oncall-dba] }
connections:
  orders:
    kind: postgres
    host: 10.0.0.5
    database: orders
    user: app_rw
    password: { env: PASSWORD }
    tls: { mode: verify-full }
`.trimStart()

/** `good` with one line (from 1) replaced. */
const withLine = (line: number, text: string) =>
  good
    .split('\n')
    .toSpliced(line - 1, 1, text)
    .join('\n')

test('a whole file: paths are absolute, secrets are read, defaults are there', async () => {
  const { config, problems, warnings } = await load(`data: ./d\npolicy: ./rules\n${good}`)
  expect(problems).toEqual([])
  expect(warnings).toEqual([])
  expect(config).toMatchObject({
    data: join(folder, 'd'),
    policy: join(folder, 'rules'),
    api: { listen: { host: '127.0.0.1', port: 7440 } },
    postgres: { listen: { host: '127.0.0.1', port: 7432 } },
    approvals: { expires: 600_000, use_within: 600_000, max_window: 28_800_000, hold: 'wait', in_transaction: 'fail' },
    limits: { max_statement: 1024 ** 2, sessions_per_agent: 50, drain: 30_000 },
    identity: {
      roles: { approver: ['oncall-dba'], admin: [] },
      tokens: { lifetime: 900_000, max_lifetime: 3_600_000 },
    },
  })
  expect(config?.connections.get('orders')).toMatchObject({
    name: 'orders',
    port: 5432,
    password: 'from the environment',
    tls: { mode: 'verify-full' },
    access: 'standing',
    mode: 'enforce',
  })
})

test('JSON is YAML', async () => {
  const json = JSON.stringify({
    api: { listen: '[::1]:0' },
    postgres: { listen: 'localhost:0' },
    identity: { issuers: [{ issuer: 'http://127.0.0.1:9000', for: 'agents', audience: 'a' }] },
  })
  const { config, problems } = await load(json)
  expect(problems).toEqual([])
  expect(config?.api.listen).toEqual({ host: '::1', port: 0 })
})

test('a secret in a file loses its last newline, and one that everybody may read is a warning', async () => {
  const first = await load(withLine(14, '    password: { file: ./password }'))
  expect(first.config?.connections.get('orders')?.password).toBe('from a file')
  expect(first.warnings).toEqual([])
  const second = await load(withLine(14, '    password: { file: ./open-password }'))
  expect(second.warnings).toEqual(['gateway.yaml:14: everybody may read /open-password; chmod it to 0600'])
})

test.each([
  ['', 86_400_000],
  [', token_within: 7d', 604_800_000],
])('an agent’s keys are good for a time after its token (%s)', async (more, tokenWithin) => {
  const { config, problems } = await load(`${good}ssh: { listen: 127.0.0.1:0${more} }\n`)
  expect(problems).toEqual([])
  expect(config?.ssh).toEqual({ listen: { host: '127.0.0.1', port: 0 }, tokenWithin })
})

test('a certificate is read with its key', async () => {
  const { config, problems, warnings } = await load(`${good}tls: { cert: pair.crt, key: pair.key }\n`)
  expect(problems).toEqual([])
  expect(warnings).toEqual([])
  expect(config?.tls?.cert).toMatch(/^-----BEGIN CERTIFICATE/)
  expect(config?.tls?.key).toMatch(/^-----BEGIN PRIVATE KEY/)
})

const conn = (line: string) => `${good}${line}\n`

describe('problems', () => {
  const cases: [name: string, text: string, ...problems: string[]][] = [
    ['an empty file', '', '1: the file is empty; write at least api, identity and connections'],
    ['only a comment', '# nothing\n', '1: the file is empty; write at least api, identity and connections'],
    ['a list', '- a\n', '1: the file is a list; must be a block of keys'],
    ['a text', 'hello\n', '1: the file is text; must be a block of keys'],
    ['two documents', `${good}---\n${good}`, '16: a second document starts here; keep one and remove ---'],
    ['a tab', 'api:\n\tlisten: x\n', '2: a tab is used to indent, YAML takes spaces only'],
    ['a key twice', `${good}api: {}\n`, '16: the same key is already given above, in the same block'],
    ['an unclosed bracket', 'api: { listen: 127.0.0.1:1\n', /^2: not YAML/ as never],
    [
      'a bomb of aliases',
      `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n`,
      '1: aliases in this file repeat one another too often; write the values out',
    ],
    ['too deep', `a: ${'['.repeat(20_000)}`, '1: the file is nested too deeply; write the values out'],
    [
      'unknown key at the top',
      withLine(2, 'postgress: { listen: 127.0.0.1:1 }'),
      '2: unknown key "postgress"; did you mean "postgres"?',
    ],
    [
      'unknown key inside',
      withLine(14, '    pasword: { env: PASSWORD }'),
      '14: unknown key "pasword" in connections.orders; did you mean "password"?',
    ],
    [
      'unknown key in a list',
      withLine(6, '    - { issuer: "https://x", for: agents, audiences: a }'),
      ...[
        '6: identity.issuers[1].audience is missing; write the audience, or a list of those that are accepted',
        '6: unknown key "audiences" in identity.issuers[1]; did you mean "audience"?',
      ],
    ],
    [
      'nothing that is near',
      withLine(2, 'zzzzzzzz: 1'),
      /^2: unknown key "zzzzzzzz"; known here: data, store/ as never,
    ],
    ['__proto__', withLine(2, '__proto__: { listen: x }'), /^2: unknown key "__proto__"/ as never],
    [
      'a secret inline',
      withLine(14, '    password: hunter2'),
      "14: connections.orders.password can't be read; a secret is never inline: write { env: NAME } or { file: PATH }",
    ],
    [
      'a variable that is not set',
      withLine(14, '    password: { env: NOWHERE }'),
      '14: environment variable NOWHERE is not set; set it where the gateway is started',
    ],
    [
      'a file that is missing',
      withLine(14, '    password: { file: nowhere }'),
      '14: the file /nowhere does not exist; make it, or correct the path',
    ],
    [
      'an empty secret',
      withLine(14, '    password: { file: empty }'),
      '14: the file /empty is empty; write the secret into it',
    ],
    [
      'a secret with NUL',
      withLine(14, '    password: { file: nul }'),
      '14: the file /nul holds a NUL character; write the secret as text',
    ],
    [
      'a huge secret',
      withLine(14, '    password: { file: huge }'),
      '14: /huge is larger than 65536 bytes; name the right file',
    ],
    ['a folder as a secret', withLine(14, '    password: { file: directory }'), /^14: .*directory/ as never],
    [
      'an address without a port',
      withLine(1, 'api: { listen: 127.0.0.1 }'),
      '1: api.listen is "127.0.0.1"; an address is HOST:PORT, for example 127.0.0.1:7440',
    ],
    [
      'a port too high',
      withLine(1, 'api: { listen: "127.0.0.1:70000" }'),
      '1: api.listen is "127.0.0.1:70000"; a port is at most 65535',
    ],
    [
      'two on one port',
      withLine(2, 'postgres: { listen: 127.0.0.1:7440 }'),
      '2: postgres listens on 127.0.0.1:7440, as api does; give each a port of its own',
    ],
    ['no api', withLine(1, ''), '2: api is missing; add it: a block of keys'],
    [
      'a host without a key',
      conn('  web: { kind: ssh, host: h, user: u, password: { env: PASSWORD } }'),
      '16: connections.web.host_key is missing; write the fingerprint of the host that ssh-keygen -lf prints (SHA256:…), or a list of them',
    ],
    [
      'no issuers',
      withLine(4, '  issuers: []').split('\n').toSpliced(4, 2).join('\n'),
      '4: identity.issuers has 0 entries; needs at least 1',
    ],
    [
      'an unknown word',
      withLine(15, '    tls: { mode: verify_full }'),
      '15: connections.orders.tls.mode is "verify_full"; did you mean "verify-full"? It must be one of disable, require, verify-ca, verify-full',
    ],
    [
      'an unknown kind',
      withLine(10, '    kind: postgers'),
      '10: connections.orders.kind is "postgers"; did you mean "postgres"? It must be one of postgres, ssh, kubernetes, mcp, http',
    ],
    [
      'a number for a text',
      withLine(12, '    database: 5'),
      '12: connections.orders.database is a number; must be text (in quotes if it looks like a number)',
    ],
    [
      'an empty text',
      withLine(12, '    database: ""'),
      '12: connections.orders.database is empty; fill it in or remove it',
    ],
    [
      'a name in capitals',
      withLine(9, '  Orders:'),
      /^9: "Orders" is no name; a connection name is lower-case/ as never,
    ],
    [
      'a port out of range',
      withLine(11, '    { host: h, port: 0 }').replace('    { host: h, port: 0 }', '    host: h\n    port: 0'),
      '12: connections.orders.port is 0; must be at least 1',
    ],
    [
      'a duration without a unit',
      conn('approvals: { expires: 10 }'),
      '16: approvals.expires is a number; a duration is a number and ms, s, m, h or d, for example 10m',
    ],
    [
      'a duration in words',
      conn('approvals: { expires: ten minutes }'),
      '16: approvals.expires is "ten minutes"; a duration is a number and ms, s, m, h or d, for example 10m',
    ],
    [
      'a duration too long',
      conn('approvals: { expires: 30d }'),
      '16: approvals.expires is "30d"; must be between 1s and 7d',
    ],
    [
      'a size in MB',
      conn('limits: { max_statement: 1MB }'),
      '16: limits.max_statement is "1MB"; a size is a number and B, KiB, MiB or GiB, for example 1MiB',
    ],
    [
      'an issuer by http',
      withLine(6, '    - { issuer: "http://idp.example.com", for: agents, audience: a }'),
      '6: an issuer by http:// could be forged by anybody on the way; write https://',
    ],
    [
      'an issuer by ftp',
      withLine(6, '    - { issuer: "ftp://idp.example.com", for: agents, audience: a }'),
      "6: an issuer can't be ftp:; write https://",
    ],
    [
      'an issuer with a fragment',
      withLine(6, '    - { issuer: "https://idp.example.com#a", for: agents, audience: a }'),
      "6: an issuer has no query and no fragment; copy it from the issuer's metadata",
    ],
    [
      'the same issuer twice',
      withLine(6, '    - { issuer: "https://people.example.com", for: agents, audience: a }'),
      '6: the same issuer is issuers[0]; keep one of the two',
    ],
    [
      'no TLS beyond loopback',
      withLine(15, '    tls: { mode: disable }'),
      '15: orders would be reached unencrypted; disable is for loopback: use verify-full',
    ],
    [
      'a CA that is none',
      withLine(15, '    tls: { mode: verify-full, ca: ./password }'),
      '15: /password holds no certificate in PEM; name a file that does',
    ],
    [
      'a Unix socket',
      withLine(11, '    host: /var/run/postgresql'),
      '11: the host of orders is a path; write a name or an address: Unix sockets are not spoken',
    ],
    [
      "another pair's key",
      conn('tls: { cert: pair.crt, key: other.key }'),
      '16: the key /other.key does not belong to the certificate /pair.crt; name its own key',
    ],
    [
      'a certificate that has ended',
      conn('tls: { cert: old.crt, key: old.key }'),
      /^16: the certificate \/old.crt ended at 2022/ as never,
    ],
    [
      'no certificate',
      conn('tls:\n  cert: pair.key\n  key: pair.key'),
      '17: /pair.key holds no certificate in PEM; name a file that does',
    ],
    [
      'no key',
      conn('tls:\n  cert: pair.crt\n  key: pair.crt'),
      '18: /pair.crt is no private key in PEM; name the key that belongs to the certificate',
    ],
    [
      'a store in PostgreSQL, not built',
      conn('store: { postgres: { env: X } }'),
      "16: this version can't keep its state in PostgreSQL yet; write store: sqlite",
    ],
    [
      'recordings in S3, not built',
      conn('recordings: { s3: { bucket: b } }'),
      "16: this version can't keep recordings in S3 yet; write recordings: file",
    ],
    [
      'webhooks that could be read or changed on the way, or hold a password, or are told twice',
      conn(
        'approvals: { webhooks: ["http://hooks.example.com/x", "https://a:b@example.com/", "ftp://example.com", "https://x", "https://x/", "https://x/#y"] }',
      ),
      '16: what webhooks are told could be read by anybody on the way; write https://',
      '16: a webhook’s URL holds no password; remove it: calls are signed',
      "16: a webhook can't be ftp:; write https://",
      '16: the same webhook is given twice; keep one of the two',
      '16: a webhook’s URL has no fragment; remove what follows #',
    ],
    [
      'an escalation that goes back in time',
      conn('approvals: { escalate: [{ after: 6m, groups: [a] }, { after: 360s, groups: [b] }] }'),
      '16: 360s is not after 6m; write the groups in the order in which they are asked',
    ],
    [
      'an escalation without a duration, or without groups',
      conn(
        'approvals: { escalate: [{ after: soon, groups: [a] }, { after: 8d, groups: [a] }, { after: 3m, groups: [] }] }',
      ),
      '16: approvals.escalate[0].after is "soon"; a duration is a number and s, m, h or d, 7d at most, for example 3m',
      '16: approvals.escalate[1].after is "8d"; a duration is a number and s, m, h or d, 7d at most, for example 3m',
      '16: approvals.escalate[2].groups has 0 entries; needs at least 1',
    ],
    [
      'tokens that live longer than they may',
      withLine(7, '  tokens: { lifetime: 2h, max_lifetime: 1h }\n  roles: { approver: [oncall-dba] }'),
      '7: gateway tokens would live longer than max_lifetime; make lifetime shorter, or max_lifetime longer',
    ],
    [
      'tokens for no time, or for ever',
      withLine(7, '  tokens: { lifetime: 0s, max_lifetime: 25h }\n  roles: { approver: [oncall-dba] }'),
      '7: identity.tokens.lifetime is "0s"; must be between 1s and 24h',
      '7: identity.tokens.max_lifetime is "25h"; must be between 1s and 24h',
    ],
    [
      'break-glass for nobody, for ever',
      conn('approvals: { break_glass: { groups: [], max: 2d, unreviewed: 0 } }'),
      '16: approvals.break_glass.groups has 0 entries; needs at least 1',
      '16: approvals.break_glass.max is "2d"; must be between 1m and 1d',
      '16: approvals.break_glass.unreviewed is 0; must be at least 1',
    ],
  ]
  test.each(cases)('%s', async (_name, text, ...expected) => {
    const { problems, config } = await load(text)
    expect(config).toBeUndefined()
    expect(problems).toEqual(
      expected.map((line: string | RegExp) =>
        line instanceof RegExp
          ? expect.stringMatching(new RegExp(`^gateway\\.yaml:${line.source.replace(/^\^/, '')}`))
          : `gateway.yaml:${line}`,
      ),
    )
  })

  test('all at once, in the order of the file', async () => {
    const { problems } = await load(
      withLine(15, '    tls: { mode: disable }')
        .replace('127.0.0.1:7440', 'nowhere')
        .replace('PASSWORD', 'NOWHERE')
        .replace('https://agents', 'http://agents')
        .concat('approvals: { hold: maybe }\n'),
    )
    expect(problems.map((line) => line.split(':')[1])).toEqual(['1', '6', '14', '15', '16'])
  })

  test('no message repeats a secret, wherever it was put by mistake', async () => {
    for (const line of [
      '    password: hunter2',
      '    password: [hunter2]',
      '    password: { env: { hunter2: 1 } }',
      '    password: &hunter2',
      '    password: *hunter2',
      '    password: {env: "hunter2}',
      '    password: !hunter2 x',
      '    password: - hunter2',
      '    password: hunter2: x',
    ]) {
      const { problems } = await load(withLine(14, line))
      expect(problems.length).toBeGreaterThan(0)
      if (!line.includes('hunter2: x') && !line.includes('{ hunter2'))
        expect(problems.join('\n')).not.toContain('hunter2')
    }
  })

  test('a file that is missing, a folder, or too large', async () => {
    for (const [file, words] of [
      [join(folder, 'none.yaml'), 'does not exist'],
      [join(folder, 'directory'), ''],
    ] as const) {
      const result = await loadConfig(file)
      expect(result.ok).toBe(false)
      if (!result.ok)
        expect(result.problems[0]).toMatchObject({ file, line: 1, message: expect.stringContaining(words) })
    }
    const { problems } = await load(`# ${'x'.repeat(1024 * 1024)}\n${good}`)
    expect(problems).toEqual(['gateway.yaml:1: /gateway.yaml is larger than 1048576 bytes; name the right file'])
  })
})

test('whatever a file holds, the answer is problems with a line in it, or a configuration', async () => {
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ':',
    '-',
    '&a',
    '*a',
    '!!x',
    '"',
    "'",
    '\t',
    '\n',
    '\0',
    '# ',
    '|',
    '__proto__',
    '<<',
    '1e999',
  ]
  const cut = fc.record({
    at: fc.nat(good.length),
    gone: fc.nat(12),
    put: fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4, unit: 'binary' })),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 3 }), async (cuts) => {
      const text = cuts.reduce((t, { at, gone, put }) => t.slice(0, at) + put + t.slice(at + gone), good)
      const file = join(folder, 'fuzzed.yaml')
      writeFileSync(file, text)
      const result = await loadConfig(file, { environment: { PASSWORD: 'x' } })
      if (result.ok) return
      const lines = text.split(/\r\n|\r|\n/).length
      expect(result.problems.length).toBeGreaterThan(0)
      for (const { line, message } of result.problems) {
        expect(line).toBeGreaterThanOrEqual(1)
        expect(line).toBeLessThanOrEqual(lines)
        expect(message).not.toBe('')
      }
    }),
    { seed: 7, numRuns: 150 },
  )
})

describe('warnings', () => {
  test.each<[string, string, string]>([
    [
      'a host that no listener leads to',
      conn(`  web: { kind: ssh, host: h, user: u, password: { env: PASSWORD }, host_key: "SHA256:${'x'.repeat(43)}" }`),
      '16: nobody can reach web: there is no listener for its protocol; add ssh: { listen: … }',
    ],
    [
      'HTTP, not built',
      conn('http: { listen: 127.0.0.1:7443 }'),
      "16: this version doesn't listen for HTTP yet; nothing is served there",
    ],
    ...[
      ['kubernetes', '{ kind: kubernetes, server: "https://h" }'],
      ['mcp', '{ kind: mcp, url: "https://h", headers: { authorization: { env: A } } }'],
      ['http', '{ kind: http, url: "https://h" }'],
    ].map(
      ([kind, text]) =>
        [
          `${kind}, not built`,
          conn(`  other: ${text}`),
          `16: this version can't connect to ${kind} yet; it is refused to everybody`,
        ] as [string, string, string],
    ),
    [
      'for: both',
      withLine(6, '    - { issuer: "https://agents.example.com", for: both, audience: a, client_id: c }'),
      "6: for: both tells agents from people by the token's own claims; use an issuer for people and another for agents",
    ],
    [
      'no client_id',
      withLine(5, '    - { issuer: "https://people.example.com", for: people, audience: countersign }'),
      "5: people of this issuer can't sign in with a console: client_id is missing; add client_id",
    ],
    [
      'no people',
      good.split('\n').toSpliced(4, 1).join('\n'),
      '4: there is no issuer for people: nobody can decide; add one with for: people',
    ],
    [
      'no approver',
      withLine(7, '  roles: { admin: [a] }'),
      '7: nobody is an approver: what is held will expire; add roles: { approver: [GROUP] }',
    ],
    [
      'beyond loopback without a url',
      withLine(1, 'api: { listen: 0.0.0.0:7440 }'),
      '1: others reach this address, but api.url is not given; add the URL that they use',
    ],
    [
      'a url without TLS',
      withLine(1, 'api: { listen: 127.0.0.1:7440, url: "http://gw.example.com" }'),
      '1: tokens would go to api.url unencrypted; write it with https://',
    ],
    [
      'observe',
      `${good}    mode: observe\n`,
      '16: orders is only observed: nothing is refused or held; write mode: enforce to protect',
    ],
    [
      'require',
      withLine(15, '    tls: { mode: require }'),
      '15: who answers as 10.0.0.5 is not checked; write mode: verify-full',
    ],
    [
      "another host's certificate",
      `${good}tls: { cert: pair.crt, key: pair.key }\n`.replace(':7440 }', ':7440, url: "https://other.example.com" }'),
      '16: the certificate is not for other.example.com of api.url; get one that names it',
    ],
  ])('%s', async (_name, text, expected) => {
    const { warnings, problems } = await load(text)
    expect(problems).toEqual([])
    expect(warnings).toEqual([`gateway.yaml:${expected}`])
  })
})
