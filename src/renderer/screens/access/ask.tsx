import type { ConnectionRecord } from '@countersign/contract/access'
import { Dialog } from 'radix-ui'
import { useEffect, useId, useState } from 'react'
import type { AskableAgent } from '../../../access-api.ts'
import { secondsOf } from '../../../span.ts'
import { ask } from '../../app/access.ts'
import { wordsOf } from '../../app/api.ts'
import { hostOf } from '../../app/header.tsx'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, EnvironmentTag, foremostTag } from '../../parts/basics.tsx'
import { Chooser } from '../../parts/chooser.tsx'
import { protocolName } from '../queue/words.ts'
import { ActionChoice } from './action-choice.tsx'
import { DurationField } from './duration-field.tsx'

/** Asks for access for an agent. What policy will say isn't promised. */
export function Ask({ onClose, onMade }: { onClose: () => void; onMade: (grant: string) => void }) {
  const live = useWorld((world) => world.link.state === 'live')
  const { agents, connections, problem: unknown } = useAskable()
  const [agent, setAgent] = useState('')
  const [onBehalfOf, setOnBehalfOf] = useState('')
  const [connection, setConnection] = useState('')
  const [actions, setActions] = useState<readonly string[]>([])
  const [resources, setResources] = useState('')
  const [duration, setDuration] = useState('30m')
  const [purpose, setPurpose] = useState('')
  const [sending, setSending] = useState(false)
  const [problem, setProblem] = useState('')
  const hint = useId()
  const place = connections?.find(({ name }) => name === connection)
  const who = agents?.find(({ id }) => id === agent)
  const named = resources
    .split(/[\n,]/)
    .map((each) => each.trim())
    .filter(Boolean)
  const outside = named.filter((id) => id.includes('/') && !id.startsWith(`${connection}/`))
  const missing = [
    agent === '' ? 'an agent' : '',
    connection === '' ? 'a connection' : '',
    actions.length === 0 ? 'at least one action' : '',
    secondsOf(duration) === undefined ? 'how long' : '',
    purpose.trim() === '' ? 'a purpose' : '',
  ].filter(Boolean)
  const ready = missing.length === 0 && live && !sending
  const send = async () => {
    setSending(true)
    setProblem('')
    try {
      const { grant, words } = await ask({
        agent,
        connection,
        actions: [...actions],
        duration,
        purpose: purpose.trim(),
        ...(onBehalfOf.trim() ? { onBehalfOf: onBehalfOf.trim() } : {}),
        ...(named.length > 0 ? { resources: named } : {}),
      })
      say(
        { active: 'Access was given at once', requested: 'Asked: people decide', denied: 'Denied' }[
          grant.state as 'active'
        ] ?? 'Asked',
      )
      if (grant.state === 'denied') setProblem(words ?? grant.endedBecause ?? 'Policy denied it.')
      onMade(grant.id)
      if (grant.state !== 'denied') onClose()
    } catch (error) {
      setProblem(wordsOf(error))
    }
    setSending(false)
  }
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : onClose())}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 bg-[rgb(0_0_0/0.35)]" />
        <Dialog.Content className="fixed top-[6vh] left-1/2 flex max-h-[88vh] w-[min(640px,94vw)] -translate-x-1/2 flex-col rounded-box border border-line bg-panel shadow-box">
          <div className="px-6 pt-5">
            <Dialog.Title className="text-title font-semibold">Ask for access</Dialog.Title>
            <Dialog.Description className="mt-1 text-dim">
              Policy decides when it is sent: it may be given at once, held for people, or denied. Whoever asks doesn’t
              decide it.
            </Dialog.Description>
          </div>
          <form
            className="flex min-h-0 flex-1 flex-col"
            onSubmit={(event) => {
              event.preventDefault()
              if (ready) void send()
            }}
          >
            <div className="flex min-h-0 flex-1 flex-col gap-4 overflow-y-auto px-6 py-4">
              {unknown ? (
                <p role="alert" className="rounded-box bg-warn-pale px-3 py-2 text-warn">
                  Agents and connections can’t be listed: {unknown}
                </p>
              ) : null}
              <div className="grid grid-cols-2 gap-4 max-sm:grid-cols-1">
                <Chooser
                  autoFocus
                  label="Agent"
                  placeholder={agents ? 'Name, or ISSUER#SUBJECT' : 'Reading…'}
                  choices={(agents ?? []).map(agentChoice)}
                  value={agent}
                  onChange={(id) => {
                    setAgent(id)
                    setOnBehalfOf('')
                  }}
                  other={(typed) => /^\S+#\S+$/.test(typed)}
                />
                <Chooser
                  label="Connection"
                  placeholder={connections ? 'Name' : 'Reading…'}
                  choices={(connections ?? []).map(connectionChoice)}
                  value={connection}
                  onChange={(name) => {
                    const other = connections?.find((each) => each.name === name)?.kind !== place?.kind
                    setConnection(name)
                    if (other) setActions([])
                  }}
                />
              </div>
              {who?.state === 'disabled' ? (
                <p className="rounded-box bg-warn-pale px-3 py-1.5 text-warn">
                  This agent is disabled: it can’t use access.
                </p>
              ) : null}
              <label className="flex flex-col gap-1.5">
                <span className="font-semibold">
                  On whose behalf <span className="font-normal text-dim">if the agent acts for somebody</span>
                </span>
                <input
                  value={onBehalfOf}
                  onChange={(event) => setOnBehalfOf(event.target.value)}
                  list={`${hint}-for`}
                  placeholder="Nobody: of use only while the agent acts for itself"
                  maxLength={2000}
                  className="h-9 rounded-box border border-line-strong bg-panel px-3"
                />
                <datalist id={`${hint}-for`}>
                  {who?.actsFor.map((one) => (
                    <option key={one} value={one} />
                  ))}
                </datalist>
              </label>
              <ActionChoice kind={place?.kind} chosen={actions} onChange={setActions} />
              <label className="flex flex-col gap-1.5">
                <span className="font-semibold">
                  Resources <span className="font-normal text-dim">one a line; none: all of the connection</span>
                </span>
                <textarea
                  value={resources}
                  onChange={(event) => setResources(event.target.value)}
                  rows={2}
                  spellCheck={false}
                  aria-describedby={`${hint}-resources`}
                  placeholder={exampleOf(connection || 'orders', place?.kind)}
                  className="rounded-box border border-line-strong bg-panel px-3 py-2 font-mono text-fine"
                />
                <span
                  id={`${hint}-resources`}
                  className={`text-fine ${outside.length > 0 && connection ? 'text-warn' : 'text-dim'}`}
                >
                  {outside.length > 0 && connection
                    ? `${outside[0]} is not within ${connection}: ids begin with ${connection}/`
                    : 'A * at the end stands for all that begin so.'}
                </span>
              </label>
              <DurationField value={duration} onChange={setDuration} />
              <label className="flex flex-col gap-1.5">
                <span className="font-semibold">Purpose</span>
                <textarea
                  value={purpose}
                  onChange={(event) => setPurpose(event.target.value)}
                  rows={2}
                  maxLength={2000}
                  placeholder="What it is for: shown, as your words, to those who decide, and kept with the record"
                  className="rounded-box border border-line-strong bg-panel px-3 py-2"
                />
              </label>
            </div>
            {problem ? (
              <p role="alert" className="mx-6 mb-3 rounded-box bg-danger-pale px-3 py-2 break-words text-danger">
                {problem}
              </p>
            ) : null}
            <div className="flex items-center gap-2.5 border-t border-line px-6 py-3.5">
              <p role="status" className="min-w-0 flex-1 text-fine text-dim">
                {!live
                  ? 'Nothing can be asked for offline.'
                  : sending
                    ? 'Sending…'
                    : missing.length > 0
                      ? `Still missing: ${missing.join(', ')}.`
                      : 'Ready to send.'}
              </p>
              <Dialog.Close asChild>
                <Button>Cancel</Button>
              </Dialog.Close>
              <Button type="submit" tone="accent" disabled={!ready}>
                {sending ? 'Asking…' : 'Ask'}
              </Button>
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

/** Resources as they are named on a connection of this kind. */
function exampleOf(connection: string, kind: string | undefined): string {
  return kind === 'ssh'
    ? `${connection}//srv/app\n${connection}//srv/app/*`
    : `${connection}/public.customers\n${connection}/public.*`
}

function agentChoice({ id, name, issuer, owner, state }: AskableAgent) {
  return {
    value: id,
    label: name,
    words: owner ?? '',
    detail: state === 'disabled' ? 'disabled' : hostOf(issuer),
  }
}

function connectionChoice({ name, kind, tags, access, freeze }: ConnectionRecord) {
  const tag = foremostTag(tags)
  return {
    value: name,
    label: name,
    words: `${kind} ${tags.join(' ')}`,
    detail: (
      <>
        {freeze ? 'frozen' : access === 'jit' ? protocolName(kind) : `${protocolName(kind)}, standing`}
        {tag ? <EnvironmentTag tag={tag} brief /> : null}
      </>
    ),
  }
}

interface Askable {
  readonly agents?: readonly AskableAgent[]
  readonly connections?: readonly ConnectionRecord[]
  readonly problem: string
}

/** For whom and for what one may ask, as the gateway tells now. */
function useAskable(): Askable {
  const [askable, setAskable] = useState<Askable>({ problem: '' })
  useEffect(() => {
    let wanted = true
    core()
      .call('askable', {})
      .then(
        (told) => wanted && setAskable({ ...told, problem: '' }),
        (error) => wanted && setAskable({ agents: [], connections: [], problem: wordsOf(error) }),
      )
    return () => {
      wanted = false
    }
  }, [])
  return askable
}
