import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { RecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run, start } from '../testing/clients.ts'
import { policy, type SshWorld, startSshWorld } from '../testing/world.ts'

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
const card = '4111 1111 1111 1111'
const email = 'jane@example.com'

let world: SshWorld
let seen: string[] = []
beforeAll(async () => {
  world = await startSshWorld({
    connection: { masking: { detect: ['card', 'email', 'pem'] } },
    policy: `${policy}
      permit (principal, action == Action::"data:reveal", resource == DataClass::"email");`,
  })
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** What the newest session said in its channels, as it is recorded. */
async function recorded(): Promise<Extract<RecordingEvent, { type: 'output' }>[]> {
  const sessions = (await world.sessions()).filter(({ id }) => !seen.includes(id))
  seen = [...seen, ...sessions.map(({ id }) => id)]
  const events = await Promise.all(sessions.map(({ id }) => world.recorded(id)))
  return events.flat().filter((event) => event.type === 'output')
}
const text = (events: Awaited<ReturnType<typeof recorded>>) =>
  events.map(({ data }) => (typeof data === 'string' ? data : Buffer.from(data!.base64, 'base64').toString())).join('')

test('what is found in a command’s output is masked, and what may be seen is masked in the recording alone', async () => {
  writeFileSync(join(world.sshd.folder, 'secrets'), `to ${email}, by ${card}\n${key}`)
  const said = await run(await world.through(), 'ssh', ['host', `cat ${world.sshd.folder}/secrets; echo ${card} >&2`])
  expect(said).toMatchObject({ code: 0, said: '[masked: card]\n' })
  expect(said.stdout.toString()).toBe(`to ${email}, by [masked: card]\n[masked: pem]\n`)
  const outputs = await recorded()
  expect(text(outputs.filter(({ stream }) => stream === 'stdout'))).toBe(
    'to [masked: email], by [masked: card]\n[masked: pem]\n',
  )
  expect([...new Set(outputs.flatMap(({ masked }) => masked ?? []))].sort()).toEqual(['card', 'email', 'pem'])
})

test.each<[string, 'scp' | 'rsync', (folder: string, to: string) => string[]]>([
  ['scp -O', 'scp', (folder, to) => ['-O', `host:${folder}/card`, to]],
  ['rsync', 'rsync', (folder, to) => [`host:${folder}/card`, to]],
])('%s can’t fetch a file that holds it, and says why and what to do', async (name, program, args) => {
  writeFileSync(join(world.sshd.folder, 'card'), `${'x\n'.repeat(9)}${card}\n`)
  const ran = await run(await world.through(), program, args(world.sshd.folder, join(world.folder, `of-${program}`)))
  expect(ran.code).not.toBe(0)
  expect(ran.said.replaceAll('\r', '')).toContain(
    `countersign: ended: what ${name.split(' ')[0]} sends holds what is masked here (card), and a file can’t be masked on its way\ncountersign: Leave that file out`,
  )
  expect(text(await recorded())).not.toContain(card)
})

test('written a byte at a time, and on a terminal', async () => {
  const way = await world.through()
  const byBytes = `bash -c 's="${card}"; for ((n = 0; n < 19; n++)); do printf %s "${'$'}{s:n:1}"; done; echo'`
  expect((await run(way, 'ssh', ['host', byBytes])).stdout.toString()).toBe('[masked: card]\n')
  expect((await run(way, 'ssh', ['-tt', 'host', `echo '${card}'`])).stdout.toString()).toBe('[masked: card]\r\n')
  expect(text(await recorded()).replaceAll(/\r?\n/g, '')).toBe('[masked: card][masked: card]')
})

test('a program that asks and waits is answered', async () => {
  const input = new PassThrough()
  const asking = start(
    await world.through(),
    'ssh',
    ['host', 'printf "who are you? "; read name; echo "hello $name"'],
    {
      input,
    },
  )
  const [question] = (await once(asking.stdout!, 'data')) as [Buffer]
  expect(question.toString()).toBe('who are you? ')
  input.end('it is me\n')
  const [answer] = (await once(asking.stdout!, 'data')) as [Buffer]
  expect(answer.toString()).toBe('hello it is me\n')
  await once(asking, 'close')
})

test('what has none of it passes byte for byte', async () => {
  const command = 'head -c 3000000 /bin/bash; head -c 1000000 /bin/bash >&2'
  const [direct, through] = await Promise.all(
    [world.sshd.direct, await world.through()].map((way) => run(way, 'ssh', ['host', command])),
  )
  expect(through!.stdout.includes('[masked')).toBe(false)
  expect(through!.stdout.equals(direct!.stdout)).toBe(true)
  expect(through!.stderr.equals(direct!.stderr)).toBe(true)
})
