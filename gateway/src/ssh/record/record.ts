import { createHash, type Hash } from 'node:crypto'
import { type Recorder, RecordingError } from '../../sessions/session.ts'
import type { RemoteExit, Terminal } from '../upstream/host.ts'
import { Echo, type Typed } from './echo.ts'
import { dataOf } from './text.ts'

/** What is known of a channel when something begins to run in it. */
export interface ChannelOpening {
  /** Unique in the recording: SshSession.nextChannel(). */
  channel: string
  /** Id of the command that was let pass. */
  command: string
  kind: 'exec' | 'shell' | 'sftp'
  terminal?: Pick<Terminal, 'type' | 'columns' | 'rows'>
  /** What was let through of it. */
  environment?: Readonly<Record<string, string>>
}

/** What stands in the recording for bytes in which something was found. */
export interface MaskedOutput {
  /** The masked form of the same bytes, also where the client got them as they were; possibly of another length. */
  recorded: Buffer
  /** Data classes of what is masked in it. */
  classes: readonly string[]
}

type Stream = 'stdin' | 'stdout' | 'stderr'

/**
 * Writes what is said in one channel, from its `channel` event to its `exit`. Every method is to be called before what
 * it is told of is forwarded, throws RecordingError where that can't be written (nothing may then be forwarded any more,
 * and the session has to end: SshSession.fail), and copies what it keeps of a buffer.
 *
 * Each stream is kept up to the recorder's `outputBound`; what follows is counted and hashed. With a terminal, what is
 * typed is kept only once the terminal has shown it (see Echo), so that passwords never are.
 */
export class ChannelRecord {
  readonly channel: string
  readonly #recorder: Pick<Recorder, 'append' | 'outputBound'>
  readonly #echo: Echo | undefined
  readonly #streams: Record<Stream, Kept>
  #ended = false

  constructor(recorder: Pick<Recorder, 'append' | 'outputBound'>, opening: ChannelOpening) {
    const { channel, command, kind, terminal, environment } = opening
    this.channel = channel
    this.#recorder = recorder
    this.#echo = terminal && new Echo()
    const kept = () => ({ bytes: 0, left: recorder.outputBound ?? 0, truncated: false, hash: createHash('sha256') })
    this.#streams = { stdin: kept(), stdout: kept(), stderr: kept() }
    recorder.append({
      type: 'channel',
      ...{ channel, command, kind },
      ...(terminal && { terminal: { type: terminal.type, columns: terminal.columns, rows: terminal.rows } }),
      ...(environment && Object.keys(environment).length > 0 && { environment: { ...environment } }),
    })
  }

  /** Whether its end is written: nothing more is. */
  get ended(): boolean {
    return this.#ended
  }

  /** How many bytes have passed, kept or not. */
  get bytes(): Readonly<Record<Stream, number>> {
    const { stdin, stdout, stderr } = this.#streams
    return { stdin: stdin.bytes, stdout: stdout.bytes, stderr: stderr.bytes }
  }

  /**
   * The host's output, as the client receives it.
   * @param masked where something was found in it: what the recording holds in its place
   */
  output(stream: 'stdout' | 'stderr', chunk: Buffer, masked?: MaskedOutput): void {
    if (chunk.length === 0 && !masked?.recorded.length) return
    const recorded = masked?.recorded ?? chunk
    const kept = this.#passed(stream, chunk.length, recorded)
    const classes = masked && masked.classes.length > 0 ? { masked: [...masked.classes] } : undefined
    if (kept.length > 0)
      for (const data of dataOf(kept))
        this.#recorder.append({ type: 'output', channel: this.channel, stream, data, ...classes })
    if (this.#echo?.waits) this.#typed(this.#echo.shown(recorded))
  }

  /** What the gateway itself says on the channel's stderr. Always kept. */
  notice(text: string): void {
    if (text === '') return
    const { stderr } = this.#streams
    this.#writable()
    const bytes = Buffer.from(text)
    stderr.bytes += bytes.length
    stderr.hash.update(bytes)
    this.#recorder.append({ type: 'output', channel: this.channel, stream: 'stderr', data: text, notice: true })
  }

  /** What the client sends to the command. */
  input(chunk: Buffer): void {
    if (chunk.length === 0) return
    if (this.#echo) {
      this.#writable()
      this.#streams.stdin.bytes += chunk.length
      this.#typed(this.#echo.typed(chunk))
      return
    }
    const kept = this.#passed('stdin', chunk.length, chunk)
    if (kept.length > 0)
      for (const data of dataOf(kept)) this.#recorder.append({ type: 'input', channel: this.channel, data })
  }

  /** Characters; either may be 0, where the client doesn't know (RFC 4254, section 6.7). */
  resize(columns: number, rows: number): void {
    this.#writable()
    this.#recorder.append({ type: 'resize', channel: this.channel, columns, rows })
  }

  /** @param name without SIG */
  signal(name: string): void {
    this.#writable()
    this.#recorder.append({ type: 'signal', channel: this.channel, signal: name })
  }

  /** The channel's end. A second call does nothing. */
  exit({ code, signal }: RemoteExit): void {
    if (this.#ended) return
    if (this.#echo) this.#typed(this.#echo.end())
    this.#ended = true
    const { stdin, stdout, stderr } = this.#streams
    const truncated = (['stdin', 'stdout', 'stderr'] as const).filter((name) => this.#streams[name].truncated)
    this.#recorder.append({
      type: 'exit',
      channel: this.channel,
      ...(code !== undefined && { code }),
      ...(signal !== undefined && { signal }),
      bytes: this.bytes,
      sha256: { stdin: hex(stdin), stdout: hex(stdout), stderr: hex(stderr) },
      ...(truncated.length > 0 && { truncated }),
    })
  }

  /** @returns what of it is kept */
  #passed(name: Stream, bytes: number, recorded: Buffer): Buffer {
    this.#writable()
    const stream = this.#streams[name]
    stream.bytes += bytes
    stream.hash.update(recorded)
    return within(stream, recorded)
  }

  #typed(all: Typed[]): void {
    const { stdin } = this.#streams
    for (const typed of all) {
      const input = { type: 'input' as const, channel: this.channel }
      if ('hidden' in typed) {
        this.#recorder.append({ ...input, hidden: typed.hidden })
        continue
      }
      stdin.hash.update(typed.shown)
      const kept = within(stdin, typed.shown)
      if (kept.length > 0) for (const data of dataOf(kept)) this.#recorder.append({ ...input, data })
    }
  }

  #writable(): void {
    if (this.#ended) throw new RecordingError('The channel has ended: nothing more of it is recorded.')
  }
}

interface Kept {
  bytes: number
  /** How many more are kept. */
  left: number
  truncated: boolean
  hash: Hash
}

function within(stream: Kept, chunk: Buffer): Buffer {
  const kept = chunk.length <= stream.left ? chunk : chunk.subarray(0, stream.left)
  stream.left -= kept.length
  if (kept.length < chunk.length) stream.truncated = true
  return kept
}

const hex = ({ hash }: Kept) => hash.digest('hex')
