import type { Visitor } from '../session.ts'
import type { Connection, Session } from '../transport/ssh2.ts'
import type { Words } from '../words.ts'
import type { ChannelsOptions } from './channels.ts'

/** A session channel of a client, from its opening to its close. */
export class Channel {
  /** Resolves when it is over. Never rejects. */
  readonly gone: Promise<void>

  constructor(client: Connection, session: Session, _visitor: Visitor, _options: ChannelsOptions) {
    const gone = Promise.withResolvers<void>()
    this.gone = gone.promise
    session.once('close', gone.resolve)
    client.once('close', gone.resolve)
  }

  /** Says why on its stderr and ends it; resolves once the client has it. */
  async end(_words: Words): Promise<void> {
    await this.gone
  }
}
