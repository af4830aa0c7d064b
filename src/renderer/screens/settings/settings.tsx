import { RadioGroup, Switch } from 'radix-ui'
import { type ReactNode, useId, useState } from 'react'
import type { Settings as Saved } from '../../../console-api.ts'
import { wordsOf } from '../../app/api.ts'
import { permission } from '../../app/notifications.ts'
import { core, saveSettings, useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'
import { clock } from '../../parts/time.ts'
import { Retention } from '../retention/retention.tsx'
import { Away } from './away.tsx'
import { OfflineLibrary } from './offline-library.tsx'

/** Gateway, notifications, appearance. Each change is saved as it is made. */
export function Settings() {
  const settings = useWorld((world) => world.settings)
  const [word, setWord] = useState<{ text: string; bad: boolean }>({ text: '', bad: false })
  const deciding = useWorld(({ me }) => me?.kind === 'person' && me.roles.length > 0)
  const save = (change: Partial<Saved>) =>
    saveSettings({ ...settings, ...change }).then(
      () => setWord({ text: 'Saved', bad: false }),
      (error) => setWord({ text: `Not saved: ${wordsOf(error)}`, bad: true }),
    )
  return (
    <div className="h-full overflow-y-auto">
      <div className="mx-auto flex max-w-[712px] flex-col gap-6 px-8 py-8">
        <div className="flex items-baseline justify-between">
          <h2 className="text-title font-semibold">Settings</h2>
          <span role="status" className={word.bad ? 'text-danger' : 'text-ok'}>
            {word.text}
          </span>
        </div>
        <Gateway />
        {deciding ? (
          <Group title="Duty">
            <Away />
          </Group>
        ) : null}
        <Notifications save={(notifications) => void save({ notifications })} />
        <Group title="Offline library">
          <OfflineLibrary onRoom={(room) => void save({ library: { room } })} />
        </Group>
        <Retention />
        <Group title="Appearance">
          <Choice
            label="Colours"
            value={settings.theme}
            onChange={(theme) => void save({ theme: theme as Saved['theme'] })}
            options={[
              ['system', 'As the system'],
              ['light', 'Light'],
              ['dark', 'Dark'],
            ]}
          />
        </Group>
      </div>
    </div>
  )
}

function Gateway() {
  const link = useWorld((world) => world.link)
  const me = useWorld((world) => world.me)
  const capabilities = useWorld((world) => world.capabilities)
  const words = 'since' in link ? `${link.state} since ${clock(link.since)}` : link.state.replace('-', ' ')
  return (
    <Group title="Gateway">
      <Line label="Address" hint={words}>
        <span className="font-mono text-fine break-all">{link.gateway}</span>
      </Line>
      {me ? (
        <Line
          label="Signed in as"
          hint={me.kind === 'person' ? `${me.roles.join(', ') || 'no role'} · ${me.groups.join(', ')}` : 'agent'}
        >
          {me.name}
        </Line>
      ) : null}
      <Line
        label="Sign out"
        hint={
          capabilities.secureStorage
            ? 'The token is kept in the keychain of this computer until then.'
            : 'This shell has no keychain: the token is kept in a file that only you can read.'
        }
      >
        <Button onClick={() => void core().call('signOut', {})}>Sign out</Button>
      </Line>
    </Group>
  )
}

function Notifications({ save }: { save: (next: Saved['notifications']) => void }) {
  const notifications = useWorld((world) => world.settings.notifications)
  const kind = useWorld((world) => world.capabilities.notifications)
  const [allowed, setAllowed] = useState(permission)
  const { enabled, content, quietHours } = notifications
  if (kind === 'none')
    return (
      <Group title="Notifications">
        <p className="px-4 py-3 text-dim">
          This shell can’t show notifications. The queue and its count stay up to date.
        </p>
      </Group>
    )
  return (
    <Group title="Notifications">
      {kind === 'web' && allowed !== 'granted' ? (
        <Line
          label="The browser’s permission"
          hint={
            allowed === 'default'
              ? 'Until you allow it, the browser shows none of them.'
              : allowed === 'denied'
                ? 'The browser was told not to show any. Allow them for this address in its site settings, then come back.'
                : 'This browser knows no notifications.'
          }
        >
          {allowed === 'default' ? (
            <Button tone="accent" onClick={() => void Notification.requestPermission().then(setAllowed)}>
              Allow
            </Button>
          ) : (
            <span className="text-warn">{allowed === 'denied' ? 'blocked' : 'not there'}</span>
          )}
        </Line>
      ) : null}
      <Line label="Tell me when a command waits for me" hint="Only when this window is not in front.">
        <Toggle
          label="Tell me when a command waits for me"
          on={enabled}
          onChange={(on) => save({ ...notifications, enabled: on })}
        />
      </Line>
      <Choice
        label="What a notification shows"
        value={content}
        onChange={(next) => save({ ...notifications, content: next as Saved['notifications']['content'] })}
        options={[
          ['command', 'Agent, connection, first line'],
          ['name', 'Agent and connection'],
          ['nothing', 'That something waits'],
        ]}
      />
      <Line label="Quiet hours" hint="No notifications in these hours; the queue still counts.">
        {quietHours ? (
          <span className="flex items-center gap-1.5">
            <Hour
              label="Quiet from"
              value={quietHours.from}
              onChange={(from) => save({ ...notifications, quietHours: { ...quietHours, from } })}
            />
            <span className="text-dim">to</span>
            <Hour
              label="Quiet until"
              value={quietHours.to}
              onChange={(to) => save({ ...notifications, quietHours: { ...quietHours, to } })}
            />
          </span>
        ) : null}
        <Toggle
          label="Quiet hours"
          on={quietHours !== null}
          onChange={(on) => save({ ...notifications, quietHours: on ? { from: '22:00', to: '07:00' } : null })}
        />
      </Line>
    </Group>
  )
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  const id = useId()
  return (
    <section aria-labelledby={id}>
      <h3 id={id} className="mb-2 font-semibold text-dim">
        {title}
      </h3>
      <div className="divide-y divide-line rounded-box border border-line bg-panel">{children}</div>
    </section>
  )
}

function Line({ label, hint, children }: { label: string; hint?: string; children: ReactNode }) {
  return (
    <div className="flex min-h-14 items-center gap-4 px-4 py-2.5">
      <div className="min-w-0 flex-1">
        <div>{label}</div>
        {hint ? <div className="text-fine text-dim">{hint}</div> : null}
      </div>
      <div className="flex items-center gap-3">{children}</div>
    </div>
  )
}

function Toggle({ label, on, onChange }: { label: string; on: boolean; onChange: (on: boolean) => void }) {
  return (
    <Switch.Root
      aria-label={label}
      checked={on}
      onCheckedChange={onChange}
      className="relative h-5 w-9 shrink-0 rounded-full border border-line-strong bg-sunken data-[state=checked]:border-accent data-[state=checked]:bg-accent"
    >
      <Switch.Thumb className="block size-3.5 translate-x-0.5 rounded-full bg-line-strong motion-safe:transition-transform data-[state=checked]:translate-x-[18px] data-[state=checked]:bg-panel" />
    </Switch.Root>
  )
}

function Hour({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  return (
    <input
      type="time"
      aria-label={label}
      value={value}
      onChange={(event) => event.target.value && onChange(event.target.value)}
      className="h-8 rounded-box border border-line-strong bg-panel px-2 tabular-nums"
    />
  )
}

function Choice(props: {
  label: string
  value: string
  onChange: (value: string) => void
  options: readonly (readonly [string, string])[]
}) {
  return (
    <div className="px-4 py-3">
      <div className="mb-2">{props.label}</div>
      <RadioGroup.Root
        value={props.value}
        onValueChange={props.onChange}
        aria-label={props.label}
        className="flex flex-wrap gap-2"
      >
        {props.options.map(([value, label]) => (
          <RadioGroup.Item
            key={value}
            value={value}
            className="flex h-8 items-center gap-2 rounded-box border border-line px-3 text-dim hover:text-ink data-[state=checked]:border-accent data-[state=checked]:bg-accent-pale data-[state=checked]:font-semibold data-[state=checked]:text-ink"
          >
            <span
              className="grid size-3.5 place-items-center rounded-full border border-line-strong"
              aria-hidden="true"
            >
              <RadioGroup.Indicator className="size-1.5 rounded-full bg-accent" />
            </span>
            {label}
          </RadioGroup.Item>
        ))}
      </RadioGroup.Root>
    </div>
  )
}
