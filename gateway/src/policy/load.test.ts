import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readPolicyTexts } from './load.ts'
import { overlayFile } from './overlay-text.ts'
import { loadPolicies } from './policy.ts'
import { CONTRACT_EXAMPLE, load } from './testing/policies.ts'

const ANY = 'principal, action == Action::"sql:write", resource'
const clause = 'unless { context has approval }'

const errors: [
  name: string,
  files: Record<string, string | Uint8Array>,
  file: string,
  line: number,
  message: RegExp,
][] = [
  [
    'no Cedar',
    { 'a.cedar': '// é — two\n\npermit (principal, action, resource)\n  foo bar;' },
    'a.cedar',
    4,
    /unexpected token/,
  ],
  [
    'an annotation twice',
    { 'a.cedar': '@id("a")\n@id("b")\npermit (principal, action, resource);' },
    'a.cedar',
    2,
    /duplicate annotation/,
  ],
  [
    'duplicate @id in one file',
    { 'a.cedar': `@id("x") permit (${ANY});\n\n@id("x")\npermit (${ANY});` },
    'a.cedar',
    3,
    /@id\("x"\).*a\.cedar:1/,
  ],
  [
    'duplicate @id in two files',
    { 'a.cedar': `@id("x") permit (${ANY});`, 'b.cedar': `\n@id("x") permit (${ANY});` },
    'b.cedar',
    2,
    /a\.cedar:1/,
  ],
  [
    'an @id that is another’s number',
    { 'a.cedar': `permit (${ANY});\n@id("a.cedar#1") permit (${ANY});` },
    'a.cedar',
    2,
    /a\.cedar#1/,
  ],
  ['an empty @id', { 'a.cedar': `@id("") permit (${ANY});` }, 'a.cedar', 1, /@id/],
  ['an @id that can’t be shown', { 'a.cedar': `@id("a\\nb") permit (${ANY});` }, 'a.cedar', 1, /@id/],
  ...['0', '-1', '1.5', 'two', '', '2 ', '100'].map((quorum): (typeof errors)[number] => [
    `@quorum("${quorum}")`,
    { 'a.cedar': `\n@hold("g")\n@quorum("${quorum}")\nforbid (${ANY}) ${clause};` },
    'a.cedar',
    2,
    /@quorum/,
  ]),
  [
    '@hold without an approval clause',
    { 'a.cedar': `permit (${ANY});\n@hold("g")\nforbid (${ANY});` },
    'a.cedar',
    2,
    /without an approval clause/,
  ],
  [
    '@hold with another word in its clause',
    { 'a.cedar': `@hold("g") forbid (${ANY}) unless { context has grant };` },
    'a.cedar',
    1,
    /without an approval clause/,
  ],
  [
    '@hold where the approval is only in a comment',
    { 'a.cedar': `@hold("g") forbid (${ANY}) // ${clause}\n;` },
    'a.cedar',
    1,
    /without an approval clause/,
  ],
  [
    '@hold on a permit',
    { 'a.cedar': `@hold("g") permit (${ANY}) when { context has approval };` },
    'a.cedar',
    1,
    /@hold on a permit/,
  ],
  ['@hold("")', { 'a.cedar': `@hold("") forbid (${ANY}) ${clause};` }, 'a.cedar', 1, /names no group/],
  ['@hold without a value', { 'a.cedar': `@hold forbid (${ANY}) ${clause};` }, 'a.cedar', 1, /names no group/],
  [
    '@hold with an empty one among its groups',
    { 'a.cedar': `@hold("a,,b") forbid (${ANY}) ${clause};` },
    'a.cedar',
    1,
    /names no group/,
  ],
  ...(
    [
      ['sre', /without after how long/],
      ['', /without after how long/],
      ['3m', /without after how long/],
      ['3x: sre', /no duration/],
      ['0m: sre', /no duration/],
      ['-3m: sre', /no duration/],
      ['3 m: sre', /no duration/],
      ['8d: sre', /no duration of 7d at most/],
      [': sre', /no duration/],
      ['soon: sre', /no duration/],
      ['3m:', /asks no group after 3m/],
      ['3m: sre,', /without after how long/],
      ['3m: sre, leads', /without after how long/],
      ['6m: sre, 3m: leads', /says 3m after 6m/],
      ['1h: sre, 59m: leads', /says 59m after 1h/],
    ] as const
  ).map(([value, words]): (typeof errors)[number] => [
    `@escalate("${value}")`,
    { 'a.cedar': `\n@hold("g")\n@escalate("${value}")\nforbid (${ANY}) ${clause};` },
    'a.cedar',
    2,
    words,
  ]),
  [
    '@escalate without @hold',
    { 'a.cedar': `@escalate("3m: sre") forbid (${ANY});` },
    'a.cedar',
    1,
    /@escalate without @hold/,
  ],
  [
    '@escalate without a value',
    { 'a.cedar': `@hold("g") @escalate forbid (${ANY}) ${clause};` },
    'a.cedar',
    1,
    /@escalate/,
  ],
  [
    '@critical that says no',
    { 'a.cedar': `@hold("g") @critical("no") forbid (${ANY}) ${clause};` },
    'a.cedar',
    1,
    /@critical/,
  ],
  ['a template', { 'a.cedar': 'permit (\n  principal == ?principal, action, resource);' }, 'a.cedar', 2, /template/],
  [
    'an attribute that the schema lacks',
    { 'a.cedar': `// ü\npermit (${ANY})\nwhen { context.command.knd == "delete" };` },
    'a.cedar',
    3,
    /knd/,
  ],
  [
    'an action that the schema lacks',
    { 'a.cedar': 'permit (principal, action == Action::"sql:raed", resource);' },
    'a.cedar',
    1,
    /sql:raed/,
  ],
  [
    'an optional attribute used without has',
    { 'a.cedar': `permit (${ANY}) when { context.purpose == "x" };` },
    'a.cedar',
    1,
    /purpose/,
  ],
  [
    'approval where the action has none',
    {
      'a.cedar':
        '@hold("g") forbid (principal, action == Action::"data:reveal", resource) when { context.approval.groups.contains("x") };',
    },
    'a.cedar',
    1,
    /approval/,
  ],
  [
    'a policy that can never apply',
    { 'a.cedar': `permit (${ANY});\nforbid (${ANY})\nwhen { 1 == 2 };` },
    'a.cedar',
    2,
    /impossible/,
  ],
  [
    'an action on what it is never asked about',
    { 'a.cedar': 'forbid (principal, action == Action::"sql:connect", resource is Table);' },
    'a.cedar',
    1,
    /applicable action|impossible/,
  ],
  [
    'names written so that they look like others',
    { 'a.cedar': 'permit (principal in Group::"c\u0456-agents", action, resource);' },
    'a.cedar',
    1,
    /mixed scripts/,
  ],
  ['bytes that are no UTF-8', { 'a.cedar': new Uint8Array([0x2f, 0x2f, 0xff, 0x0a]) }, 'a.cedar', 0, /UTF-8/],
]

