import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from './config.ts'
import { formatProblem } from './problem.ts'
import { keptWords } from './retention.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-config-retention-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Line 14 is the first of what is given for the connection `orders`, line 16 that of what is given for all. */
async function load(all: string, own = '') {
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
  orders:
    kind: postgres
    host: 127.0.0.1
    database: orders
    user: app
    ${own}
    data_classes: { public.customers.ssn: ssn, public.customers.email: email }
${all}`.trimStart()
  writeFileSync(file, text)
  const result = await loadConfig(file, { environment: {} })
  const lines = (problems: Parameters<typeof formatProblem>[0][]) =>
    problems.map((p) => formatProblem({ ...p, file: 'f' }))
  return {
    retention: result.ok ? result.config.retention : undefined,
    problems: result.ok ? [] : lines(result.problems),
    warnings: lines(result.warnings),
  }
}

const day = 86_400_000

describe('what is kept how long', () => {
  test.each<[all: string, own: string, recordings: number, entries: number, classes: Record<string, number>]>([
    ['', '', 90 * day, Number.POSITIVE_INFINITY, {}],
    ['retention: { recordings: forever }', '', Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, {}],
    ['retention: { recordings: 30d, entries: 400d }', '', 30 * day, 400 * day, {}],
    ['retention: { recordings: 30d }', 'retention: { recordings: 60d }', 60 * day, Number.POSITIVE_INFINITY, {}],
    [
      'retention: { classes: { ssn: 7d, email: 30d } }',
      'retention: { classes: { ssn: 14d } }',
      90 * day,
      Number.POSITIVE_INFINITY,
      { ssn: 14 * day, email: 30 * day },
    ],
  ])('%s with %s', async (all, own, recordings, entries, classes) => {
    const { retention, problems, warnings } = await load(all, own)
    expect([...problems, ...warnings]).toEqual([])
    const orders = retention!.connections.get('orders')!
    expect(orders).toMatchObject({ recordings, entries, approvals: undefined })
    expect(Object.fromEntries(orders.classes)).toEqual(classes)
  })
})

test.each<[all: string, own: string, said: string[]]>([
  [
    'retention: { recordings: 90 }',
    '',
    [`f:16: retention.recordings can't be read; write a duration such as 90d (a number and m, h or d), or forever`],
  ],
  [
    'retention: { recordings: 1s }',
    '',
    ['f:16: retention.recordings is "1s"; must be between 1m and 36500d, or forever'],
  ],
  ['retention: { recording: 9d }', '', ['f:16: unknown key "recording" in retention; did you mean "recordings"?']],
  [
    '',
    'retention: { keep: 9d }',
    [
      `f:14: unknown key "keep" in connections.orders.retention; known here: recordings, approvals, annotations, entries, classes`,
    ],
  ],
  ['retention: { classes: { none: 9d } }', '', ['f:16: none is no class; retention.recordings is for everything']],
])('%s %s is refused', async (all, own, said) => {
  expect((await load(all, own)).problems).toEqual(said)
})

test.each<[all: string, own: string, said: string[]]>([
  [
    'retention:\n  classes: { snn: 9d }',
    '',
    ['f:17: nothing of any connection has the class snn: this rule never applies; did you mean "ssn"?'],
  ],
  [
    '',
    'retention: { classes: { card: 9d } }',
    [
      'f:14: nothing of orders has the class card: this rule never applies; add it to masking.detect, or to data_classes',
    ],
  ],
  ['retention: { recordings: 5h }', '', ['f:16: recordings are deleted 5h after their session; write for example 90d']],
  [
    'retention:\n  entries: 30d',
    '',
    [
      'f:17: entries are kept 30d, so recordings go then too, not after 90d; keep entries as long as recordings, or longer',
    ],
  ],
])('%s %s is likely not meant', async (all, own, said) => {
  const { warnings, problems } = await load(all, own)
  expect(problems).toEqual([])
  expect(warnings.map((line) => line.replace('warning: ', ''))).toEqual(said)
})

test.each([
  [90 * day, '90d'],
  [36 * 3_600_000, '36h'],
  [90 * 60_000, '90m'],
  [1500, '1500ms'],
  [Number.POSITIVE_INFINITY, 'forever'],
])('%s is %s', (ms, words) => {
  expect(keptWords(ms)).toBe(words)
})
