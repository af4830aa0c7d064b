import type { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { command, Room } from '../scribe/testing/room.ts'
import { type BundlesRoom, createBundles, MOST_BUNDLES, MOST_OF_ONE, TooMany } from './making.ts'

let room: Room
let session: string
let bundles: BundlesRoom
const streams: Readable[] = []
const person = (name: string) => ({ id: `https://people#${name}`, issuer: 'https://people', subject: name, name })

beforeEach(async () => {
  room = await Room.open()
  const live = await room.session()
  live.recorder.append(command('a'), { type: 'note', text: 'x'.repeat(2_000_000) })
  await live.close('closed', 'done')
  session = live.id
})

/** @param patienceMs how long a bundle waits for its reader: longer than a busy machine takes for what the test does meanwhile */
function begin(patienceMs: number): void {
  bundles = createBundles({
    ledger: room.ledger,
    folder: room.folder,
    recording: (id) => room.sessions.recordingStream(id),
    policy: async () => undefined,
    patienceMs,
  })
}
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.destroy()
  await room[Symbol.asyncDispose]()
})

async function make(name: string): Promise<Readable> {
  const stream = await bundles.bundle(session, person(name))
  stream.on('error', () => {})
  streams.push(stream)
  return stream
}

it('one person’s bundles leave room for those of others', async () => {
  begin(60_000)
  const made = []
  for (let i = 0; i < MOST_OF_ONE; i++) made.push(await make('mallory'))
  await expect(make('mallory')).rejects.toThrow(TooMany)
  made.push(await make('aud'))
  for (const stream of made) for await (const _ of stream);
  for await (const _ of await make('mallory'));
})

it('who does not go on reading loses the bundle, and its place', async () => {
  begin(2000)
  const made = []
  for (let i = 0; i < MOST_BUNDLES; i++) made.push(await make(`p${i}`))
  await expect(make('aud')).rejects.toThrow(TooMany)
  await Promise.all(made.map((stream) => new Promise((resolve) => stream.once('close', resolve))))
  let bytes = 0
  for await (const chunk of await make('aud')) bytes += (chunk as Buffer).length
  expect(bytes).toBeGreaterThan(2_000_000)
})
