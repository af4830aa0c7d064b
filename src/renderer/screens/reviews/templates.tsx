import type { CampaignTemplate } from '@countersign/contract/review'
import { CalendarClock, Plus } from 'lucide-react'
import { useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { useKeys } from '../../app/keys.ts'
import { makesCampaigns, useReviews, useTemplates } from '../../app/reviews.ts'
import { go, hashOf } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Chip, Notice } from '../../parts/basics.tsx'
import { Listbox, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Section, Split } from '../agents/parts.tsx'
import { Parts } from './campaign-list.tsx'
import { draftOf, FormDialog } from './make-campaign.tsx'
import { emptyPlan, type PlanDraft, PlanForm, planOf, slipInPlan, tidied } from './plan-form.tsx'
import { expiryWords, many, reviewerWords, scopeWords } from './words.ts'

const every = {
  week: 'each week',
  month: 'each month',
  quarter: 'each quarter',
  'half-year': 'each half-year',
  year: 'each year',
}
const triggers = {
  'new-privilege': 'an agent may more than before',
  'unusual-use': 'an agent is used in an unusual way',
  'sponsor-left': 'a sponsor leaves',
} as const
type Trigger = keyof typeof triggers
type Row = ListRow & { template: CampaignTemplate }

/** Campaigns that begin again and again: by a calendar, or when something changes. */
export function Templates({ id }: { id: string | undefined }) {
  const { value, problem, again } = useTemplates()
  const may = useWorld((world) => makesCampaigns(world.me) && world.link.state === 'live')
  const live = useWorld((world) => world.link.state === 'live')
  const [editing, setEditing] = useState<CampaignTemplate | 'new' | undefined>(undefined)
  const templates = value?.items ?? []
  const rows: Row[] = templates.map((template) => ({ key: template.id, height: 57, option: true, template }))
  const selected = id ?? rows[0]?.key
  const select = (next: string | undefined) => {
    if (next !== undefined) go({ screen: 'reviews', part: 'templates', id: next }, 'replace')
  }
  useKeys({
    j: () => select(stepFrom(rows, selected, 1)),
    k: () => select(stepFrom(rows, selected, -1)),
    a: () => (may ? setEditing('new') : false),
    escape: () => go({ screen: 'reviews' }),
  })
  const chosen = templates.find((each) => each.id === selected)
  return (
    <Split>
      <section aria-label="Templates" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="templates" />
        <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
          <h2 className="text-head font-semibold">Templates</h2>
          <span className="text-dim">{value ? templates.length : ''}</span>
          {may ? (
            <button
              type="button"
              aria-label="Make a template"
              title="Make a template (A)"
              onClick={() => setEditing('new')}
              className="ml-auto inline-flex size-6 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
            >
              <Plus size={15} aria-hidden />
            </button>
          ) : null}
        </div>
        {rows.length > 0 ? (
          <Listbox
            label="Templates"
            rows={rows}
            selected={selected}
            onSelect={select}
            render={({ template }, here) => <TemplateRow template={template} selected={here} />}
          />
        ) : problem || !live ? (
          <Notice title="Templates can’t be shown" role="alert">
            <p>{live ? problem : 'They are at the gateway: they can’t be told offline.'}</p>
            {live ? <Button onClick={again}>Try again</Button> : null}
          </Notice>
        ) : (
          <Notice title={value ? 'No templates' : 'Reading the templates…'} role="status" />
        )}
      </section>
      {chosen ? (
        <TemplatePage key={chosen.id} template={chosen} may={may} onEdit={() => setEditing(chosen)} onGone={again} />
      ) : (
        <Notice title="Choose a template">
          <p>J and K move through the list.</p>
        </Notice>
      )}
      {editing ? (
        <EditTemplate
          template={editing === 'new' ? undefined : editing}
          onClose={() => setEditing(undefined)}
          onSaved={(saved) => {
            again()
            select(saved)
          }}
        />
      ) : null}
    </Split>
  )
}

const begins = ({ enabled, cadence, triggers: on }: CampaignTemplate) => {
  const parts = [...(cadence ? [every[cadence.every]] : []), ...(on.length > 0 ? ['when something changes'] : [])]
  if (parts.length === 0) return 'by hand only'
  return `${parts.join(', and ')}${enabled ? '' : ', switched off'}`
}

