import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argvOf } from '@countersign/contract/argv'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { execEffects, unfit } from './effects.ts'

describe('words of a command line', () => {
  test.each([
    ['uptime', 'uptime', 'uptime'],
    ['  ls   -l\t/tmp ', 'ls -l /tmp', 'ls'],
    ["ls 'my file'", "ls 'my file'", 'ls'],
    ['ls my\\ file', "ls 'my file'", 'ls'],
    ['ls "my file"', "ls 'my file'", 'ls'],
    [`echo "it's" ''`, `echo 'it'\\''s' ''`, 'echo'],
    ['"/usr/bin/env" x', '/usr/bin/env x', '/usr/bin/env'],
    ["sh -c 'rm -rf /; id'", "sh -c 'rm -rf /; id'", 'sh'],
    ['env A=1 id', 'env A=1 id', 'env'],
    ["'if' x", "'if' x", 'if'],
    [`echo 'a"b' a\\ b\\'c`, `echo 'a"b' 'a b'\\''c'`, 'echo'],
    ["'A'=1 id", "'A=1' id", 'A=1'],
    ["i'f' x", "'if' x", 'if'],
    ['rsync --server -logDtpre.iLsfxCIvu . /srv', 'rsync --server -logDtpre.iLsfxCIvu . /srv', 'rsync'],
    ["git-upload-pack '/srv/a.git'", 'git-upload-pack /srv/a.git', 'git-upload-pack'],
    ['echo "tab\there"', "echo 'tab\there'", 'echo'],
  ])('%s', (text, argv, program) => expect(argvOf(text)).toEqual({ argv, program, shell: false }))

  test.each([
    'uptime; id',
    'a && b',
    'a | b',
    'a & ',
    'a > /tmp/x',
    'a < b',
    'echo $HOME',
    'echo "$HOME"',
    'echo `id`',
    'echo "`id`"',
    'ls *',
    'ls ?',
    'ls [a]',
    'ls ~',
    'ls x:~',
    'a {b,c}',
    '(id)',
    'a\nb',
    'a\rb',
    'A=1 id',
    'A+=1 id',
    'if x',
    '! id',
    'time id',
    'echo # x',
    "echo 'open",
    'echo "open',
    'echo \\',
    'echo a\\\nb',
    'ls =id',
    '%1',
    'a^b',
    '!!',
    '',
    '  ',
    'echo ä',
    'a\u00a0b',
    'echo \\\u00e4',
    "echo 'a\nb'",
    'echo "a\nb"',
    "echo '\u0007'",
    'echo \ud800',
    "$'a'",
    'while x',
    // Quoted in part, it is an assignment still.
    "PATH='/tmp/evil' ls",
    'A="" rm -rf /',
    'A=\\x id',
    "A+='1' id",
    "ls ='id'",
    "%'1'",
    // What fish, csh or zsh read otherwise than sh.
    "echo 'a\\'' ; id #'",
    'echo "a\\"; id; #"',
    'echo "a\\\\b"',
    'echo a\\\\b',
    'echo \\n',
    "echo 'a!b'",
    'echo "a!b"',
    '- id',
    'and id',
    '@ id',
  ])('%j is for a shell', (text) => expect(argvOf(text).shell).toBe(true))

  test('the words of what a shell is for are still told', () =>
    expect(argvOf('rm -rf *; id')).toEqual({ argv: "rm -rf '*;' id", program: 'rm', shell: true }))
})

describe('against real shells', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-argv-'))
    for (const name of ['show', 'if', 'A=1', 'a b']) {
      writeFileSync(join(folder, name), `#!/bin/sh\nprintf '%s\\0' ${quoted(name)} "$@"\n`)
      chmodSync(join(folder, name), 0o755)
    }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const piece = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom(' ', '  ', 'a', 'b c', 'show', 'if', '-x', '=', 'A=1', '/', '%', '.', 'ü'),
    },
    {
      weight: 5,
      arbitrary: fc.constantFrom("'", '"', '\\', "''", '""', "'a b'", '"a b"', '\\"', "\\'", '\\ ', '\t', '\\\\'),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '$',
        '`',
        '*',
        '?',
        '[',
        ']',
        '~',
        '#',
        ';',
        '&',
        '|',
        '<',
        '>',
        '(',
        ')',
        '!',
        '^',
        '{a,b}',
        '\n',
      ),
    },
  )
  const line = fc
    .tuple(
      fc.constantFrom('show ', '"show" ', "'if' ", 'a\\ b ', "'A=1' ", '', "A='1'", 'A="1"', 'A=1'),
      fc.array(piece, { maxLength: 14 }),
    )
    .map(([first, rest]) => first + rest.join(''))

  test.each(['dash', 'bash', 'sh'])('%s runs exactly these words where it says that no shell is needed', (shell) => {
    let plain = 0
    fc.assert(
      fc.property(line, (text) => {
        const { shell: needed, argv, program } = argvOf(text)
        if (needed || !['show', 'if', 'A=1', 'a b'].includes(program)) return
        plain++
        const run = spawnSync(`/bin/${shell}`, ['-c', text], { env: { PATH: folder }, timeout: 10_000 })
        const words = run.stdout.toString().split('\0').slice(0, -1)
        expect(words.map((word, n) => canonical(word, n === 0)).join(' '), text).toBe(argv)
        // What is told to policy is a command line of the same words itself.
        expect(argvOf(argv)).toEqual({ argv, program, shell: false })
      }),
      { numRuns: 500, seed: 20261122 },
    )
    expect(plain).toBeGreaterThan(100)
  })
})

const canonical = (word: string, first: boolean) =>
  first ? argvOf(quoted(word)).argv : argvOf(`x ${quoted(word)}`).argv.slice(2)
const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`

test('the same text has the same effects, by identity', () => {
  expect(execEffects('web', 'uptime')).toBe(execEffects('web', 'uptime'))
  expect(execEffects('web', 'uptime')).not.toBe(execEffects('db', 'uptime'))
  expect(execEffects('web', 'uptime')).toEqual([
    {
      action: 'ssh:exec',
      resource: { type: 'Connection', id: 'web' },
      command: { argv: 'uptime', program: 'uptime', shell: false },
    },
  ])
})

test.each([
  ['uptime', undefined],
  ['a\0b', 'it holds a NUL byte'],
  ['a\ufffdb', 'it is not valid UTF-8'],
])('%j', (text, why) => expect(unfit(text)).toBe(why))
