import type { PolicyCheck } from '@countersign/contract/policies'
import type { CampaignItemPage, Verdict } from '@countersign/contract/review'
import { diffLines } from 'diff'
import { AlertDialog } from 'radix-ui'
import { useMemo, useRef, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { decideItem } from './decide.ts'
import type { Looked } from './looking.ts'
import { PermittedDiff } from './proposal.tsx'
import { titleOf, verdictWords } from './words.ts'

const says: Record<Exclude<Verdict, 'certify'>, string> = {
  reduce:
    'It keeps what it uses. Once an admin has applied it, the gateway denies the rest; nothing changes before that.',
  revoke: 'Once an admin has applied it, the gateway denies all of it; nothing changes before that.',
  abstain: 'You leave it to others; that you did is on record.',
}

/** Reduce, revoke or abstain: with a reason always, and of a reduce the tighter policy, which may be edited. */
export function DecideDialog(props: {
  page: CampaignItemPage
  verdict: Exclude<Verdict, 'certify'>
  reason: string
  policy?: string | undefined
  /** A refused decision whose place it takes. */
  instead?: string
  looked?: Looked
  onClose: () => void
  onDecided: () => void
}) {
  const { page, verdict } = props
  const { item, recommendation } = page
  const recommended = recommendation.policy ?? ''
  /** What is decided is what the dialog was opened on. */
  const [shown] = useState(item.revision)
  const [reason, setReason] = useState(props.reason)
  const [policy, setPolicy] = useState(props.policy ?? recommended)
  const [editing, setEditing] = useState(props.policy !== undefined && props.policy !== recommended)
  const [check, setCheck] = useState<{ of: string; said: PolicyCheck } | undefined>(undefined)
  const [checking, setChecking] = useState(false)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const field = useRef<HTMLInputElement>(null)
  const live = useWorld((world) => world.link.state === 'live')
  const reduces = verdict === 'reduce'
  const own = reduces && policy.trim() !== recommended.trim()
  const slip = reduces ? slipIn(policy) : undefined
  const ready = reason.trim() !== '' && !busy && slip === undefined

  const look = async () => {
    setChecking(true)
    setProblem('')
    try {
      setCheck({ of: policy, said: await core().call('checkReduction', { policy }) })
    } catch (error) {
      setProblem(wordsOf(error))
    } finally {
      setChecking(false)
    }
  }
  const decide = async () => {
    setBusy(true)
    setProblem('')
    try {
      if (own && live && check?.of !== policy) {
        const found = await core().call('checkReduction', { policy })
        setCheck({ of: policy, said: found })
        if (!found.ok) throw new Error('The policy is not valid yet: see what the gateway says of it.')
      }
      const said = { reason: reason.trim(), ...(own && { policy }) }
      if (props.instead !== undefined) {
        const anew = { verdict, revision: shown, ...said }
        await core().call('resolveReview', { id: props.instead, choice: 'anew', anew })
        say('Decided on what is there now')
      } else await decideItem(item, verdict, said, props.looked)
      props.onClose()
      props.onDecided()
    } catch (error) {
      setProblem(wordsOf(error))
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
            field.current?.focus()
          }}
          className={`fixed top-[8vh] left-1/2 flex max-h-[84vh] -translate-x-1/2 flex-col rounded-box border border-line bg-panel shadow-box ${reduces ? 'w-[min(760px,94vw)]' : 'w-[min(520px,92vw)]'}`}
        >
          <form
            className="flex min-h-0 flex-col"
            onSubmit={(event) => {
              event.preventDefault()
              if (ready) void decide()
            }}
          >
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys */}
            <div className="min-h-0 overflow-y-auto px-6 pt-5 pb-4 outline-offset-[-2px]" tabIndex={0}>
              <AlertDialog.Title className="text-title font-semibold">
                {verdictWords[verdict]} <VisibleText>{titleOf(item)}</VisibleText>?
              </AlertDialog.Title>
              <AlertDialog.Description className="mt-1.5 text-dim">{says[verdict]}</AlertDialog.Description>
              {reduces && recommended !== '' && !own ? (
                <div className="mt-3 max-h-56 overflow-y-auto rounded-box border border-line">
                  <PermittedDiff recommendation={recommendation} />
                </div>
              ) : null}
              {reduces ? (
                <details
                  className="mt-3 rounded-box border border-line"
                  open={editing || recommended === ''}
                  onToggle={(event) => setEditing(event.currentTarget.open)}
                >
                  <summary className="cursor-default px-3 py-1.5 text-fine text-dim -outline-offset-2 hover:bg-sunken">
                    {recommended === ''
                      ? 'No tighter policy is recommended: write one'
                      : 'Edit the Cedar that enforces it'}
                  </summary>
                  <div className="border-t border-line p-3">
                    <textarea
                      aria-label="The tighter policy, in Cedar"
                      value={policy}
                      onChange={(event) => setPolicy(event.target.value)}
                      spellCheck={false}
                      rows={Math.min(16, Math.max(6, policy.split('\n').length + 1))}
                      className="w-full rounded-tag border border-line-strong bg-panel px-2.5 py-1.5 font-mono text-fine"
                    />
                    <div className="mt-1.5 flex flex-wrap items-center gap-2">
                      <Button
                        className="h-8!"
                        disabled={!live || checking || slip !== undefined}
                        onClick={() => void look()}
                      >
                        {checking ? 'Checking…' : 'Check'}
                      </Button>
                      {own && recommended !== '' ? (
                        <Button quiet className="h-8!" onClick={() => setPolicy(recommended)}>
                          As recommended
                        </Button>
                      ) : null}
                      <Checked slip={slip} check={check?.of === policy ? check.said : undefined} live={live} />
                    </div>
                    {own && recommended !== '' ? <TextDiff from={recommended} to={policy} /> : null}
                  </div>
                </details>
              ) : null}
            </div>
            <div className="border-t border-line px-6 py-4">
              <label className="flex flex-col gap-1.5">
                <span className="font-semibold">Reason</span>
                <input
                  ref={field}
                  value={reason}
                  onChange={(event) => setReason(event.target.value)}
                  maxLength={4000}
                  placeholder="Kept with the decision, in the log and the evidence pack"
                  className="h-9 rounded-box border border-line-strong bg-panel px-3"
                />
              </label>
              {problem ? (
                <p role="alert" className="mt-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
                  {problem}
                </p>
              ) : null}
              <div className="mt-4 flex justify-end gap-2.5">
                <AlertDialog.Cancel asChild>
                  <Button>Cancel</Button>
                </AlertDialog.Cancel>
                <Button type="submit" tone={verdict === 'revoke' ? 'danger' : 'accent'} disabled={!ready}>
                  {busy ? 'Deciding…' : verdictWords[verdict]}
                </Button>
              </div>
            </div>
          </form>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}

