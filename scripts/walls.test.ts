import { describe, expect, test } from 'vitest'
import { brokenWalls, circles, importsOf } from './walls.ts'

const everything = () => true
const broken = (file: string, text: string) =>
  importsOf(file, text, everything).flatMap((one) => brokenWalls(one).map((wall) => wall.name))

describe('an import through a wall is named', () => {
  test.each([
    ['gateway/src/gateway.ts', `import { app } from '../../src/main/core/core.ts'`, 'gateway-knows-no-console'],
    [
      'src/main/core/core.ts',
      `import type { Gate } from '../../../gateway/src/gate/command.ts'`,
      'console-knows-no-gateway',
    ],
    [
      'src/main/core/core.ts',
      `import type { Gate } from '@countersign/gateway/gate/command'`,
      'console-knows-no-gateway',
    ],
    ['contract/src/api.ts', `import fs from 'fs'`, 'contract-is-pure'],
    ['cli/src/cli.ts', `import { main } from '@countersign/gateway/cli'`, 'cli-knows-contract-alone'],
    ['gateway/src/cli.ts', `import { main } from '@countersign/cli/cli'`, 'nobody-knows-cli'],
    ['gateway/src/postgres/session.ts', `export * from '../approvals/approvals.ts'`, 'protocols-know-little'],
    ['gateway/src/gate/gate.ts', `type A = import('../postgres/session.ts').Session`, 'gate-knows-no-protocol'],
    ['gateway/src/gate/gate.ts', `const api = await import("../api/api.ts")`, 'api-on-top'],
    ['gateway/src/store/store.ts', `import { x } from '../gate/digest.ts'`, 'store-is-ground'],
    ['src/main/core/link.ts', `import { shell } from 'electron'`, 'core-runs-anywhere'],
    ['src/main/browser/shell.ts', `import { shell } from 'electron/main'`, 'electron-in-its-shell'],
    ['src/renderer/app/store.ts', `import { x } from '../../main/core/core.ts'`, 'renderer-knows-no-transport'],
    ['src/renderer/app/store.ts', `import { join } from 'node:path'`, 'renderer-has-no-node'],
  ])('%s: %s', (file, text, wall) => {
    expect(broken(file, text)).toContain(wall)
  })

  test.each([
    ['gateway/src/postgres/session.ts', `import type { Gate } from '../gate/command.ts'`],
    ['cli/src/cli.ts', `import { verifyBundleFile } from '@countersign/contract/node/verify-file'`],
    ['gateway/src/gate/gate.test.ts', `import { startPostgres } from '../../../demo/postgres.ts'`],
    ['src/main/electron/main.ts', `import { app } from 'electron'`],
    ['src/renderer/app/store.ts', `import type { ConsoleApi } from '../../console-api.ts'`],
  ])('%s may: %s', (file, text) => {
    expect(broken(file, text)).toEqual([])
  })
})

test('a file that uses what is newest in the grammar is still read', () => {
  expect(importsOf('bench/a.ts', `import { a } from './b.ts'\nawait using x = a()`, everything)).toHaveLength(1)
})

test('circles at run time are found, type-only ones are none', () => {
  const at = (from: string, to: string, typeOnly = false) => ({ from, to, typeOnly })
  expect(circles([at('a', 'b'), at('b', 'c'), at('c', 'a')])).toEqual([['a', 'b', 'c', 'a']])
  expect(circles([at('a', 'b'), at('b', 'a', true)])).toEqual([])
})
