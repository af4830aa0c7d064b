import type { BulkPreview, CampaignItem } from '@countersign/contract/review'
import { AlertDialog } from 'radix-ui'
import { useEffect, useRef, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { Button } from '../../parts/basics.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { figure, many, recommendedNames, titleOf, verdictWords } from './words.ts'

/** A preview that has only just come is decided by nothing: an Enter too many was meant for the question. */
const READ_AT_LEAST_MS = 300

/** Decides several items together: first the gateway says which it would and which not, then it is done, marked as bulk. */
export function BulkDialog(props: {
  campaign: string
  items: readonly CampaignItem[]
  onClose: () => void
  onDone: () => void
}) {
  const { items } = props
  const [verdict, setVerdict] = useState<BulkPreview['verdict'] | undefined>(undefined)
  const [reason, setReason] = useState('')
  const [preview, setPreview] = useState<{ of: string; said: BulkPreview } | undefined>(undefined)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const first = useRef<HTMLInputElement>(null)
  const [fresh, setFresh] = useState(false)
  useEffect(() => {
    if (!fresh) return
    const timer = setTimeout(() => setFresh(false), READ_AT_LEAST_MS)
    return () => clearTimeout(timer)
  }, [fresh])
  const live = useWorld((world) => world.link.state === 'live')
  const about = `${verdict} ${reason.trim()}`
  const shown = preview?.of === about ? preview.said : undefined
  const names = new Map(items.map((item) => [item.id, titleOf(item)]))

  const ask = async () => {
    if (!verdict || verdict === 'reduce' || !reason.trim()) return
    setBusy(true)
    setProblem('')
    try {
      const said = await core().call('decideTogether', {
        campaign: props.campaign,
        items: items.map(({ id, revision }) => ({ id, revision })),
        verdict,
        reason: reason.trim(),
        ...(shown && { preview: shown.preview }),
      })
      if (!said.done) {
        setFresh(true)
        return setPreview({ of: about, said })
      }
      say(`${many(said.items.length, 'item')} decided together`)
      props.onDone()
      props.onClose()
    } catch (error) {
      setPreview(undefined)
      setProblem(wordsOf(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <AlertDialog.Root open onOpenChange={(open) => (open ? undefined : props.onClose())}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <AlertDialog.Content
          onOpenAutoFocus={(event) => {
            event.preventDefault()
            first.current?.focus()
          }}
          className="fixed top-[8vh] left-1/2 flex max-h-[84vh] w-[min(640px,94vw)] -translate-x-1/2 flex-col rounded-box border border-line bg-panel shadow-box"
        >
          <form
            className="flex min-h-0 flex-col"
            onKeyDown={(event) => {
              if (event.repeat && event.key === 'Enter') event.preventDefault()
            }}
            onSubmit={(event) => {
              event.preventDefault()
              if (!busy && !fresh) void ask()
            }}
          >
            <div className="px-6 pt-5">
              <AlertDialog.Title className="text-title font-semibold">
                Decide {many(items.length, 'item')} together
              </AlertDialog.Title>
              <AlertDialog.Description className="mt-1.5 text-dim">
                Each is marked as decided with others. Privileged access is never among them, and a reduce is decided
                one by one.
              </AlertDialog.Description>
              <fieldset className="mt-3 flex gap-5">
                <legend className="sr-only">Decision</legend>
                {(['certify', 'revoke', 'abstain'] as const).map((each) => (
                  <label key={each} className="flex items-center gap-2">
                    <input
                      ref={each === 'certify' ? first : undefined}
                      type="radio"
                      name="verdict"
                      checked={verdict === each}
                      onChange={() => setVerdict(each)}
                    />
                    {verdictWords[each]}
                  </label>
                ))}
              </fieldset>
              <label className="mt-3 flex flex-col gap-1.5">
                <span className="font-semibold">Reason</span>
                <input
                  value={reason}
                  onChange={(event) => setReason(event.target.value)}
                  maxLength={4000}
                  placeholder="The same for all of them; kept with each"
                  className="h-9 rounded-box border border-line-strong bg-panel px-3"
                />
              </label>
            </div>
            <section
              // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
              tabIndex={0}
              aria-label="Preview"
              className="mx-6 mt-3 min-h-24 flex-1 overflow-y-auto rounded-box border border-line py-1.5 outline-offset-[-2px]"
            >
              {shown ? (
                <>
                  {shown.refused.length > 0 ? (
                    <>
                      <h3 className="px-3 font-semibold text-danger">
                        {many(shown.refused.length, 'item')} not among them
                      </h3>
                      <ul>
                        {shown.refused.map((each) => (
                          <li key={each.id} className="flex gap-3 px-3">
                            <span className="min-w-0 flex-1 truncate font-mono text-fine">
                              <VisibleText>{names.get(each.id) ?? each.id}</VisibleText>
                            </span>
                            <span className="text-fine text-danger">
                              <VisibleText>{each.why}</VisibleText>
                            </span>
                          </li>
                        ))}
                      </ul>
                    </>
                  ) : null}
                  <h3 className="px-3 font-semibold">{many(shown.items.length, 'item')} will be decided</h3>
                  <ul>
                    {shown.items.slice(0, 500).map((each) => (
                      <li key={each.id} className="flex gap-3 px-3">
                        <span className="min-w-0 flex-1 truncate font-mono text-fine">
                          <AgentOn agent={each.name} connection={each.connection} />
                        </span>
                        <span className={`text-fine ${each.followed ? 'text-dim' : 'text-warn'}`}>
                          {each.followed ? 'as recommended' : `recommended: ${recommendedNames[each.recommended]}`}
                        </span>
                      </li>
                    ))}
                  </ul>
                  {shown.items.length > 500 ? (
                    <p className="px-3 text-dim">and {figure(shown.items.length - 500)} more</p>
                  ) : null}
                </>
              ) : (
                <p className="px-3 text-dim">
                  {live
                    ? 'Choose, say why, and look at what it would do: nothing is decided before that.'
                    : 'Items are decided together with the gateway only; one by one they can be decided offline.'}
                </p>
              )}
            </section>
            {problem ? (
              <p role="alert" className="mx-6 mt-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
                {problem}
              </p>
            ) : null}
            <div className="flex justify-end gap-2.5 px-6 py-4">
              <AlertDialog.Cancel asChild>
                <Button>Cancel</Button>
              </AlertDialog.Cancel>
              <Button
                type="submit"
                tone={shown && verdict === 'revoke' ? 'danger' : 'accent'}
                disabled={!live || busy || fresh || !verdict || !reason.trim() || shown?.items.length === 0}
              >
                {busy
                  ? 'Asking…'
                  : shown && verdict
                    ? `${verdictWords[verdict]} ${figure(shown.items.length)}`
                    : 'Preview'}
              </Button>
            </div>
          </form>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