function Checked(props: { slip: string | undefined; check: PolicyCheck | undefined; live: boolean }) {
  const { slip, check, live } = props
  if (slip) return <p className="text-fine text-danger">{slip}</p>
  if (!check)
    return (
      <p className="text-fine text-dim">
        {live ? 'It is checked before you decide.' : 'Offline: the gateway checks it when it is sent.'}
      </p>
    )
  const found = [...check.problems, ...check.warnings]
  return (
    <div role="status" className="min-w-0 basis-full text-fine">
      <p className={check.ok ? 'text-ok' : 'text-danger'}>
        {check.ok ? '✓ The gateway would take it.' : '✕ Not valid:'}
      </p>
      <ul>
        {found.map((each) => (
          <li key={`${each.line} ${each.message}`} className="break-words text-dim">
            line {each.line}: <VisibleText>{`${each.message} ${each.mend}`}</VisibleText>
          </li>
        ))}
      </ul>
    </div>
  )
}

/** What was changed of the recommended text, line by line; a sign before each. */
function TextDiff({ from, to }: { from: string; to: string }) {
  const pieces = useMemo(() => diffLines(from, to), [from, to])
  return (
    <figure className="mt-2.5">
      <figcaption className="text-fine text-dim">Against what is recommended:</figcaption>
      <pre className="mt-1 max-h-48 overflow-auto rounded-tag bg-sunken py-1.5 font-mono text-fine">
        {pieces.flatMap((piece, n) =>
          piece.value
            .replace(/\n$/, '')
            .split('\n')
            .map((line, i) => (
              <div
                // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other identity
                key={`${n} ${i}`}
                className={`px-3 ${piece.added ? 'bg-ok-pale text-ok' : piece.removed ? 'bg-danger-pale text-danger' : ''}`}
              >
                {piece.added ? '+ ' : piece.removed ? '− ' : '  '}
                <VisibleText>{line}</VisibleText>
              </div>
            )),
        )}
      </pre>
    </figure>
  )
}

/** What is plainly wrong with it, before anybody is asked: an overlay only ever forbids. */
export function slipIn(policy: string): string | undefined {
  const bare = policy.replace(/\/\/[^\n]*/g, '').replace(/"(?:[^"\\]|\\.)*"/g, '""')
  if (bare.trim() === '') return 'A reduce carries the tighter policy: write one.'
  if (/(^|;)\s*(@\w+\s*(\([^)]*\))?\s*)*permit\b/.test(bare)) return 'It may only forbid: a review never permits more.'
  if (!/(^|;)\s*(@\w+\s*(\([^)]*\))?\s*)*forbid\b/.test(bare)) return 'It begins with forbid (…).'
  return undefined
}
