import type { AgentDeclaration, AgentPatch, AgentRecord, PersonRecord } from '@countersign/contract/access'
import { Dialog } from 'radix-ui'
import { type ReactNode, useId, useMemo, useState } from 'react'
import { changeAgent, declareAgent, useAgents, usePeople } from '../../app/agents.ts'
import { wordsOf } from '../../app/api.ts'
import { say, useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { Chooser } from '../../parts/chooser.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'

/** What the registry is told of an agent, as it stands in the fields. */
interface Told {
  readonly name: string
  readonly sponsor: string
  readonly owner: string
  readonly purpose: string
  readonly environment: string
}

const none: Told = { name: '', sponsor: '', owner: '', purpose: '', environment: '' }
const field = 'h-9 rounded-box border border-line-strong bg-panel px-3'

/** Says who answers for an agent, whose it is, what it is for and where it runs. */
export function EditAgent({ agent, onClose }: { agent: AgentRecord; onClose: () => void }) {
  const before: Told = {
    name: agent.name,
    sponsor: agent.sponsor ?? '',
    owner: agent.owner ?? '',
    purpose: agent.purpose ?? '',
    environment: agent.environment ?? '',
  }
  const [told, setTold] = useState(before)
  const patch = patchOf(before, told)
  const changes = Object.keys(patch).length
  return (
    <AgentDialog
      title={
        <>
          Edit <VisibleText>{agent.name}</VisibleText>
        </>
      }
      description="Who answers for it, and what for: everybody with a role sees it, and the log tells who changed it."
      action="Save"
      hint={changes === 0 ? 'Nothing is changed yet.' : `${changes === 1 ? '1 change' : `${changes} changes`} to save.`}
      ready={changes > 0}
      onClose={onClose}
      onSend={async () => {
        onClose()
        await changeAgent(agent.id, 'change', patch)
      }}
    >
      <Fields told={told} onChange={(part) => setTold((now) => ({ ...now, ...part }))} />
    </AgentDialog>
  )
}

/** Declares an agent before it is seen. */
export function DeclareAgent({ onClose, onMade }: { onClose: () => void; onMade: (id: string) => void }) {
  const agents = useAgents((known) => known.agents)
  const issuers = useMemo(() => [...new Set([...agents.values()].map(({ issuer }) => issuer))].sort(), [agents])
  const [issuer, setIssuer] = useState('')
  const [subject, setSubject] = useState('')
  const [told, setTold] = useState(none)
  const list = useId()
  const missing = [issuer.trim() === '' ? 'an issuer' : '', subject.trim() === '' ? 'a subject' : ''].filter(Boolean)
  return (
    <AgentDialog
      title="Declare an agent"
      description="Before its first token comes: so that somebody answers for it from the start."
      action="Declare"
      hint={missing.length > 0 ? `Still missing: ${missing.join(', ')}.` : 'Ready to send.'}
      ready={missing.length === 0}
      onClose={onClose}
      onSend={async () => {
        const patch = patchOf(none, told)
        const made = await declareAgent({
          ...(patch as Omit<AgentDeclaration, 'issuer' | 'subject'>),
          issuer: issuer.trim(),
          subject: subject.trim(),
        })
        say('Declared')
        onMade(made.id)
        onClose()
      }}
    >
      <div className="grid grid-cols-2 gap-4 max-sm:grid-cols-1">
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">Issuer</span>
          <input
            // biome-ignore lint/a11y/noAutofocus: the first field of a dialog
            autoFocus
            value={issuer}
            onChange={(event) => setIssuer(event.target.value)}
            list={list}
            maxLength={1000}
            placeholder="https://agents.example.com"
            spellCheck={false}
            className={field}
          />
          <datalist id={list}>
            {issuers.map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
        </label>
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">Subject</span>
          <input
            value={subject}
            onChange={(event) => setSubject(event.target.value)}
            maxLength={1000}
            placeholder="As its tokens will say in sub"
            spellCheck={false}
            className={field}
          />
        </label>
      </div>
      <Fields told={told} onChange={(part) => setTold((now) => ({ ...now, ...part }))} />
    </AgentDialog>
  )
}

function patchOf(before: Told, told: Told): AgentPatch {
  const patch: Record<string, string | null> = {}
  for (const name of Object.keys(none) as (keyof Told)[]) {
    const value = told[name].trim()
    if (value === before[name].trim()) continue
    // A name is never taken away.
    if (value === '' && name === 'name') continue
    patch[name] = value === '' ? null : value
  }
  return patch as AgentPatch
}

const ENVIRONMENTS = ['production', 'staging', 'development', 'test']

function Fields({ told, onChange }: { told: Told; onChange: (part: Partial<Told>) => void }) {
  const people = usePeople()
  const choices = useMemo(
    () => (people.value?.items ?? []).filter(({ left }) => !left).map(personChoice),
    [people.value],
  )
  const list = useId()
  const anybody = (typed: string) => typed !== ''
  return (
    <>
      {people.problem ? (
        <p role="alert" className="rounded-box bg-warn-pale px-3 py-2 text-warn">
          People can’t be listed: {people.problem}
        </p>
      ) : null}
      <div className="grid grid-cols-2 gap-4 max-sm:grid-cols-1">
        <WithNone value={told.sponsor} label="sponsor" onNone={() => onChange({ sponsor: '' })}>
          <Chooser
            label="Sponsor"
            placeholder={people.value ? 'The person who answers for it' : 'Reading…'}
            choices={choices}
            value={told.sponsor}
            onChange={(sponsor) => onChange({ sponsor })}
            other={anybody}
          />
        </WithNone>
        <WithNone value={told.owner} label="owner" onNone={() => onChange({ owner: '' })}>
          <Chooser
            label="Owner"
            placeholder="A person or a team"
            choices={choices}
            value={told.owner}
            onChange={(owner) => onChange({ owner })}
            other={anybody}
          />
        </WithNone>
      </div>
      <label className="flex flex-col gap-1.5">
        <span className="font-semibold">Purpose</span>
        <textarea
          value={told.purpose}
          onChange={(event) => onChange({ purpose: event.target.value })}
          rows={2}
          maxLength={2000}
          placeholder="What it is for, so that a reviewer can hold against it what it does"
          className="rounded-box border border-line-strong bg-panel px-3 py-2"
        />
      </label>
      <div className="grid grid-cols-2 gap-4 max-sm:grid-cols-1">
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">Environment</span>
          <input
            value={told.environment}
            onChange={(event) => onChange({ environment: event.target.value })}
            list={list}
            maxLength={100}
            placeholder="production"
            className={field}
          />
          <datalist id={list}>
            {ENVIRONMENTS.map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
        </label>
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">
            Name <span className="font-normal text-dim">as people see it</span>
          </span>
          <input
            value={told.name}
            onChange={(event) => onChange({ name: event.target.value })}
            maxLength={200}
            placeholder="As its tokens say"
            className={field}
          />
        </label>
      </div>
    </>
  )
}

function WithNone(props: { value: string; label: string; onNone: () => void; children: ReactNode }) {
  return (
    <div className="relative">
      {props.children}
      {props.value ? (
        <button
          type="button"
          onClick={props.onNone}
          className="absolute top-0 right-0 rounded-tag text-fine font-semibold text-accent hover:underline"
        >
          no {props.label}
        </button>
      ) : null}
    </div>
  )
}

function personChoice({ id, name, email, groups }: PersonRecord) {
  return { value: id, label: name, words: `${email ?? ''} ${groups.join(' ')}`, detail: email ?? groups[0] ?? '' }
}

/** A form in a dialog; why it was not done stands in it. Nothing is sent offline. */
export function AgentDialog(props: {
  title: ReactNode
  description: string
  action: string
  hint: string
  ready: boolean
  onClose: () => void
  onSend: () => Promise<void>
  children: ReactNode
}) {
  const live = useWorld((world) => world.link.state === 'live')
  const [sending, setSending] = useState(false)
  const [problem, setProblem] = useState('')
  const ready = props.ready && live && !sending
  const send = async () => {
    setSending(true)
    setProblem('')
    try {
      await props.onSend()
    } catch (error) {
      setProblem(wordsOf(error))
    }
    setSending(false)
  }
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : props.onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content className="fixed top-[8vh] left-1/2 flex max-h-[84vh] w-[min(600px,94vw)] -translate-x-1/2 flex-col rounded-box border border-line bg-panel shadow-box">
          <div className="px-6 pt-5">
            <Dialog.Title className="text-title font-semibold">{props.title}</Dialog.Title>
            <Dialog.Description className="mt-1 text-dim">{props.description}</Dialog.Description>
          </div>
          <form
            className="flex min-h-0 flex-1 flex-col"
            onSubmit={(event) => {
              event.preventDefault()
              if (ready) void send()
            }}
          >
            <div className="flex min-h-0 flex-1 flex-col gap-4 overflow-y-auto px-6 py-4">{props.children}</div>
            {problem ? (
              <p role="alert" className="mx-6 mb-3 rounded-box bg-danger-pale px-3 py-2 break-words text-danger">
                {problem}
              </p>
            ) : null}
            <div className="flex items-center gap-2.5 border-t border-line px-6 py-3.5">
              <p role="status" className="min-w-0 flex-1 text-fine text-dim">
                {!live ? 'Nothing can be changed offline.' : sending ? 'Sending…' : props.hint}
              </p>
              <Dialog.Close asChild>
                <Button>Cancel</Button>
              </Dialog.Close>
              <Button type="submit" tone="accent" disabled={!ready}>
                {sending ? 'Sending…' : props.action}
              </Button>
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
