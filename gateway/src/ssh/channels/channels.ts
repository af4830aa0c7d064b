import type { Logger } from 'pino'
import type { Visitor } from '../session.ts'
import type { Connection, Session } from '../transport/ssh2.ts'
import type { Words } from '../words.ts'
import { Channel } from './channel.ts'
import { serveRequests } from './requests.ts'

export interface ChannelsOptions {
  /** Channels of one connection at once; one more is refused. */
  atOnce: number
  /** Bytes of standard input that are waited for, shown on a card and bound by its digest; more is not shown. */
  shownInput: number
  log: Logger
}

export interface Channels {
  /** How many are open, those that wait for a verdict too. */
  readonly open: number
  /** No other is opened from now on, what runs goes on. Resolves once none is open. */
  drain(words: Words): Promise<void>
  /**
   * Says on the stderr of every open channel why it ends, and ends it; no other is opened. Resolves once the client has
   * all of it, or after `ms` milliseconds. The connection itself is the caller's to end.
   */
  close(words: Words, ms?: number): Promise<void>
}

/**
 * Serves the session channels of a signed-in client: exec, shell and sftp (RFC 4254, section 6), each from its first
 * request to its end. Nothing else is opened here.
 */
export function serveChannels(client: Connection, visitor: Visitor, options: ChannelsOptions): Channels {
  const channels = new Set<Channel>()
  /** Those that the client has closed, and whose end is not recorded yet. */
  const leaving = new Set<Channel>()
  const bySession = new WeakMap<Session, Channel>()
  let closing: Words | undefined
  let tooMany = false
  serveRequests(client, (session) => bySession.get(session))
  client.once('close', () => {
    for (const channel of channels) channel.lost('the client’s connection is gone')
  })
  client.on('session', (accept, reject) => {
    if (closing || channels.size >= options.atOnce) {
      if (!closing && !tooMany) {
        tooMany = true
        options.log.warn({ atOnce: options.atOnce }, 'a channel was refused: there are too many at once')
      }
      return reject()
    }
    const session = accept()
    const channel = new Channel(session, visitor, options)
    bySession.set(session, channel)
    channels.add(channel)
    // At once: the next one may be asked for in the same packet.
    session.once('close', () => {
      if (channels.delete(channel)) leaving.add(channel)
    })
    void channel.gone.then(() => {
      channels.delete(channel)
      leaving.delete(channel)
    })
  })
  return {
    get open() {
      return channels.size
    },
    async drain(words) {
      closing ??= words
      while (channels.size > 0) await Promise.all([...channels].map(({ gone }) => gone))
    },
    async close(words, ms = 1000) {
      closing = words
      const timer = Promise.withResolvers<void>()
      const late = setTimeout(timer.resolve, ms)
      await Promise.race([
        Promise.all([...[...channels].map((channel) => channel.end(words)), ...[...leaving].map(({ gone }) => gone)]),
        timer.promise,
      ])
      clearTimeout(late)
    },
  }
}