test.each(errors)('refuses %s', async (_, files, file, line, message) => {
  const loaded = await load(files)
  expect(loaded.ok).toBe(false)
  if (loaded.ok) return
  expect(loaded.problems[0]).toMatchObject({ file, line, message: expect.stringMatching(message) })
  for (const problem of loaded.problems) expect(problem.mend).toBeTruthy()
})

test('tells every problem of every file at once', async () => {
  const loaded = await load({
    'a.cedar': `@hold("g") @quorum("0") forbid (${ANY});\n@hold("g") permit (${ANY});`,
    'b.cedar': 'nonsense',
  })
  expect(!loaded.ok && loaded.problems.map((p) => `${p.file}:${p.line}`)).toEqual([
    'a.cedar:1',
    'a.cedar:1',
    'a.cedar:2',
    'b.cedar:1',
  ])
})

test('refuses a folder that is not there', async () => {
  const loaded = await loadPolicies('/nonexistent/policy')
  expect(loaded).toMatchObject({ ok: false, problems: [{ file: '/nonexistent/policy', line: 0 }] })
})

const warnings: [name: string, text: string, line: number, message: RegExp][] = [
  ['an unknown annotation', `permit (${ANY});\n@owner("x")\npermit (${ANY});`, 2, /@owner/],
  ['an annotation by the name of a prototype', `@constructor("x") permit (${ANY});`, 1, /@constructor/],
  ['@quorum without @hold', `@quorum("2") forbid (${ANY}) when { context has grant };`, 1, /@quorum without @hold/],
  ['an approval clause without @hold', `forbid (${ANY}) ${clause};`, 1, /context\.approval/],
  ['an empty file', '// nothing yet', 0, /everything is denied/],
]
test.each(warnings)('warns of %s', async (_, text, line, message) => {
  const loaded = await load({ 'a.cedar': text })
  expect(loaded.ok && loaded.warnings).toContainEqual(
    expect.objectContaining({ line, message: expect.stringMatching(message), mend: expect.stringMatching(/./) }),
  )
})

