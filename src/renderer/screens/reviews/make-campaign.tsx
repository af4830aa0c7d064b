import type { Campaign, CampaignPlan, CampaignTemplate } from '@countersign/contract/review'
import { Dialog } from 'radix-ui'
import { useRef, useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { useTemplates } from '../../app/reviews.ts'
import { core, say } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { emptyPlan, type PlanDraft, PlanForm, planOf, slipInPlan, tidied } from './plan-form.tsx'

/** A plan, to be changed. */
export function draftOf(plan: CampaignPlan): PlanDraft {
  return { ...plan }
}
const draftOfCampaign = (campaign: Campaign): PlanDraft => ({
  title: campaign.title,
  description: campaign.description,
  scope: campaign.scope,
  windowDays: campaign.window.days,
  stages: campaign.stages,
  days: campaign.days,
  onExpiry: campaign.onExpiry,
  controls: campaign.controls,
  template: campaign.template,
})

/** Makes a campaign, from a template or from nothing, or changes a draft. It is started afterwards, or at once. */
export function MakeCampaign(props: {
  campaign: Campaign | undefined
  onClose: () => void
  onMade: (id: string) => void
}) {
  const { campaign } = props
  const templates = useTemplates()
  const [draft, setDraft] = useState<PlanDraft>(campaign ? draftOfCampaign(campaign) : emptyPlan)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const save = async (start: boolean) => {
    const clean = tidied(draft)
    const slip = slipInPlan(clean)
    if (slip) return setProblem(slip)
    setBusy(true)
    setProblem('')
    try {
      const plan = planOf(clean)
      const made = campaign
        ? await core().call('changeCampaign', { id: campaign.id, plan })
        : await core().call('createCampaign', plan)
      props.onMade(made.id)
      if (start) await core().call('startCampaign', { id: made.id })
      say(start ? 'Campaign starting' : 'Draft saved')
      props.onClose()
    } catch (error) {
      setProblem(wordsOf(error))
      setBusy(false)
    }
  }
  return (
    <FormDialog
      title={campaign ? 'Change this draft' : 'Make a campaign'}
      problem={problem}
      onClose={props.onClose}
      actions={
        <>
          <Button disabled={busy} onClick={() => void save(false)}>
            Save the draft
          </Button>
          <Button tone="accent" disabled={busy} onClick={() => void save(true)}>
            {busy ? 'Asking…' : 'Save and start'}
          </Button>
        </>
      }
    >
      {campaign ? null : (
        <label className="mb-4 flex flex-col gap-1">
          <span className="font-semibold">From a template</span>
          <select
            value={draft.template ?? ''}
            onChange={(event) => {
              const found = templates.value?.items.find(({ id }) => id === event.target.value)
              setDraft(found ? { ...draftOf(found.plan), template: found.id } : { ...draft, template: undefined })
            }}
            className="h-9 rounded-box border border-line-strong bg-panel px-3"
          >
            <option value="">none: from nothing</option>
            {templates.value?.items.map((each: CampaignTemplate) => (
              <option key={each.id} value={each.id}>
                {each.plan.title}
              </option>
            ))}
          </select>
          {templates.problem ? <span className="text-fine text-warn">{templates.problem}</span> : null}
        </label>
      )}
      <PlanForm draft={draft} onChange={setDraft} />
    </FormDialog>
  )
}

/** A long form in a dialog: it scrolls, what can be done with it stays in sight. */
export function FormDialog(props: {
  title: string
  problem: string
  onClose: () => void
  actions: React.ReactNode
  children: React.ReactNode
}) {
  const form = useRef<HTMLDivElement>(null)
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : props.onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content
          aria-describedby={undefined}
          onInteractOutside={(event) => event.preventDefault()}
          onOpenAutoFocus={(event) => {
            event.preventDefault()
            form.current?.querySelector<HTMLElement>('input, select, textarea')?.focus({ preventScroll: true })
          }}
          className="fixed top-[6vh] left-1/2 flex max-h-[88vh] w-[min(760px,94vw)] -translate-x-1/2 flex-col rounded-box border border-line bg-panel shadow-box outline-none"
        >
          <Dialog.Title className="px-6 pt-5 pb-3 text-title font-semibold">{props.title}</Dialog.Title>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys */}
          <div ref={form} className="min-h-0 flex-1 overflow-y-auto px-6 pt-1 pb-4 outline-offset-[-2px]" tabIndex={0}>
            {props.children}
          </div>
          <div className="border-t border-line px-6 py-4">
            {props.problem ? (
              <p role="alert" className="mb-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
                {props.problem}
              </p>
            ) : null}
            <div className="flex flex-wrap justify-end gap-2.5">
              <Dialog.Close asChild>
                <Button>Cancel</Button>
              </Dialog.Close>
              {props.actions}
            </div>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
