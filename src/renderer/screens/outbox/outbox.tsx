import { Dialog } from 'radix-ui'
import { useEffect, useRef, useState } from 'react'
import type { ConflictChoice, OutboxItem } from '../../../annotations-api.ts'
import { wordsOf } from '../../app/api.ts'
import { go, hashOf } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { dateAndClock, playhead } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { showOutbox, useOutboxOpen } from './open.ts'
import { itemWords } from './words.ts'

/** What waits to be sent, and what the gateway refused, which a person has to choose about. */
export function Outbox() {
  const open = useOutboxOpen((state) => state.open)
  return (
    <Dialog.Root open={open} onOpenChange={showOutbox}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed top-[10vh] left-1/2 flex max-h-[80vh] w-[min(640px,92vw)] -translate-x-1/2 flex-col rounded-box border border-line bg-panel shadow-box outline-none"
        >
          <Dialog.Title className="px-6 pt-5 pb-2 text-title font-semibold">Waiting to be sent</Dialog.Title>
          <Content />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

function Content() {
  const outbox = useWorld((world) => world.outbox)
  const live = useWorld((world) => world.link.state === 'live')
  const conflicts = outbox.items.filter((item) => item.state === 'conflict')
  const waiting = outbox.items.filter((item) => item.state !== 'conflict')
  const hidden = outbox.waiting + outbox.conflicts - outbox.items.length
  return (
    <>
      <section
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
        tabIndex={0}
        aria-label="What waits"
        className="min-h-0 flex-1 overflow-y-auto px-6 pb-2 outline-offset-[-2px]"
      >
        {outbox.items.length === 0 ? (
          <Notice title="Nothing waits">
            <p>Everything you wrote is with the gateway.</p>
          </Notice>
        ) : null}
        {conflicts.length > 0 ? (
          <section aria-label="Refused" className="flex flex-col gap-2.5 pb-3">
            <h3 className="font-semibold">
              Refused by the gateway{' '}
              <span className="font-normal text-dim">nothing is lost; it is yours to choose</span>
            </h3>
            {conflicts.map((item) => (
              <Conflict key={item.id} item={item} />
            ))}
          </section>
        ) : null}
        {waiting.length > 0 ? (
          <section aria-label="In line" className="flex flex-col pb-3">
            {conflicts.length > 0 ? <h3 className="pb-1 font-semibold">In line</h3> : null}
            <ol className="flex flex-col">
              {waiting.map((item) => (
                <li key={item.id} className="flex gap-3 border-t border-line py-2 first:border-t-0">
                  <Where item={item} />
                  <span className={`shrink-0 text-fine ${item.state === 'sending' ? 'text-accent' : 'text-dim'}`}>
                    {item.state === 'sending' ? 'being sent…' : 'waits'}
                  </span>
                </li>
              ))}
            </ol>
            {hidden > 0 ? <p className="text-dim">and {hidden.toLocaleString('en-US')} more</p> : null}
          </section>
        ) : null}
      </section>
      <div className="flex items-center gap-3 border-t border-line px-6 py-3 text-fine text-dim">
        <p role="status" className="min-w-0 flex-1">
          {outbox.problem && outbox.waiting > 0 ? (
            <>
              Paused: <VisibleText>{outbox.problem}</VisibleText> It is tried again by itself.
            </>
          ) : outbox.waiting === 0 ? null : live ? (
            'It is sent in this order, each exactly once.'
          ) : (
            'It is sent once the gateway is reached, in this order, each exactly once.'
          )}
          {outbox.sealed || outbox.items.length === 0 ? null : (
            <span className="block text-warn">This computer has no safe place for keys: it lies here unencrypted.</span>
          )}
          {outbox.others > 0 ? (
            <span className="block">
              {outbox.others.toLocaleString('en-US')} more {outbox.others === 1 ? 'waits' : 'wait'} here for somebody
              else, or for another gateway of yours.
            </span>
          ) : null}
        </p>
        <Dialog.Close asChild>
          <Button>Close</Button>
        </Dialog.Close>
      </div>
    </>
  )
}

/** What it is, where it belongs, and its words. */
function Where({ item }: { item: OutboxItem }) {
  const session = useWorld((world) => world.sessions.get(item.session))
  const { review } = item
  return (
    <div className="min-w-0 flex-1">
      <p className="text-fine text-dim">
        {itemWords(item)} ·{' '}
        <a
          href={hashOf(
            review
              ? { screen: 'reviews', id: review.campaign, item: review.item }
              : { screen: 'replay', id: item.session, ...(item.note && { t: item.note.from }) },
          )}
          className="text-accent hover:underline"
          onClick={() => showOutbox(false)}
        >
          {review ? (
            <VisibleText>{review.title || review.item}</VisibleText>
          ) : session ? (
            <VisibleText>{`${session.identity.name} on ${session.connection}`}</VisibleText>
          ) : (
            <VisibleText>{item.session}</VisibleText>
          )}
          {item.note ? `, ${playhead(item.note.from)}` : ''}
        </a>{' '}
        · {dateAndClock(item.at, Date.now())}
      </p>
      {item.about ? (
        <p className="max-h-40 overflow-y-auto break-words whitespace-pre-wrap">
          <VisibleText>{item.about}</VisibleText>
        </p>
      ) : null}
    </div>
  )
}

const CHOICES: Record<ConflictChoice, string> = {
  keep: 'Keep as a new note',
  edit: 'Change it…',
  again: 'Send again',
  discard: 'Discard',
}
const SAID: Record<ConflictChoice, string> = {
  keep: 'Kept as a new note',
  edit: 'Changed, in line again',
  again: 'In line again',
  discard: 'Discarded',
}

function Conflict({ item }: { item: OutboxItem }) {
  const [editing, setEditing] = useState(false)
  const [sure, setSure] = useState(false)
  const [text, setText] = useState(item.about)
  const [problem, setProblem] = useState('')
  const field = useRef<HTMLTextAreaElement>(null)
  useEffect(() => {
    if (editing) field.current?.focus()
  }, [editing])
  const choose = async (choice: ConflictChoice) => {
    setProblem('')
    try {
      const { note } = item
      const edited = choice === 'edit' && note && { note: { ...note, text } }
      await core().call('resolveConflict', { id: item.id, choice, ...edited })
      say(SAID[choice])
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  return (
    <article aria-label={`Refused: ${itemWords(item)}`} className="rounded-box border border-line p-3">
      <Where item={item} />
      <p className="mt-1.5 rounded-tag bg-danger-pale px-2 py-1 text-danger">
        <VisibleText>{item.problem ?? 'The gateway gave no reason.'}</VisibleText>
      </p>
      {editing ? (
        <textarea
          ref={field}
          aria-label="The note, changed"
          rows={3}
          maxLength={10_000}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return
            event.stopPropagation()
            setEditing(false)
          }}
          className="mt-2 w-full rounded-tag border border-line-strong bg-panel px-2 py-1.5"
        />
      ) : null}
      {problem ? (
        <p role="alert" className="mt-1.5 text-danger">
          {problem}
        </p>
      ) : null}
      <div className="mt-2 flex flex-wrap gap-2">
        {editing ? (
          <>
            <Button className="h-8!" disabled={text.trim() === ''} onClick={() => void choose('edit')}>
              Send it so
            </Button>
            <Button quiet className="h-8!" onClick={() => setEditing(false)}>
              Leave
            </Button>
          </>
        ) : sure ? (
          <>
            <Button tone="danger" className="h-8!" onClick={() => void choose('discard')}>
              Discard for good
            </Button>
            <Button quiet className="h-8!" onClick={() => setSure(false)}>
              Keep it here
            </Button>
          </>
        ) : (
          item.choices.map((choice) => (
            <Button
              key={choice}
              tone={choice === 'discard' ? 'danger' : 'plain'}
              className="h-8!"
              onClick={() => {
                // Anew is decided where all of it is seen.
                if (choice === 'edit' && item.review) {
                  go({ screen: 'reviews', id: item.review.campaign, item: item.review.item })
                  showOutbox(false)
                } else if (choice === 'edit') setEditing(true)
                else if (choice === 'discard') setSure(true)
                else void choose(choice)
              }}
            >
              {choice === 'edit' && item.review
                ? 'Look at it…'
                : choice === 'discard' && item.review
                  ? 'Discard mine'
                  : CHOICES[choice]}
            </Button>
          ))
        )}
      </div>
    </article>
  )
}
