import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HOST, run } from './clients.ts'
import { type RunningSshd, startSshd } from './sshd.ts'

let sshd: RunningSshd
beforeAll(async () => {
  sshd = await startSshd()
})
afterAll(() => sshd?.stop())

test('every program of OpenSSH reaches the sshd of the tests, with nothing of whoever runs them', async () => {
  const { direct, folder } = sshd
  const said = await run(direct, 'ssh', [HOST, 'cat; echo "$HOME" >&2; exit 7'], { input: 'hello' })
  expect(said).toMatchObject({ code: 7, signal: null, said: `${folder}\n` })
  expect(said.stdout.toString()).toBe('hello')

  const content = randomBytes(300_000)
  const hash = createHash('sha256').update(content).digest('hex')
  const made = await run(direct, 'ssh', [HOST, `cat > ${folder}/one && sha256sum < ${folder}/one`], { input: content })
  expect(made.stdout.toString()).toContain(hash)
  const batch = `cp one two\nget two ${join(folder, 'three')}\n`
  for (const [program, args, input] of [
    ['sftp', ['-b', '-', HOST], batch],
    ['scp', ['-q', `${HOST}:one`, join(folder, 'four')]],
    ['scp', ['-O', '-q', `${HOST}:${folder}/one`, join(folder, 'five')]],
    ['rsync', ['-a', `${HOST}:${folder}/one`, join(folder, 'six')]],
    ['git', ['init', '-q', '--bare', join(folder, 'repository')]],
    ['git', ['clone', '-q', `${HOST}:${folder}/repository`, join(folder, 'clone')]],
  ] as const)
    expect(await run(direct, program, args, { ...(input && { input }) })).toMatchObject({ code: 0 })
  for (const name of ['one', 'two', 'three', 'four', 'five', 'six'])
    expect(readFileSync(join(folder, name))).toEqual(content)
})
