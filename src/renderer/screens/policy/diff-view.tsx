import { FileMinus2, FilePen, FilePlus2 } from 'lucide-react'
import { Fragment, useMemo } from 'react'
import { VisibleText } from '../../parts/visible-text.tsx'
import type { DiffLine, FileDifference } from './difference.ts'
import { many } from './parts.tsx'

const icons = { added: FilePlus2, changed: FilePen, removed: FileMinus2 }

/** How files differ: each with what became of it, lines with both their numbers, words that changed within them. */
export function DiffView({ files, same }: { files: readonly FileDifference[]; same: string }) {
  if (files.length === 0) return <p className="rounded-box bg-sunken px-4 py-3 text-dim">{same}</p>
  return (
    <div className="flex flex-col gap-3">
      {files.map((file) => (
        <FileDiff key={file.file} file={file} />
      ))}
    </div>
  )
}

function FileDiff({ file }: { file: FileDifference }) {
  const Icon = icons[file.what]
  return (
    <section
      aria-label={`${file.file}, ${file.what}`}
      className="overflow-hidden rounded-box border border-line bg-panel"
    >
      <h4 className="flex items-center gap-2 border-b border-line px-4 py-1.5 text-fine">
        <Icon size={13} className="shrink-0 text-dim" aria-hidden />
        <span className="min-w-0 truncate font-mono font-semibold">
          <VisibleText>{file.file}</VisibleText>
        </span>
        <span className="text-dim">{file.what}</span>
        <Counts added={file.added} removed={file.removed} />
      </h4>
      <Lines file={file} />
    </section>
  )
}

/** How many lines came and went. */
export function Counts({ added, removed }: { added: number; removed: number }) {
  return (
    <span
      className="ml-auto flex shrink-0 gap-2 font-mono tabular-nums"
      title={`${many(added, 'line')} added, ${removed} removed`}
    >
      <span className="text-ok">
        +{added}
        <span className="sr-only"> lines added</span>
      </span>
      <span className="text-danger">
        −{removed}
        <span className="sr-only"> lines removed</span>
      </span>
    </span>
  )
}

/** More lines than these are told, not drawn. */
const SHOWN = 2000

function Lines({ file }: { file: FileDifference }) {
  const total = useMemo(() => file.parts.reduce((sum, { lines }) => sum + lines.length, 0), [file])
  let left = SHOWN
  return (
    <section
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
      tabIndex={0}
      className="overflow-x-auto py-1 font-mono text-fine leading-5 -outline-offset-2"
      aria-label={`Changes of ${file.file}`}
    >
      <div className="w-max min-w-full">
        {file.parts.map(({ skipped, lines }, i) => {
          const drawn = lines.slice(0, Math.max(0, left))
          left -= lines.length
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: parts have no other identity
            <Fragment key={i}>
              {skipped > 0 ? (
                <p className="bg-sunken px-4 font-sans text-dim">{many(skipped, 'line')} the same</p>
              ) : null}
              {drawn.map((line) => (
                <Line key={`${line.before} ${line.after}`} line={line} />
              ))}
            </Fragment>
          )
        })}
        {total > SHOWN ? <p className="px-4 font-sans text-dim">and {many(total - SHOWN, 'line')} more</p> : null}
      </div>
    </section>
  )
}

const grounds = { same: '', removed: 'bg-danger-pale', added: 'bg-ok-pale' }
const inks = { same: '', removed: 'text-danger', added: 'text-ok' }
const signs = { same: ' ', removed: '−', added: '+' }
const words = { same: '', removed: 'removed: ', added: 'added: ' }

function Line({ line: { kind, before, after, pieces } }: { line: DiffLine }) {
  const number = 'w-10 shrink-0 pr-2 text-right text-dim select-none'
  return (
    <div className={`flex pr-4 ${grounds[kind]}`}>
      <span aria-hidden className={number}>
        {before}
      </span>
      <span aria-hidden className={number}>
        {after}
      </span>
      <span aria-hidden className={`w-4 shrink-0 select-none ${inks[kind]}`}>
        {signs[kind]}
      </span>
      <code className="whitespace-pre">
        {words[kind] ? <span className="sr-only">{words[kind]}</span> : null}
        {pieces.map((piece, i) =>
          piece.changed ? (
            <span
              // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no other identity
              key={i}
              className={`font-semibold underline decoration-1 underline-offset-2 ${inks[kind]}`}
            >
              <VisibleText>{piece.text}</VisibleText>
            </span>
          ) : (
            // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no other identity
            <span key={i} className={kind === 'removed' ? inks.removed : undefined}>
              <VisibleText>{piece.text}</VisibleText>
            </span>
          ),
        )}
      </code>
    </div>
  )
}
