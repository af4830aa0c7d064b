import type { CampaignPlanInput, CampaignScope, ExpiryDefault, ReviewerRule } from '@countersign/contract/review'
import { Plus, X } from 'lucide-react'
import { type ReactNode, useId } from 'react'
import { VisibleText } from '../../parts/visible-text.tsx'
import { reviewerWords } from './words.ts'

/** A plan as one writes it. */
export interface PlanDraft {
  readonly title: string
  readonly description: string
  readonly scope: CampaignScope
  readonly windowDays: number
  readonly stages: readonly { title: string; reviewers: readonly ReviewerRule[] }[]
  readonly days: number
  readonly onExpiry: ExpiryDefault
  readonly controls: readonly string[]
  readonly template?: string | undefined
}

export const emptyPlan: PlanDraft = {
  title: '',
  description: '',
  scope: {},
  windowDays: 90,
  stages: [{ title: 'Review', reviewers: [{ kind: 'sponsor' }, { kind: 'owner' }, { kind: 'role' }] }],
  days: 14,
  onExpiry: 'revoke',
  controls: [],
}

/** The plan as it is sent. */
export function planOf({ template, ...draft }: PlanDraft): CampaignPlanInput {
  const scope = Object.fromEntries(
    Object.entries(draft.scope).filter(([, value]) =>
      Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false,
    ),
  ) as CampaignScope
  return {
    ...draft,
    title: draft.title.trim(),
    scope,
    stages: draft.stages.map((stage) => ({ title: stage.title.trim(), reviewers: [...stage.reviewers] })),
    controls: [...draft.controls],
    ...(template && { template }),
  }
}

/** Why it can’t be sent yet; undefined where it can. */
export function slipInPlan(draft: PlanDraft): string | undefined {
  if (draft.title.trim() === '') return 'Give it a title.'
  for (const stage of draft.stages) {
    if (stage.title.trim() === '') return 'Each stage has a title.'
    if (stage.reviewers.length === 0) return `Say who decides in “${stage.title}”.`
  }
  if (!(draft.windowDays >= 1 && draft.windowDays <= 730)) return 'It looks back 1 to 730 days.'
  if (!(draft.days >= 1 && draft.days <= 365)) return 'It lasts 1 to 365 days.'
  const odd = draft.controls.find((control) => !/^[a-z0-9-]+:[A-Za-z0-9.()-]+$/.test(control))
  return odd === undefined ? undefined : `“${odd}” is no control: write it as soc2:CC6.3.`
}

const expiry: Record<ExpiryDefault, string> = {
  revoke: 'It is revoked',
  recommendation: 'It goes as recommended',
  keep: 'It is kept as it is',
}

const field = 'h-9 w-full rounded-box border border-line-strong bg-panel px-3'

