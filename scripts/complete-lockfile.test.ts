import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { missingEntries } from './complete-lockfile.ts'

test('what is missing of other platforms is named with its platform; what is there is left alone', () => {
  const missing = missingEntries({
    '': {},
    'node_modules/a': {
      dev: true,
      optionalDependencies: {
        '@a/cli-darwin-arm64': '2.0.0',
        '@a/cli-linux-x64-musl': '^2.0.0',
        '@a/cli-linux-x64': '2.0.0',
        '@a/wasm32-wasi': '2.0.0',
      },
    },
    'node_modules/@a/cli-linux-x64': { version: '2.0.0' },
    'node_modules/b/node_modules/c': { optionalDependencies: { d: '1.0.0' } },
    'node_modules/b/node_modules/d': {},
  })
  expect(missing).toEqual({
    'node_modules/@a/cli-darwin-arm64': { version: '2.0.0', cpu: ['arm64'], dev: true, optional: true, os: ['darwin'] },
    'node_modules/@a/cli-linux-x64-musl': {
      version: '2.0.0',
      cpu: ['x64'],
      dev: true,
      libc: ['musl'],
      optional: true,
      os: ['linux'],
    },
    'node_modules/@a/wasm32-wasi': { version: '2.0.0', cpu: ['wasm32'], dev: true, optional: true },
  })
})

test('the lock file of this repository is whole: npm ci takes no other', () => {
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package-lock.json'), 'utf8'))
  expect(missingEntries(lock.packages)).toEqual({})
})