test('the example of the contract loads without a word', async () => {
  const loaded = await load({ 'base.cedar': CONTRACT_EXAMPLE })
  expect(loaded.ok && loaded.warnings).toEqual([])
  expect(loaded.ok && loaded.policies.list).toMatchObject([
    { id: 'base.cedar#1', file: 'base.cedar', line: 2, effect: 'permit', hold: undefined },
    {
      id: 'unbounded-delete',
      line: 5,
      effect: 'forbid',
      hold: { groups: ['oncall-dba'], quorum: 2 },
      reason: 'Deletes every row',
    },
    { id: 'base.cedar#3', line: 10, effect: 'permit' },
  ])
})

test('numbers policies in the order of the file, whatever is commented out or written in strings', async () => {
  const many = Array.from(
    { length: 12 },
    (_, i) => `permit (${ANY}) when { context.command.kind == "k${i}; // \\" not" };`,
  )
  const text = `// permit (${ANY});\n${many.join('\n// ; "\n')}`
  const loaded = await load({ 'x.cedar': text })
  expect(loaded.ok && loaded.policies.list.map(({ id, line }) => [id, line])).toEqual(
    many.map((_, i) => [`x.cedar#${i + 1}`, 2 + 2 * i]),
  )
})

test('@hold takes several groups, with or without blanks', async () => {
  const loaded = await load({ 'a.cedar': `@hold(" a,b , a") forbid (${ANY}) ${clause};` })
  expect(loaded.ok && loaded.policies.list[0]!.hold).toEqual({ groups: ['a', 'b'], quorum: 1 })
})

test('an @id may be __proto__', async () => {
  const loaded = await load({ 'a.cedar': `@id("__proto__") permit (${ANY});\n@id("b") permit (${ANY});` })
  expect(loaded.ok && loaded.policies.list.map((p) => p.id)).toEqual(['__proto__', 'b'])
})

test('reads links as Kubernetes mounts them, leaves hidden and other files out, and warns of subfolders', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-policy-'))
  try {
    await mkdir(join(folder, '..2026'))
    await writeFile(join(folder, '..2026', 'a.cedar'), `@id("linked") permit (${ANY});`)
    await symlink('..2026', join(folder, '..data'))
    await symlink('..data/a.cedar', join(folder, 'a.cedar'))
    await writeFile(join(folder, 'README.md'), 'not Cedar')
    await mkdir(join(folder, 'drafts'))
    await writeFile(join(folder, 'drafts', 'b.cedar'), 'not read')
    const loaded = await loadPolicies(folder)
    expect(loaded.ok && loaded.policies.list.map((p) => p.id)).toEqual(['linked'])
    expect(loaded.ok && loaded.warnings).toMatchObject([{ file: 'drafts', message: expect.stringMatching(/not read/) }])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('another text is another version', async () => {
  const [a, b, again] = await Promise.all([
    load({ 'a.cedar': `permit (${ANY});` }),
    load({ 'b.cedar': `permit (${ANY});` }),
    load({ 'a.cedar': `permit (${ANY});` }),
  ])
  if (!a.ok || !b.ok || !again.ok) throw new Error('refused')
  expect(a.policies.version).toMatch(/^sha256:[0-9a-f]{64}$/)
  expect(b.policies.version).not.toBe(a.policies.version)
  expect(again.policies.version).toBe(a.policies.version)
})

test('of a set that was in force what the validator only warns of is a warning, and so it is of an overlay', async () => {
  const never = 'forbid (principal, action == Action::"sql:connect", resource is Table);'
  const warned = expect.arrayContaining([expect.objectContaining({ message: expect.stringMatching(/impossible/) })])
  expect(readPolicyTexts([{ file: 'a.cedar', text: never }])).toMatchObject({ ok: true, files: { warnings: warned } })
  expect(readPolicyTexts([{ file: 'a.cedar', text: never }], { strict: true })).toMatchObject({ ok: false })
  const overlay = { file: overlayFile('ov_1'), text: never }
  expect(readPolicyTexts([overlay], { strict: true })).toMatchObject({ ok: true, files: { warnings: warned } })
})
