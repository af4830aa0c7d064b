/** A document that an issuer didn't give, in words for the log. */
export class FetchError extends Error {
  override name = 'FetchError'
  /** HTTP status where there was an answer. */
  readonly status: number | undefined
  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

export interface FetchBounds {
  /** Bytes of the body, after decompression. */
  bytes: number
  /** Milliseconds for all of it. */
  timeout: number
}

/**
 * Gets a JSON object over HTTP with bounds on size and time, and without following redirects: an issuer's documents are
 * where its metadata says, and a redirect could lead away from https or into a private network.
 * @throws FetchError
 */
export async function fetchJson(
  url: URL,
  { bytes, timeout }: FetchBounds,
  fetcher: typeof fetch = fetch,
): Promise<Record<string, unknown>> {
  const signal = AbortSignal.timeout(timeout)
  let text: string
  try {
    const answer = await fetcher(url, { redirect: 'manual', signal, headers: { accept: 'application/json' } })
    if (answer.status !== 200) {
      await answer.body?.cancel()
      const redirect = answer.status >= 300 && answer.status < 400
      throw new FetchError(
        redirect
          ? `${url} redirects, which is not followed: configure the issuer by its final address`
          : `${url} answered ${answer.status}`,
        answer.status,
      )
    }
    text = await bounded(answer, bytes, url)
  } catch (error) {
    if (error instanceof FetchError) throw error
    if (signal.aborted) throw new FetchError(`${url} did not answer within ${timeout} ms`)
    throw new FetchError(`${url} can't be reached: ${reason(error)}`, undefined, { cause: error })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new FetchError(`${url} did not answer JSON`, 200)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FetchError(`${url} did not answer a JSON object`, 200)
  return value as Record<string, unknown>
}

async function bounded(answer: Response, bytes: number, url: URL): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body ?? []) {
    size += chunk.byteLength
    if (size > bytes) throw new FetchError(`${url} answered more than ${bytes} bytes`, answer.status)
    chunks.push(chunk)
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
}

function reason(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause
  const inner = cause instanceof Error ? cause : error
  return inner instanceof Error ? (inner as NodeJS.ErrnoException).code || inner.message : String(inner)
}