function TemplateRow({ template, selected }: { template: CampaignTemplate; selected: boolean }) {
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className="min-w-0 flex-1 truncate font-semibold">
          <VisibleText>{template.plan.title}</VisibleText>
        </span>
        {template.builtIn ? <Chip>built in</Chip> : null}
      </div>
      <span className="truncate text-fine text-dim">{begins(template)}</span>
    </div>
  )
}

function TemplatePage(props: { template: CampaignTemplate; may: boolean; onEdit: () => void; onGone: () => void }) {
  const { template, may } = props
  const { plan } = template
  const [problem, setProblem] = useState('')
  const [sure, setSure] = useState(false)
  const last = useReviews(({ campaigns }) => (template.lastCampaign ? campaigns.get(template.lastCampaign) : undefined))
  const now = Date.now()
  const remove = async () => {
    try {
      await core().call('removeTemplate', { id: template.id })
      say('Template deleted')
      props.onGone()
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  const start = async () => {
    setProblem('')
    try {
      const { id } = await core().call('createCampaign', { ...plan, template: template.id })
      go({ screen: 'reviews', id })
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  const rows: [string, string][] = [
    ['Begins', begins(template)],
    ...(template.enabled && template.cadence && template.nextAt
      ? [['Next', dateAndClock(template.nextAt, now)] as [string, string]]
      : []),
    ...template.triggers.map((each): [string, string] => ['Also when', triggers[each]]),
    ['Scope', scopeWords(plan.scope)],
    ['Looks back', many(plan.windowDays, 'day')],
    ...plan.stages.map((stage): [string, string] => [stage.title, stage.reviewers.map(reviewerWords).join(', else ')]),
    ['Due after', many(plan.days, 'day')],
    ['When it is due', `what nobody decided ${expiryWords[plan.onExpiry]}`],
    ...(plan.controls.length > 0 ? [['Controls', plan.controls.join(', ')] as [string, string]] : []),
    ...(template.by
      ? [
          [
            'Saved by',
            `${template.by.name}${template.changedAt ? `, ${dateAndClock(template.changedAt, now)}` : ''}`,
          ] as [string, string],
        ]
      : []),
  ]
  return (
    <article aria-label={`Template ${plan.title}`} className="flex min-h-0 min-w-0 flex-1 flex-col">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys */}
      <div tabIndex={0} className="page-body overflow-y-auto px-7 pt-4 pb-4 outline-offset-[-2px] max-lg:px-4">
        <header className="flex flex-wrap items-baseline gap-3">
          <h2 className="min-w-0 text-title font-semibold break-words">
            <VisibleText>{plan.title}</VisibleText>
          </h2>
          <span className="ml-auto text-dim">
            <CalendarClock size={13} className="mr-1 inline align-[-2px]" aria-hidden />
            {begins(template)}
          </span>
        </header>
        {plan.description ? (
          <p className="mt-1 max-w-[70ch] text-dim">
            <VisibleText>{plan.description}</VisibleText>
          </p>
        ) : null}
        <Section title="What it begins">
          <dl className="grid grid-cols-[max-content_1fr] gap-x-5 gap-y-1">
            {rows.map(([name, value]) => (
              <div key={`${name} ${value}`} className="contents">
                <dt className="text-dim">{name}</dt>
                <dd className="min-w-0 break-words">
                  <VisibleText>{value}</VisibleText>
                </dd>
              </div>
            ))}
          </dl>
        </Section>
        {last ? (
          <p className="mt-4 text-dim">
            Its last campaign:{' '}
            <a className="text-accent hover:underline" href={hashOf({ screen: 'reviews', id: last.id })}>
              <VisibleText>{last.title}</VisibleText>
            </a>
          </p>
        ) : null}
      </div>
      <section aria-label="What to do about this template" className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
        {problem ? (
          <p role="alert" className="mb-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
            {problem}
          </p>
        ) : null}
        <div className="flex min-h-9 flex-wrap items-center gap-2.5">
          {may ? (
            sure ? (
              <>
                <Button tone="danger" onClick={() => void remove()}>
                  Delete for good
                </Button>
                <Button quiet onClick={() => setSure(false)}>
                  Keep it
                </Button>
              </>
            ) : (
              <>
                <Button tone="accent" onClick={() => void start()}>
                  Draft a campaign of it
                </Button>
                <Button onClick={props.onEdit}>{template.builtIn ? 'Make it your own…' : 'Edit…'}</Button>
                {template.builtIn ? null : (
                  <Button tone="danger" onClick={() => setSure(true)}>
                    Delete
                  </Button>
                )}
              </>
            )
          ) : (
            <p className="text-dim">Reviewers and admins change templates, with a connection to the gateway.</p>
          )}
        </div>
      </section>
    </article>
  )
}

function EditTemplate(props: {
  template: CampaignTemplate | undefined
  onClose: () => void
  onSaved: (id: string) => void
}) {
  const { template } = props
  const [draft, setDraft] = useState<PlanDraft>(template ? draftOf(template.plan) : emptyPlan)
  const [name, setName] = useState(template?.id ?? '')
  const [cadence, setCadence] = useState(template?.cadence)
  const [on, setOn] = useState<readonly Trigger[]>(template?.triggers ?? [])
  const [enabled, setEnabled] = useState(template?.enabled ?? true)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const save = async () => {
    const clean = tidied(draft)
    const slip =
      slipInPlan(clean) ??
      (/^[a-z0-9][a-z0-9-]{1,62}$/.test(name) ? undefined : 'Its name is of a-z, 0-9 and -, for example quarterly.')
    if (slip) return setProblem(slip)
    setBusy(true)
    try {
      const { template: _, ...plan } = planOf(clean)
      await core().call('saveTemplate', {
        ...{ id: name, plan, enabled, triggers: [...on] },
        cadence: cadence ?? null,
      })
      say('Template saved')
      props.onSaved(name)
      props.onClose()
    } catch (error) {
      setProblem(wordsOf(error))
      setBusy(false)
    }
  }
  return (
    <FormDialog
      title={template ? 'Change this template' : 'Make a template'}
      problem={problem}
      onClose={props.onClose}
      actions={
        <Button tone="accent" disabled={busy} onClick={() => void save()}>
          {busy ? 'Saving…' : 'Save'}
        </Button>
      }
    >
      <div className="mb-4 flex flex-col gap-2.5 rounded-box border border-line px-4 py-3">
        {template ? null : (
          <label className="flex flex-col gap-1">
            <span className="font-semibold">Name</span>
            <input
              value={name}
              onChange={(event) => setName(event.target.value)}
              placeholder="quarterly"
              spellCheck={false}
              className="h-9 rounded-box border border-line-strong bg-panel px-3 font-mono text-fine"
            />
          </label>
        )}
        <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
          <label className="flex items-center gap-2">
            <span className="font-semibold">Begins</span>
            <select
              value={cadence?.every ?? ''}
              onChange={(event) => {
                const next = event.target.value as keyof typeof every | ''
                setCadence(
                  next === ''
                    ? undefined
                    : { every: next, from: cadence?.from ?? new Date().toISOString().slice(0, 10) },
                )
              }}
              className="h-8 rounded-box border border-line-strong bg-panel px-2"
            >
              <option value="">by no calendar</option>
              {Object.entries(every).map(([value, label]) => (
                <option key={value} value={value}>
                  {label}
                </option>
              ))}
            </select>
          </label>
          {cadence ? (
            <label className="flex items-center gap-2">
              from (UTC)
              <input
                type="date"
                value={cadence.from}
                onChange={(event) => setCadence({ ...cadence, from: event.target.value })}
                className="h-8 rounded-box border border-line-strong bg-panel px-2"
              />
            </label>
          ) : null}
          <label className="flex items-center gap-2">
            <input type="checkbox" checked={enabled} onChange={(event) => setEnabled(event.target.checked)} />
            begins campaigns by itself
          </label>
        </div>
        <fieldset className="flex flex-wrap gap-x-5 gap-y-1.5">
          <legend className="mb-1 font-semibold">Also when</legend>
          {(Object.keys(triggers) as Trigger[]).map((each) => (
            <label key={each} className="flex items-center gap-2">
              <input
                type="checkbox"
                checked={on.includes(each)}
                onChange={(event) => setOn(event.target.checked ? [...on, each] : on.filter((other) => other !== each))}
              />
              {triggers[each]}
            </label>
          ))}
        </fieldset>
      </div>
      <PlanForm draft={draft} onChange={setDraft} />
    </FormDialog>
  )
}
