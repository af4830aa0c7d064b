import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bin, compiled } from '../testing/cli.ts'

let folder: string
let script: string
const env = () => ({
  ...compiled,
  PATH: `${folder}:${process.env.PATH}`,
  HOME: folder,
  XDG_CONFIG_HOME: join(folder, 'config'),
})
const run = (...args: string[]) => spawnSync(process.execPath, [bin, ...args], { env: env(), encoding: 'utf8' })

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-completion-'))
  // What a shell runs for the names of connections: the program itself, with names that it knows.
  const config = join(folder, 'config', 'countersign')
  mkdirSync(config, { recursive: true, mode: 0o700 })
  writeFileSync(join(config, 'current'), 'https://gw.example.com', { mode: 0o600 })
  const names = ['orders', 'payments', 'web-1', '$(touch pwned)', '--yes']
  writeFileSync(
    join(config, `connections-${encodeURIComponent('https://gw.example.com')}.json`),
    JSON.stringify(names),
    { mode: 0o600 },
  )
  writeFileSync(join(folder, 'countersign'), `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`)
  chmodSync(join(folder, 'countersign'), 0o755)
  script = run('completion', 'bash').stdout
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What bash offers behind these words; the last is being typed. */
function offered(...words: string[]): string[] {
  const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  const line = `${script}
set -u; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; COMPREPLY=()
_countersign; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', line], { env: env(), encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.split('\n').filter((one) => one !== '')
}

describe('completion in bash', () => {
  it.each<[words: string[], offers: string[]]>([
    [['countersign', 'appro'], ['approvals']],
    [
      ['countersign', 'approvals', ''],
      ['list', 'show', 'approve', 'deny', 'watch'],
    ],
    [['countersign', '--gateway', 'https://x', 'approvals', 'de'], ['deny']],
    [['countersign', 'approvals', 'approve', 'ap_1', '--br'], ['--break-glass']],
    [['countersign', 'approvals', 'approve', 'ap_1', ''], []],
    [
      ['countersign', 'grants', 'request', ''],
      ['orders', 'payments', 'web-1'],
    ],
    [['countersign', 'grants', 'request', '--actions', 'sql:read', 'pay'], ['payments']],
    [['countersign', 'connections', 'freeze', 'w'], ['web-1']],
    [['countersign', 'sessions', 'list', '--connection', 'o'], ['orders']],
    [['countersign', 'connect', 'p'], ['payments']],
    [
      ['countersign', 'connect', 'orders', '--hold', ''],
      ['wait', 'fail'],
    ],
    [
      ['countersign', '--as', ''],
      ['person', 'agent'],
    ],
    [
      ['countersign', 'completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['countersign', 'token', 'orders', ''], []],
    [['countersign', 'nonsense', ''], []],
  ])('%j: %j', (words, offers) => expect(offered(...words)).toEqual(offers))

  it('leaves a client’s own command line to the client', () => {
    expect(offered('countersign', 'connect', 'orders', '--', 'whoam')).toContain('whoami')
  })

  it('knows every command that the help knows', () => {
    const commands = [...run('--help').stdout.matchAll(/^ {2}([a-z][a-z-]+) /gm)].map(([, name]) => name)
    expect(offered('countersign', '')).toEqual(commands)
  })
})

describe('completion in other shells', () => {
  it.each([
    ['zsh', /^#compdef countersign\n/],
    ['fish', /complete -c countersign -f -n '__countersign_at approvals' -a deny -d 'deny it'\n/],
  ])('%s has a script', (shell, words) => {
    expect(run('completion', shell)).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(words) })
  })
})

describe('connection-names', () => {
  it('is silent and content, whatever is wrong', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [bin, 'connection-names'], {
      env: { ...compiled, PATH: process.env.PATH, HOME: '/dev/null' },
      encoding: 'utf8',
    })
    expect([status, stdout, stderr]).toEqual([0, '', ''])
  })
})
