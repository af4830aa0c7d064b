import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from './config.ts'
import { styleOf } from './masking.ts'
import { formatProblem } from './problem.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-config-masking-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Line 15 is the first of what is given for the connection `orders`; what is given for all comes after it. */
async function load(connection: string, all = '') {
  const file = join(folder, 'gateway.yaml')
  const text = `
api: { listen: 127.0.0.1:0 }
postgres: { listen: 127.0.0.1:0 }
identity:
  issuers:
    - { issuer: "https://people.example.com", for: people, audience: countersign, client_id: console }
    - { issuer: "https://agents.example.com", for: agents, audience: countersign }
  roles: { approver: [dba] }
connections:
  other: { kind: postgres, host: 127.0.0.1, database: orders, user: app }
  orders:
    kind: postgres
    host: 127.0.0.1
    database: orders
    user: app
${connection.replace(/^/gm, '    ')}
${all}`.trimStart()
  writeFileSync(file, text)
  const result = await loadConfig(file, { environment: {} })
  const lines = (problems: Parameters<typeof formatProblem>[0][]) =>
    problems.map((p) => formatProblem({ ...p, file: 'f' }))
  return {
    config: result.ok ? result.config : undefined,
    problems: result.ok ? [] : lines(result.problems),
    warnings: lines(result.warnings),
  }
}

describe('what is said of a connection goes before what is said of all', () => {
  const all = `masking:
  style: partial
  classes: { email: hash, ssn: null }
  detect: [card, iban, card]
`
  const classes = 'data_classes: { a.b.c: email, a.b.d: ssn, a.b.e: name }'
  test.each<[own: string, email: string, ssn: string, name: string, detect: string[]]>([
    ['', 'hash', 'null', 'partial', ['card', 'iban']],
    ['\nmasking: { classes: { email: redact } }', 'redact', 'null', 'partial', ['card', 'iban']],
    ['\nmasking: { style: redact }', 'redact', 'redact', 'redact', ['card', 'iban']],
    ['\nmasking: { style: null, classes: { name: hash } }', 'null', 'null', 'hash', ['card', 'iban']],
    ['\nmasking: { detect: [] }', 'hash', 'null', 'partial', []],
    ['\nmasking: { detect: [pem] }', 'hash', 'null', 'partial', ['pem']],
  ])('%s', async (own, email, ssn, name, detect) => {
    const { config, problems, warnings } = await load(classes + own, all)
    expect(problems).toEqual([])
    expect(warnings).toEqual([])
    const { masking } = config!.connections.get('orders')!
    expect(['email', 'ssn', 'name'].map((one) => styleOf(masking, one))).toEqual([email, ssn, name])
    expect(masking.detect).toEqual(detect)
    expect(config!.connections.get('other')!.masking.detect).toEqual(['card', 'iban'])
  })

  test('nothing is said', async () => {
    const { config } = await load('')
    const { masking } = config!.connections.get('orders')!
    expect(styleOf(masking, 'anything')).toBe('redact')
    expect(styleOf(masking, 'constructor')).toBe('redact')
    expect(masking.detect).toEqual([])
  })
})

test('keys and patterns', async () => {
  const { config, problems, warnings } = await load(
    `data_classes: { "*.*.email": email, 'public.*."Tax Id"': tax, 'public."Person".name': name, public.news.email: none }`,
  )
  expect(problems).toEqual([])
  expect(warnings).toEqual([])
  expect(Object.keys(config!.connections.get('orders')!.data_classes)).toHaveLength(4)
})

describe('problems', () => {
  const form =
    "isn't schema.table.column; write each part as quote_ident() does, lower case or in double quotes, or with * for any characters"
  test.each<[own: string, all: string, ...problems: (string | RegExp)[]]>([
    ['data_classes: { customers.email: email }', '', `f:15: customers.email ${form}`],
    ['data_classes: { Public.customers.email: email }', '', `f:15: Public.customers.email ${form}`],
    ['data_classes: { "*.email": email }', '', `f:15: *.email ${form}`],
    [
      'data_classes: {\n a.b.c: email,\n a.b.d: "two words" }',
      '',
      'f:17: connections.orders.data_classes.a.b.d is "two words"; a class is a word of letters, digits, _ and -, for example email',
    ],
    [
      'data_classes: { a.b.c: derived }',
      '',
      'f:15: derived is what the gateway calls what is computed from classes; choose another class',
    ],
    [
      'data_classes: { "a.*.c": none }',
      '',
      'f:15: none is for exact keys: a pattern takes nothing out; name the columns that have no class',
    ],
    [
      `data_classes: { a.b.c: email,\n '"a".b.c': ssn }`,
      '',
      'f:16: "a".b.c names the same column as a.b.c; keep one of the two',
    ],
    ...['data_classes: { *.*.email: email }', 'data_classes:\n  *.*.email: email', 'data_classes:\n  *.x: email'].map(
      (own): [string, string, RegExp] => [
        own,
        '',
        /^f:1[56]: to YAML a \* in front is the name of an anchor; put the key in quotes$/,
      ],
    ),
    [
      '',
      'masking: { style: redcat }',
      'f:16: masking.style is "redcat"; did you mean "redact"? It must be one of redact, partial, hash, null',
    ],
    [
      '',
      'masking:\n  classes:\n    email: plain',
      'f:18: masking.classes.email is "plain"; must be one of redact, partial, hash, null',
    ],
    [
      '',
      'masking:\n  detect:\n    - card\n    - emial',
      'f:19: masking.detect[1] is "emial"; did you mean "email"? It must be one of card, iban, ssn, email, phone, jwt, pem, cloud-key',
    ],
    ['', 'masking: { detect: card }', 'f:16: masking.detect is text; must be a list'],
    ['', 'masking: { styles: {} }', 'f:16: unknown key "styles" in masking; did you mean "style"?'],
    [
      'masking: {\n clases: {} }',
      '',
      'f:16: unknown key "clases" in connections.orders.masking; did you mean "classes"?',
    ],
    [
      'masking: { detect: [password] }',
      '',
      'f:15: connections.orders.masking.detect[0] is "password"; must be one of card, iban, ssn, email, phone, jwt, pem, cloud-key',
    ],
    [
      '',
      'masking: { classes: { derived: hash } }',
      'f:16: what is computed is only ever redacted or null, not hash; write redact or null',
    ],
  ])('%s %s', async (own, all, ...expected) => {
    const { problems } = await load(own, all)
    expect(problems).toEqual(expected.map((one) => (typeof one === 'string' ? one : expect.stringMatching(one))))
  })
})

test.each<[own: string, all: string, warning: string]>([
  [
    'data_classes: { a.b.c: email }',
    'masking: { classes: { emial: hash } }',
    'f:16: no column of any connection has the class emial; did you mean "email"?',
  ],
  [
    'data_classes: { a.b.c: email }\nmasking: { classes: { card: hash } }',
    '',
    'f:16: no column of orders has the class card; what detectors find is always redacted',
  ],
  ['data_classes: { a.b.c: none }', '', 'f:15: no pattern fits a.b.c: it has no class anyway; remove it'],
])('warning: %s %s', async (own, all, warning) => {
  const { problems, warnings } = await load(own, all)
  expect(problems).toEqual([])
  expect(warnings).toEqual([warning])
})

test('what is computed may have a style of its own', async () => {
  const { warnings } = await load('', 'masking: { classes: { derived: null } }')
  expect(warnings).toEqual([])
})
