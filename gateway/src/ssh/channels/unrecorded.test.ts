import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { RecordingError } from '../../sessions/session.ts'
import type { SshSession, Visitor } from '../session.ts'
import type { ServerChannel, Session } from '../transport/ssh2.ts'
import type { HostChannel, RemoteExit } from '../upstream/host.ts'
import { Channel } from './channel.ts'

/** A shell that runs on a terminal, and a recorder that can be broken. */
async function shell() {
  const log = pino({ enabled: false })
  const disk = { full: false }
  const recorder = {
    outputBound: 1000,
    append: () => {
      if (disk.full) throw new RecordingError('the disk is full')
    },
  }
  const told: string[] = []
  const closed = Promise.withResolvers<RemoteExit>()
  const host = {
    ...{ stdio: new PassThrough(), stderr: new PassThrough(), closed: closed.promise },
    close: () => {
      told.push('host closed')
      closed.resolve({})
    },
    resize: () => told.push('resized'),
    signal: () => told.push('signalled'),
  } as unknown as HostChannel
  const opened = Promise.withResolvers<void>()
  const session = {
    live: { recorder },
    target: { ref: { name: 'web-1' }, env: [], detect: [] },
    commands: { submit: () => ({ run: { id: 'c', end: () => {} } }), reveals: () => false },
    host: {
      open: async () => {
        setImmediate(opened.resolve)
        return host
      },
      closed: new Promise(() => {}),
    },
    hold: () => 'wait',
    log,
    nextChannel: () => '1',
    fail: (because: string) => told.push(because),
  } as unknown as SshSession
  const visitor: Visitor = { begin: async () => session, forbidden: () => {} }
  const said = new PassThrough()
  const stream = Object.assign(new PassThrough(), {
    stderr: said,
    exit: (code: number) => told.push(`exit ${code}`),
    eof: () => {},
    close: () => {},
  }) as unknown as ServerChannel
  stream.resume()
  const asked = new EventEmitter()
  const channel = new Channel(asked as unknown as Session, visitor, { atOnce: 1, shownInput: 1, log })
  const size = { cols: 80, rows: 24, width: 0, height: 0 }
  asked.emit('pty', undefined, undefined, { term: 'xterm', ...size, encoded: Buffer.alloc(1) })
  asked.emit('shell', () => stream)
  await opened.promise
  return { channel, disk, told, said }
}

test.each<[string, (channel: Channel) => boolean]>([
  ['a size', (channel) => channel.resize(100, 40, 0, 0)],
  ['a signal', (channel) => channel.signal('TERM')],
])('%s that can’t be recorded is not passed on, and ends the session at once', async (_, ask) => {
  const { channel, disk, told, said } = await shell()
  disk.full = true
  expect(ask(channel)).toBe(false)
  expect(told).toEqual(['exit 126', 'host closed', 'nothing more can be recorded'])
  expect(said.read().toString()).toBe('countersign: this channel ends: what is said in it can’t be recorded\r\n')
})
