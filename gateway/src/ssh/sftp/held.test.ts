import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RecordingEvent } from '@countersign/contract/recording'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HOST, type Ran, run, start, type Way } from '../testing/clients.ts'
import { policy, type SshWorld, startSshWorld } from '../testing/world.ts'

let world: SshWorld
let through: Way
let home: string
let nth = 0
beforeAll(async () => {
  // Clients look before they do anything: only what changes something is held here.
  const changes = policy.replace(
    'action in [Action::"sftp:read", Action::"sftp:write"]',
    'action == Action::"sftp:write"',
  )
  const revealing = 'permit (principal, action == Action::"data:reveal", resource == DataClass::"iban");'
  world = await startSshWorld({
    policy: `${changes}${revealing}\n`,
    connection: { masking: { detect: ['card', 'iban'] } },
  })
  through = await world.through()
  home = world.sshd.folder
})
afterAll(() => world?.[Symbol.asyncDispose]())

const batch = (way: Way, ...lines: string[]): Promise<Ran> =>
  run(way, 'sftp', ['-oBatchMode=no', '-b', '-', HOST], { input: lines.map((line) => `${line}\n`).join('') })

function fresh(): string {
  const folder = join(home, `folder-${++nth}`)
  mkdirSync(folder)
  return folder
}

async function recorded(): Promise<RecordingEvent[]> {
  const [session] = await world.sessions()
  return world.recorded(session!.id)
}

test('what is held waits, and nothing that follows it overtakes; once approved it is done, and what follows', async () => {
  const folder = fresh()
  writeFileSync(join(folder, 'held'), 'old')
  const ran = batch(through, `rm ${folder}/held`, `mkdir ${folder}/after`)
  const held = await world.held()
  expect(held.command).toMatchObject({ text: `remove ${folder}/held`, kind: 'remove' })
  expect(readFileSync(join(folder, 'held'), 'utf8')).toBe('old')
  await world.decide('approve')
  const { code, said } = await ran
  expect(code).toBe(0)
  expect(said).toContain(`countersign: remove ${folder}/held: held for approval ${held.id}`)
  expect(() => readFileSync(join(folder, 'held'))).toThrow('ENOENT')
  const order = (await recorded()).flatMap((event) => (event.type === 'command' ? [event.kind] : []))
  expect(order.slice(-2)).toEqual(['remove', 'mkdir'])
})

test('what somebody denies is not done; the channel goes on', async () => {
  const folder = fresh()
  writeFileSync(join(folder, 'held'), 'old')
  const ran = batch(through, `-rm ${folder}/held`, `mkdir ${folder}/after`)
  await world.decide('deny')
  expect(await ran).toMatchObject({ code: 0, said: expect.stringContaining('denied by Ada: so it is, deny') })
  expect(readFileSync(join(folder, 'held'), 'utf8')).toBe('old')
})

test('with hold=fail it is refused at once, and done once it is asked for again', async () => {
  const folder = fresh()
  writeFileSync(join(folder, 'held'), 'old')
  const failing = await world.through({ lines: ['SetEnv COUNTERSIGN_HOLD=fail'] })
  const refused = await batch(failing, `rm ${folder}/held`)
  expect(refused).toMatchObject({ code: 1, said: expect.stringContaining('held for approval') })
  await world.decide('approve')
  expect(await batch(failing, `rm ${folder}/held`)).toMatchObject({ code: 0 })
  writeFileSync(join(folder, 'held'), 'again')
  expect(await batch(failing, `rm ${folder}/held`)).toMatchObject({ code: 1 })
  await world.decide('deny')
  expect(readFileSync(join(folder, 'held'), 'utf8')).toBe('again')
})

test('a name that leads elsewhere by the time it is approved is not what was shown', async () => {
  const folder = fresh()
  for (const name of ['a', 'b']) writeFileSync(join(folder, `${name}-held`), name)
  symlinkSync('a-held', join(folder, 'link'))
  const ran = batch(through, `chmod 600 ${folder}/link`)
  const held = await world.held()
  expect(held.command.text).toContain(`${folder}/link (${folder}/a-held)`)
  symlinkSync('b-held', join(folder, 'other'))
  renameSync(join(folder, 'other'), join(folder, 'link'))
  await world.decide('approve')
  expect(await ran).toMatchObject({ code: 1, said: expect.stringContaining('it is not what it was when it was shown') })
})

test('a file that is put was shown to nobody: it is approved for once only', async () => {
  const folder = fresh()
  const local = join(world.folder, 'content')
  writeFileSync(local, 'content')
  const ran = run(through, 'scp', ['-q', local, `${HOST}:${folder}/held`])
  const held = await world.held()
  expect(held.command).toMatchObject({ kind: 'put', input: 'not-shown' })
  await expect(world.decide('approve', 'session')).rejects.toThrow('400')
  await world.decide('approve')
  expect(await ran).toMatchObject({ code: 0 })
  expect(readFileSync(join(folder, 'held'), 'utf8')).toBe('content')
})

test('a client that goes takes what is held with it', async () => {
  const folder = fresh()
  writeFileSync(join(folder, 'held'), 'old')
  const client = start(through, 'sftp', ['-oBatchMode=no', '-b', '-', HOST], { input: `rm ${folder}/held\n` })
  const held = await world.held()
  client.kill('SIGKILL')
  const feed = await world.feed()
  for (let told = 0; ; ) {
    const { state } = await world.as<{ state: string }>('ada', `/v1/approvals/${held.id}`)
    if (state !== 'pending') {
      expect(state).toBe('cancelled')
      break
    }
    await feed.until((messages) => messages.length > told)
    told = feed.messages.length
  }
  await feed.close()
  expect(readFileSync(join(folder, 'held'), 'utf8')).toBe('old')
})

test('a file with what is to be masked is not handed out; what may be revealed is, and what has none', async () => {
  const folder = fresh()
  writeFileSync(join(folder, 'card'), `${'x'.repeat(300_000)} 4111 1111 1111 1111 \n`)
  writeFileSync(join(folder, 'iban'), 'DE89 3704 0044 0532 0130 00\n')
  writeFileSync(join(folder, 'none'), 'nothing\n')
  const out = (name: string) => join(world.folder, `out-${name}`)
  const get = (name: string) => batch(through, `get ${folder}/${name} ${out(name)}`)
  const card = await get('card')
  expect(card).toMatchObject({ code: 1, said: expect.stringContaining('it holds what is to be masked (card)') })
  expect(() => readFileSync(out('card'))).toThrow('ENOENT')
  expect((await recorded()).find((event) => event.type === 'result' && event.status === 'refused')).toBeDefined()
  for (const name of ['iban', 'none']) {
    expect(await get(name)).toMatchObject({ code: 0 })
    expect(readFileSync(out(name))).toEqual(readFileSync(join(folder, name)))
  }
})
