import { useMemo } from 'react'
import { useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { clock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { DiffView } from './diff-view.tsx'
import { differences } from './difference.ts'
import { dropWork, type Editing, splitDraft } from './draft-work.ts'

/** Somebody else saved it: theirs, mine, or both. Nothing is overwritten unasked. */
export function Conflict(props: {
  id: string
  editing: Editing
  onOver: () => void
  onSplit: (fresh: string) => void
}) {
  const { theirs, work, doing } = props.editing
  const live = useWorld((world) => world.link.state === 'live')
  const files = useMemo(() => differences(theirs!.files, work.files), [theirs, work.files])
  return (
    <section aria-label="Conflict" className="mt-3 flex min-h-0 flex-1 flex-col">
      <div role="alert" className="rounded-box bg-warn-pale px-4 py-2.5 text-warn">
        <b className="font-semibold">
          <VisibleText>{theirs!.changedBy.name}</VisibleText> saved this draft at {clock(theirs!.changedAt)}, after what
          you wrote began.
        </b>{' '}
        Both are here, and you choose. Below is what yours would change of theirs.
      </div>
      <div className="my-3 flex flex-wrap gap-2">
        <Button tone="accent" disabled={!live || doing !== 'nothing'} onClick={props.onOver}>
          Save mine over theirs
        </Button>
        <Button
          disabled={doing !== 'nothing'}
          onClick={() =>
            void splitDraft(props.id).then((fresh) => {
              if (fresh !== undefined) props.onSplit(fresh)
            })
          }
        >
          Keep mine as a draft of its own
        </Button>
        <Button tone="danger" disabled={doing !== 'nothing'} onClick={() => void dropWork(props.id)}>
          Take theirs, drop mine
        </Button>
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto pb-3">
        {work.title !== theirs!.title ? (
          <p className="mb-2 text-dim">
            Theirs is called “<VisibleText>{theirs!.title}</VisibleText>”.
          </p>
        ) : null}
        <DiffView files={files} same="Both have the same files." />
      </div>
    </section>
  )
}
