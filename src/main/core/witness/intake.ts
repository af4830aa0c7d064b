import { ConsoleError } from '../../../console-api.ts'

/** A file that comes in slices, as a stream: one slice waits at most. */
export interface Intake {
  source: AsyncIterable<Uint8Array>
  /** Resolves once the stream has taken it. @throws ConsoleError for what is not the next slice, or where the stream has ended */
  push(offset: number, bytes: Uint8Array): Promise<void>
  /** @throws ConsoleError where bytes are missing */
  end(): void
  cancel(why: Error): void
}

/** A file of so many bytes. */
export function intake(length: number): Intake {
  let offset = 0
  let waiting: Uint8Array | undefined
  let taken = () => {}
  let arrived = () => {}
  let ended = false
  let failure: Error | undefined
  const check = () => {
    if (failure) throw failure
  }

  async function* take(): AsyncGenerator<Uint8Array> {
    for (;;) {
      check()
      if (waiting) {
        const bytes = waiting
        yield bytes
        // Only when more is wanted: so the sender is never more than a slice ahead of the verification.
        waiting = undefined
        taken()
      } else if (ended) return
      else
        await new Promise<void>((resolve) => {
          arrived = resolve
        })
    }
  }

  const cancel = (why: Error) => {
    failure ??= why
    taken()
    arrived()
  }
  return {
    source: take(),
    cancel,
    async push(at, bytes) {
      check()
      if (ended || waiting || at !== offset || offset + bytes.length > length)
        throw new ConsoleError('bad-slice', 'The slices of this file came out of order. Drop it again.')
      offset += bytes.length
      if (bytes.length === 0) return
      await new Promise<void>((resolve) => {
        waiting = bytes
        taken = resolve
        arrived()
      })
      check()
    },
    end() {
      check()
      if (offset !== length) {
        cancel(
          new ConsoleError(
            'bad-slice',
            'Not all of this file came. It may have changed while it was read: drop it again.',
          ),
        )
        check()
      }
      ended = true
      arrived()
    },
  }
}
