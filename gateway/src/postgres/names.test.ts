import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningPostgres } from '../../../demo/postgres.ts'
import { Names, ROOM } from './names.ts'
import { B, C, E, P, Q, RawClient, S, told } from './testing/raw.ts'
import { startPostgres, startWorld, type World } from './testing/world.ts'

describe('room', () => {
  const made = () => new Names<string>((text) => text.length)

  test('for so many names', () => {
    const names = made()
    for (let n = 0; n < ROOM.names; n++) names.settle(`n${n}`, '')
    expect(names.hasRoom('one more')).toBe(false)
    expect(names.hasRoom('n1')).toBe(true)
    expect(names.hasRoom('')).toBe(true)
    names.drop('n7')
    expect(names.hasRoom('one more')).toBe(true)
  })

  test('for so many bytes, whatever becomes of them', () => {
    const names = made()
    const half = 'x'.repeat(ROOM.bytes / 2)
    names.settle('a', half)
    names.settle('a', half)
    const change = names.set('b', half, 1)
    expect(names.hasRoom('c')).toBe(false)
    change.undo(false)
    expect(names.hasRoom('c')).toBe(true)
    const removal = names.remove('a', 1)
    names.settle('b', half)
    expect(names.hasRoom('c')).toBe(true)
    removal.undo(true)
    expect(names.hasRoom('c')).toBe(false)
    names.dropConfirmed(() => true)
    names.settle('b', half)
    expect(names.hasRoom('c')).toBe(true)
    names.clear()
    names.settle('c', half)
    expect(names.hasRoom('d')).toBe(true)
  })
})

describe('a session that keeps too much', () => {
  let postgres: RunningPostgres
  let world: World
  beforeAll(async () => {
    postgres = await startPostgres()
    world = await startWorld(postgres)
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    await postgres.stop()
  })
  const errors = (frames: Buffer[]) => told(frames).filter((line) => line.startsWith('E'))
  const numbers = Array.from({ length: ROOM.names }, (_, n) => n)

  test('of statements is told so, goes on, and has room again after a Close', async () => {
    const client = await RawClient.start(world.port)
    client.send(...numbers.map((n) => P(`s${n}`, 'SELECT 1')), S)
    expect(errors(await client.ready())).toEqual([])
    const words = 'E 54000 this session keeps as many prepared statements as the gateway lets one keep'
    for (const messages of [
      [P('more', 'SELECT 1'), S],
      [Q('PREPARE more AS SELECT 1')],
      [P('', 'PREPARE more AS SELECT 1'), B('', ''), E(''), S],
    ]) {
      client.send(...messages)
      expect(errors(await client.ready())).toEqual([words])
    }
    client.send(P('', 'SELECT 1'), B('', ''), E(''), B('', 's1'), E(''), C('S', 's1'), S, P('more', 'SELECT 1'), S)
    expect(errors(await client.ready(2))).toEqual([])
    client.socket.destroy()
  })

  test('of portals too', async () => {
    const client = await RawClient.start(world.port)
    client.send(Q('BEGIN'), P('s', 'SELECT 1'), ...numbers.map((n) => B(`p${n}`, 's')), S)
    expect(errors(await client.ready(2))).toEqual([])
    client.send(B('more', 's'), S)
    const words = 'E 54000 this session keeps as many portals as the gateway lets one keep'
    expect(errors(await client.ready())).toEqual([words])
    client.send(Q('ROLLBACK'))
    await client.ready()
    client.send(B('more', 's'), S)
    expect(errors(await client.ready())).toEqual([])
    client.socket.destroy()
  })
})
