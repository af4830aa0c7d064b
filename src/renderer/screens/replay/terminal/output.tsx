import { useEffect, useMemo, useState } from 'react'
import type { TerminalFrame } from '../../../../terminal-api.ts'
import { wordsOf } from '../../../app/api.ts'
import { core } from '../../../app/store.ts'
import { VisibleText } from '../../../parts/visible-text.tsx'
import { type Colour, colouredRuns, grounds, inks, plain } from './coloured.ts'
import { type Piece, piecesOf } from './pieces.ts'

/** What a command said, errors told apart by a line beside them, colours as it chose them, nothing else obeyed. */
export function Pieces({ pieces }: { pieces: readonly Piece[] }) {
  const coloured = useMemo(() => {
    let colour: Colour = plain
    return pieces.map((piece) => {
      const { runs, end } = colouredRuns(piece.text.replace(/\r?\n$/, ''), piece.by === 'gateway' ? plain : colour)
      if (piece.by !== 'gateway') colour = end
      return { piece, runs }
    })
  }, [pieces])
  return coloured.map(({ piece, runs }) => (
    <div key={piece.key} className="[content-visibility:auto]">
      <p
        className={`font-mono leading-[1.375rem] break-words whitespace-pre-wrap ${LOOKS[piece.by]}`}
        title={piece.by === 'stdout' ? undefined : piece.by === 'stderr' ? 'stderr' : 'said by the gateway'}
      >
        {piece.by === 'stderr' ? <span className="sr-only">stderr: </span> : null}
        {/* No colours that a host can send make its words look like these. */}
        {piece.by === 'gateway' ? (
          <span
            className="mr-2 rounded-tag bg-warn-pale px-1.5 font-sans text-tag font-semibold select-none"
            data-added
          >
            the gateway
            <span className="sr-only">: </span>
          </span>
        ) : null}
        {runs.map((run, i) => (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: a run is its place
            key={i}
            style={{
              ...(run.ink === undefined ? {} : { color: inks[run.ink] }),
              ...(run.ground === undefined ? {} : { background: grounds[run.ground] }),
              ...(run.bold ? { fontWeight: 600 } : {}),
              ...(run.underline ? { textDecoration: 'underline' } : {}),
            }}
          >
            <VisibleText>{run.text}</VisibleText>
          </span>
        ))}
      </p>
      {piece.masked.length > 0 ? <p className="text-fine text-dim">masked: {piece.masked.join(', ')}</p> : null}
    </div>
  ))
}

const LOOKS: Record<Piece['by'], string> = {
  stdout: '',
  stderr: 'border-l-2 border-warn pl-2',
  gateway: 'text-warn',
}

/** So much of it is put into the page at most; the rest is for the terminal, or a file. */
const MOST_CHARACTERS = 4_000_000

/** All that a command said, a piece at a time. */
export function WholeOutput(props: { session: string; channel: string }) {
  const { session, channel } = props
  const [frames, setFrames] = useState<readonly TerminalFrame[]>([])
  const [next, setNext] = useState(0)
  const [wanted, setWanted] = useState(1)
  const [problem, setProblem] = useState('')
  const [there, setThere] = useState(0)
  const characters = useMemo(
    () => frames.reduce((n, frame) => n + (frame.type === 'output' ? frame.text.length : 0), 0),
    [frames],
  )
  const [loaded, setLoaded] = useState(0)
  useEffect(() => {
    if (loaded >= wanted) return
    let over = false
    core()
      .call('terminalFrames', { session, channel, from: next })
      .then(
        (told) => {
          if (over) return
          setFrames((before) => [...before, ...told.frames])
          setNext(told.next)
          setThere(told.count)
          setLoaded((n) => n + 1)
        },
        (error) => !over && setProblem(wordsOf(error)),
      )
    return () => {
      over = true
    }
  }, [session, channel, next, wanted, loaded])
  const pieces = useMemo(() => piecesOf(frames), [frames])
  const more = next < there
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields */}
      <div
        role="group"
        aria-label="Output"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
        tabIndex={0}
        className="max-h-[60vh] overflow-auto rounded-tag border border-line px-2.5 py-1.5"
      >
        <Pieces pieces={pieces} />
        {loaded === 0 && !problem ? <p className="text-dim">…</p> : null}
      </div>
      {problem ? <p className="text-fine text-warn">{problem}</p> : null}
      {more && loaded > 0 ? (
        characters < MOST_CHARACTERS ? (
          <button
            type="button"
            className="text-fine font-semibold text-accent hover:underline"
            onClick={() => setWanted(loaded + 1)}
          >
            Show more of it
          </button>
        ) : (
          <p className="text-fine text-dim">The rest is too long for a page: play it as a terminal, or export it.</p>
        )
      ) : null}
    </>
  )
}
