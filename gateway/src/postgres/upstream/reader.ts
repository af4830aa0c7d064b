import type { PostgresTarget } from '../target.ts'
import { query, reportFields, T, TERMINATE, valuesOf } from '../wire/messages.ts'
import { takeMessage } from '../wire/take.ts'
import { connectUpstream, UpstreamError } from './connect.ts'

const BOUND = 64 << 20

/** The gateway's own reading connection to a database: simple queries, one at a time, values as text. */
export class Reader implements AsyncDisposable {
  readonly #upstream: Awaited<ReturnType<typeof connectUpstream>>

  private constructor(upstream: Awaited<ReturnType<typeof connectUpstream>>) {
    this.#upstream = upstream
  }

  /** @throws UpstreamError */
  static async open(target: PostgresTarget, signal: AbortSignal): Promise<Reader> {
    const parameters: [string, string][] = [
      ['application_name', 'countersign catalog'],
      ['client_encoding', 'UTF8'],
      ['default_transaction_read_only', 'on'],
      // An agent's own schemas must not put other operators under the gateway's query.
      ['search_path', 'pg_catalog'],
    ]
    return new Reader(await connectUpstream(target, parameters, signal))
  }

  /** @returns the rows of the last result @throws UpstreamError where the server refuses or goes */
  async query(sql: string): Promise<(string | null)[][]> {
    const { socket } = this.#upstream
    let rows: (string | null)[][] = []
    let failure: string | undefined
    socket.write(query(sql))
    for (;;) {
      const frame = await takeMessage(socket, BOUND)
      if (!frame) throw new UpstreamError('unreachable', 'it closed the connection')
      if (frame[0] === T.RowDescription) rows = []
      else if (frame[0] === T.DataRow) rows.push(valuesOf(frame).map((value) => value?.toString() ?? null))
      else if (frame[0] === T.ErrorResponse) failure = reportFields(frame).M
      else if (frame[0] === T.ReadyForQuery) break
    }
    if (failure !== undefined) throw new UpstreamError('refused', failure)
    return rows
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#upstream.socket.end(TERMINATE)
    this.#upstream.socket.destroySoon()
  }
}
