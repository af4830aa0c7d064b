import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HOST, type Ran, run, type Way } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'

let world: SshWorld
let through: Way
let home: string
let nth = 0
beforeAll(async () => {
  world = await startSshWorld()
  through = await world.through()
  home = world.sshd.folder
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** Runs sftp's commands; without BatchMode, which would ask for no password. */
const batch = (way: Way, ...lines: string[]): Promise<Ran> =>
  run(way, 'sftp', ['-oBatchMode=no', '-b', '-', HOST], { input: lines.map((line) => `${line}\n`).join('') })

/** A folder on the host that nobody else uses. */
function fresh(): string {
  const folder = join(home, `folder-${++nth}`)
  mkdirSync(folder)
  return folder
}

async function recorded(): Promise<RecordingEvent[]> {
  const [session] = await world.sessions()
  return world.recorded(session!.id)
}

/** What was done in the last session: each operation with its verdict and how it ended. */
async function operations(): Promise<[text: string, verdict: string, status: string][]> {
  const events = await recorded()
  return events.flatMap((event) => {
    if (event.type !== 'command' || ['connect', 'sftp'].includes(event.kind)) return []
    const result = events.find((other) => other.type === 'result' && other.command === event.command)
    return [[event.text, event.verdict.outcome, result?.type === 'result' ? result.status : 'none']]
  })
}

/** Sums, modes, times and targets of all that is in a folder. */
const treeOf = (folder: string): string =>
  execFileSync(
    'sh',
    ['-c', 'find . -printf "%P %y %m %s %l %Ts\\n" | sort; find . -type f -exec sha256sum {} + | sort'],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  )

test('what goes through is what goes directly: trees, attributes, links, holes, names', async () => {
  const source = join(world.folder, 'tree')
  mkdirSync(join(source, 'deep', 'er', 'still'), { recursive: true })
  for (const [name, content] of [
    ['empty', ''],
    ['small', 'x'],
    ['odd', randomBytes(32768 * 3 + 1)],
    ['large', randomBytes(5_000_000)],
    ['deep/er/still/below', 'y'],
    ['with space', 'a'],
    ['quo\'te "d"', 'b'],
    ['größe-é', 'c'],
    ['*?[x]', 'd'],
  ] as const)
    writeFileSync(join(source, name), content)
  chmodSync(join(source, 'small'), 0o751)
  execFileSync('touch', ['-d', '2001-02-03T04:05:06Z', join(source, 'small')])
  const there: Record<string, string> = {}
  const back: Record<string, string> = {}
  const said: Record<string, string> = {}
  for (const [name, way] of Object.entries({ direct: world.sshd.direct, through })) {
    const folder = fresh()
    const local = join(world.folder, `back-${name}`)
    mkdirSync(local)
    const ran = await batch(
      way,
      `put -rp ${source} ${folder}/tree`,
      `ln -s small ${folder}/tree/link`,
      `ln ${folder}/tree/odd ${folder}/tree/hard`,
      `rename ${folder}/tree/empty ${folder}/tree/renamed`,
      `mkdir ${folder}/tree/made`,
      `rm ${folder}/tree/large`,
      `rmdir ${folder}/tree/made`,
      `chmod 600 ${folder}/tree/odd`,
      `cp ${folder}/tree/odd ${folder}/tree/copied`,
      `cd ${folder}/tree`,
      'pwd',
      'ls -l deep',
      '-get missing',
      '-rmdir deep',
      '-mkdir deep',
      'df',
      `get -rp ${folder}/tree ${local}/tree`,
    )
    expect(ran.code, ran.said).toBe(0)
    const leave = (text: string) =>
      text
        .replaceAll(folder, 'FOLDER')
        .replaceAll(local, 'LOCAL')
        .replace(/^ +\d.*%$/gm, 'SIZES')
    there[name] = treeOf(join(folder, 'tree')).replace(/ \d+$/gm, (time) => (time === ' 981173106' ? time : ' NOW'))
    back[name] = treeOf(join(local, 'tree')).replace(/ \d+$/gm, (time) => (time === ' 981173106' ? time : ' NOW'))
    said[name] = leave(ran.stdout.toString() + ran.said)
  }
  expect(there.through).toBe(there.direct)
  expect(back.through).toBe(back.direct)
  expect(said.through).toBe(said.direct)
})

describe('what is forbidden stays out of reach by whichever name', () => {
  const asked: [what: string, ...lines: string[]][] = [
    ['its own', 'get FOLDER/forbidden LOCAL/out'],
    ['a link to it', 'get FOLDER/link LOCAL/out'],
    ['a link in a linked folder', 'get FOLDER/around/link LOCAL/out'],
    ['through a folder and back', 'get FOLDER/sub/../forbidden LOCAL/out'],
    ['relative', 'cd FOLDER', 'get forbidden LOCAL/out'],
    ['a list of names', 'get FOLDER/forbidd* LOCAL/out'],
    ['listing it', 'ls FOLDER/forbidden'],
    ['a new link to it', 'ln -s FOLDER/forbidden FOLDER/new'],
    ['a new relative link to it', 'ln -s ../forbidden FOLDER/sub/new'],
    ['a new hard link to it', 'ln FOLDER/forbidden FOLDER/new'],
    ['moving it', 'rename FOLDER/forbidden FOLDER/new'],
    ['moving something over it', 'rename FOLDER/other FOLDER/forbidden'],
    ['copying it', 'cp FOLDER/forbidden FOLDER/new'],
    ['copying over it', 'cp FOLDER/other FOLDER/forbidden'],
    ['writing it', 'put LOCAL/secret FOLDER/forbidden'],
    ['writing through a link', 'put LOCAL/secret FOLDER/link'],
    ['its mode', 'chmod 777 FOLDER/link'],
    ['removing it', 'rm FOLDER/forbidden'],
    ['space below it', 'df FOLDER/forbidden'],
    ['moving the folder that it is in', 'rename FOLDER/holds FOLDER/new'],
    ['a link to it that dangles', 'put LOCAL/secret FOLDER/dangles'],
  ]
  test.each(asked)('%s', async (_, ...lines) => {
    const folder = fresh()
    for (const name of ['sub', 'holds']) mkdirSync(join(folder, name))
    for (const name of ['forbidden', 'holds/forbidden']) writeFileSync(join(folder, name), 'the secret')
    writeFileSync(join(folder, 'other'), 'other')
    writeFileSync(join(world.folder, 'secret'), 'another')
    symlinkSync('forbidden', join(folder, 'link'))
    symlinkSync('.', join(folder, 'around'))
    symlinkSync('forbidden-not-there', join(folder, 'dangles'))
    const before = treeOf(folder)
    const named = lines.map((line) => line.replaceAll('FOLDER', folder).replaceAll('LOCAL', world.folder))
    const ran = await batch(through, ...named)
    expect(ran.code).not.toBe(0)
    expect(ran.said).toContain('denied by policy forbidden-files')
    expect(treeOf(folder)).toBe(before)
    expect(existsSync(join(world.folder, 'out'))).toBe(false)
    expect(JSON.stringify(await recorded())).not.toContain('the secret')
    expect((await operations()).some(([, verdict, status]) => verdict === 'deny' && status === 'refused')).toBe(true)
  })
})