/** All that a campaign is made of: what it looks at, how far back, who decides, by when, and what then. */
export function PlanForm({ draft, onChange }: { draft: PlanDraft; onChange: (draft: PlanDraft) => void }) {
  const change = (part: Partial<PlanDraft>) => onChange({ ...draft, ...part })
  const scope = (part: Partial<Record<keyof CampaignScope, unknown>>) =>
    change({ scope: { ...draft.scope, ...part } as CampaignScope })
  const names = (key: 'connections' | 'tags' | 'agents' | 'groups' | 'classes', label: string, hint: string) => (
    <Labelled label={label}>
      <input
        value={(draft.scope[key] ?? []).join(', ')}
        onChange={(event) => scope({ [key]: listed(event.target.value) })}
        placeholder={hint}
        spellCheck={false}
        className={field}
      />
    </Labelled>
  )
  return (
    <div className="flex flex-col gap-4">
      <Labelled label="Title">
        <input
          value={draft.title}
          onChange={(event) => change({ title: event.target.value })}
          maxLength={200}
          placeholder="For example: Q4 recertification of production"
          className={field}
        />
      </Labelled>
      <Labelled label="Description">
        <textarea
          value={draft.description}
          onChange={(event) => change({ description: event.target.value })}
          maxLength={4000}
          rows={2}
          className="w-full rounded-box border border-line-strong bg-panel px-3 py-1.5"
        />
      </Labelled>
      <fieldset className="flex flex-col gap-2.5 rounded-box border border-line px-4 pt-2 pb-3.5">
        <legend className="px-1 font-semibold">What it looks at</legend>
        <p className="text-fine text-dim">
          Members narrow each other; what is left empty narrows nothing. Several are parted by commas.
        </p>
        <div className="grid grid-cols-2 gap-x-4 gap-y-2.5 max-lg:grid-cols-1">
          {names('connections', 'Connections', 'all')}
          {names('tags', 'Tagged', 'for example production')}
          {names('groups', 'Groups of agents', 'all')}
          {names('agents', 'Agents, by id', 'all')}
          {names('classes', 'Data classes that it may see', 'for example pii')}
          <Labelled label="Not used for so many days">
            <input
              type="number"
              min={1}
              max={3650}
              value={draft.scope.idleDays ?? ''}
              onChange={(event) =>
                scope({ idleDays: event.target.value === '' ? undefined : Number(event.target.value) })
              }
              placeholder="used or not"
              className={field}
            />
          </Labelled>
        </div>
        <div className="flex flex-wrap items-center gap-x-5 gap-y-1.5">
          <label className="flex items-center gap-2">
            Access
            <select
              value={draft.scope.access ?? ''}
              onChange={(event) => scope({ access: event.target.value || undefined })}
              className="h-8 rounded-box border border-line-strong bg-panel px-2"
            >
              <option value="">standing and just in time</option>
              <option value="standing">standing</option>
              <option value="jit">just in time</option>
            </select>
          </label>
          {(
            [
              ['rules', 'also the rules that give it just in time'],
              ['privileged', 'only privileged'],
              ['orphans', 'only agents that nobody answers for'],
            ] as const
          ).map(([key, label]) => (
            <label key={key} className="flex items-center gap-2">
              <input
                type="checkbox"
                checked={draft.scope[key] ?? false}
                onChange={(event) => scope({ [key]: event.target.checked || undefined })}
              />
              {label}
            </label>
          ))}
        </div>
      </fieldset>
      <fieldset className="flex flex-col gap-3 rounded-box border border-line px-4 pt-2 pb-3.5">
        <legend className="px-1 font-semibold">Who decides</legend>
        <p className="text-fine text-dim">
          Of each stage the first that anybody can act for; a stage with nobody falls to every reviewer.
        </p>
        {draft.stages.map((stage, i) => (
          <Stage
            // biome-ignore lint/suspicious/noArrayIndexKey: stages are their places
            key={i}
            number={i + 1}
            stage={stage}
            onChange={(next) => change({ stages: draft.stages.map((each, n) => (n === i ? next : each)) })}
            onRemove={
              draft.stages.length > 1 ? () => change({ stages: draft.stages.filter((_, n) => n !== i) }) : undefined
            }
          />
        ))}
        {draft.stages.length < 5 ? (
          <button
            type="button"
            className="self-start font-semibold text-accent"
            onClick={() =>
              change({ stages: [...draft.stages, { title: 'Second look', reviewers: [{ kind: 'role' }] }] })
            }
          >
            <Plus size={13} className="mr-1 inline align-[-2px]" aria-hidden />
            Another stage
          </button>
        ) : null}
      </fieldset>
      <div className="grid grid-cols-3 gap-4 max-lg:grid-cols-1">
        <Labelled label="Looks back, days">
          <input
            type="number"
            min={1}
            max={730}
            value={draft.windowDays}
            onChange={(event) => change({ windowDays: Number(event.target.value) })}
            className={field}
          />
        </Labelled>
        <Labelled label="Due after, days">
          <input
            type="number"
            min={1}
            max={365}
            value={draft.days}
            onChange={(event) => change({ days: Number(event.target.value) })}
            className={field}
          />
        </Labelled>
        <Labelled label="What nobody decided by then">
          <select
            value={draft.onExpiry}
            onChange={(event) => change({ onExpiry: event.target.value as ExpiryDefault })}
            className={field}
          >
            {Object.entries(expiry).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </Labelled>
      </div>
      <Labelled label="Controls that it serves">
        <input
          value={draft.controls.join(', ')}
          onChange={(event) => change({ controls: listed(event.target.value) })}
          placeholder="soc2:CC6.3, iso27001:A.5.18, nist-800-53:AC-6(7), pci-dss:7.2.4"
          spellCheck={false}
          className={`${field} font-mono text-fine`}
        />
      </Labelled>
    </div>
  )
}

function Labelled({ label, children }: { label: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the field is its child
    <label className="flex min-w-0 flex-col gap-1">
      <span className="font-semibold">{label}</span>
      {children}
    </label>
  )
}

function Stage(props: {
  number: number
  stage: PlanDraft['stages'][number]
  onChange: (stage: PlanDraft['stages'][number]) => void
  onRemove: (() => void) | undefined
}) {
  const { number, stage, onChange } = props
  const id = useId()
  const add = (kind: string) => {
    const rules: Record<string, ReviewerRule> = {
      sponsor: { kind: 'sponsor' },
      owner: { kind: 'owner' },
      role: { kind: 'role' },
      group: { kind: 'group', group: '' },
      person: { kind: 'person', person: '' },
    }
    const rule = rules[kind]
    if (rule) onChange({ ...stage, reviewers: [...stage.reviewers, rule] })
  }
  const put = (at: number, rule: ReviewerRule | undefined) =>
    onChange({ ...stage, reviewers: stage.reviewers.flatMap((each, i) => (i === at ? (rule ?? []) : each)) })
  return (
    <div className="flex flex-wrap items-center gap-2">
      <input
        aria-label={`Title of stage ${number}`}
        value={stage.title}
        maxLength={200}
        onChange={(event) => onChange({ ...stage, title: event.target.value })}
        className="h-8 w-36 rounded-box border border-line-strong bg-panel px-2.5"
      />
      <ol className="contents">
        {stage.reviewers.map((rule, i) => (
          <li
            // biome-ignore lint/suspicious/noArrayIndexKey: their order is what they are
            key={i}
            className="flex h-8 items-center gap-1.5 rounded-box bg-sunken pr-1 pl-2.5"
          >
            {i > 0 ? <span className="text-dim">else</span> : null}
            {rule.kind === 'group' ? (
              <input
                aria-label={`Group, stage ${number}`}
                value={rule.group}
                onChange={(event) => put(i, { kind: 'group', group: event.target.value })}
                placeholder="group"
                className="h-6 w-28 rounded-tag border border-line-strong bg-panel px-1.5"
              />
            ) : rule.kind === 'person' ? (
              <input
                aria-label={`Person, stage ${number}`}
                value={rule.person}
                onChange={(event) => put(i, { kind: 'person', person: event.target.value })}
                placeholder="e-mail"
                className="h-6 w-40 rounded-tag border border-line-strong bg-panel px-1.5"
              />
            ) : (
              <VisibleText>{reviewerWords(rule)}</VisibleText>
            )}
            <button
              type="button"
              aria-label={`Remove ${rule.kind}, stage ${number}`}
              className="inline-flex size-6 items-center justify-center rounded-tag text-dim hover:text-ink"
              onClick={() => put(i, undefined)}
            >
              <X size={12} aria-hidden />
            </button>
          </li>
        ))}
      </ol>
      {stage.reviewers.length < 10 ? (
        <select
          id={id}
          aria-label={`Add who decides, stage ${number}`}
          value=""
          onChange={(event) => add(event.target.value)}
          className="h-8 rounded-box border border-line bg-panel px-2 text-dim"
        >
          <option value="">add…</option>
          <option value="sponsor">its sponsor</option>
          <option value="owner">its owner</option>
          <option value="group">a group</option>
          <option value="person">a person</option>
          <option value="role">every reviewer</option>
        </select>
      ) : null}
      {props.onRemove ? (
        <button type="button" className="text-fine text-dim hover:text-ink" onClick={props.onRemove}>
          Remove the stage
        </button>
      ) : null}
    </div>
  )
}

/** Names parted by commas, as one types them: the one that is being typed may still be empty. */
function listed(text: string): string[] {
  const names = text.split(',').map((name) => name.trimStart())
  return names.length === 1 && names[0] === '' ? [] : names
}
/** Without what is empty. */
export const tidied = (draft: PlanDraft): PlanDraft => {
  const clean = (names: readonly string[] | undefined) =>
    names?.map((name) => name.trim()).filter((name) => name !== '')
  const { connections, tags, agents, groups, classes, ...rest } = draft.scope
  const lists = { connections, tags, agents, groups, classes }
  const kept = Object.fromEntries(
    Object.entries(lists).flatMap(([key, names]) => (clean(names)?.length ? [[key, clean(names)]] : [])),
  )
  return {
    ...draft,
    scope: { ...rest, ...kept },
    controls: clean(draft.controls) ?? [],
    stages: draft.stages.map((stage) => ({
      ...stage,
      reviewers: stage.reviewers.filter((rule) =>
        rule.kind === 'group' ? rule.group.trim() !== '' : rule.kind === 'person' ? rule.person.trim() !== '' : true,
      ),
    })),
  }
}
