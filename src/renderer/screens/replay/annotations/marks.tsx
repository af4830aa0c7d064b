import { oneLine } from '../../../../visible.ts'
import { playhead } from '../../../parts/time.ts'
import { type Note, standing } from './notes.ts'

/** As many marks as stand side by side without touching. */
const PLACES = 76

/** Notes on the timeline: a flag below the line, a bar for a range, and where a range is being marked. */
export function NoteMarks(props: {
  notes: readonly Note[]
  length: number
  mark: number | undefined
  chosen: string | undefined
}) {
  const length = Math.max(1, props.length)
  const fine = length < 60_000
  const notes = standing(props.notes)
  const places = new Map<number, { note: Note; more: number }>()
  for (const note of notes) {
    const at = Math.min(PLACES - 1, Math.floor((note.from / length) * PLACES))
    const known = places.get(at)
    if (!known) places.set(at, { note, more: 0 })
    else places.set(at, { note: note.id === props.chosen ? note : known.note, more: known.more + 1 })
  }
  const percent = (t: number) => `${Math.min(100, (t / length) * 100)}%`
  return (
    <>
      {notes
        .filter((note) => note.to !== undefined)
        .slice(0, 200)
        .map((note) => (
          <span
            key={note.id}
            aria-hidden="true"
            className={`absolute bottom-[3px] h-[3px] min-w-[2px] rounded bg-accent ${note.id === props.chosen ? '' : 'opacity-50'}`}
            style={{ left: percent(note.from), width: `calc(${percent(note.to!)} - ${percent(note.from)})` }}
          />
        ))}
      {[...places.values()].map(({ note, more }) => (
        <span
          key={note.id}
          title={`${playhead(note.from, fine)} ${note.mine ? 'your note' : `note of ${oneLine(note.by.name, 60)}`}${more ? ` and ${more} more` : ''}`}
          className={`absolute bottom-0 -ml-[5px] ${NOTE_MARK}`}
          style={{ left: percent(note.from) }}
        />
      ))}
      {props.mark === undefined ? null : (
        <span
          title={`a range begins at ${playhead(props.mark, fine)}`}
          className="absolute inset-y-1 -ml-px w-1.5 rounded-l border-y-2 border-l-2 border-accent"
          style={{ left: percent(props.mark) }}
        />
      )}
    </>
  )
}

/** The shape of a note, here and in the legend: a triangle, so that colour alone doesn't carry it. */
export const NOTE_MARK = 'h-[9px] w-[10px] bg-accent [clip-path:polygon(50%_0,100%_100%,0_100%)]'
